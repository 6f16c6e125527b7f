"""The HTML of a report: escaped text, tables and the page around them. It refers to no other file."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from insects.text import shortened

BLANK = "\u00a0"
"""A blank at which no line ends."""

_NAME_LENGTH = 32


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        key: Its anchor.
        title: Its heading, plain text.
        body: HTML.
    """

    key: str
    title: str
    body: str


def escape(text: object) -> str:
    """Return text as HTML, for elements and attributes; characters that cannot be printed become U+FFFD."""
    printable = "".join(char if char.isprintable() or char == BLANK else "\ufffd" for char in str(text))
    return html.escape(printable)


def name(text: str, length: int = _NAME_LENGTH) -> str:
    """Return a user's name on one line as HTML; of a long one the middle is left out, and hovering shows it."""
    short = shortened(text, length)
    return escape(short) if short == text else f'<span title="{escape(text)}">{escape(short)}</span>'


def paragraph(content: str, kind: str = "") -> str:
    """Return HTML as a paragraph of a class."""
    return f'<p class="{kind}">{content}</p>' if kind else f"<p>{content}</p>"


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    texts: Sequence[int] = (0,),
    wrapped: int | None = None,
    marked: int | None = None,
    minor: Sequence[int] = (),
) -> str:
    """Return a table that scrolls sideways where it does not fit.

    Args:
        head: Titles of the columns, HTML.
        rows: Cells, HTML.
        texts: Columns of text, which are aligned left; all others hold numbers.
        wrapped: The column whose texts may take several lines.
        marked: The row to set off.
        minor: Columns that a phone's screen leaves out.
    """
    columns = range(len(head))
    kinds = ["w" if column == wrapped else "" if column in texts else "n" for column in columns]
    kinds = [f"{kind} minor".strip() if column in minor else kind for column, kind in zip(columns, kinds, strict=True)]
    kinds = [f' class="{kind}"' if kind else "" for kind in kinds]
    cells = "".join(f"<th scope=col{kind}>{title}</th>" for kind, title in zip(kinds, head, strict=True))
    lines = []
    for number, row in enumerate(rows):
        line = "".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds, row, strict=True))
        lines.append(f"<tr{' class=marked' if number == marked else ''}>{line}</tr>")
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def figure(drawing: str, caption: str, legend: str = "") -> str:
    """Return a drawing with its caption above it.

    Args:
        drawing: SVG or an image.
        caption: HTML.
        legend: HTML below the drawing.
    """
    below = f'<div class="legend">{legend}</div>' if legend else ""
    return f"<figure><figcaption>{caption}</figcaption>{drawing}{below}</figure>"


def code(lines: str) -> str:
    """Return lines of code, plain text, to be copied."""
    return f"<pre><code>{html.escape(lines)}</code></pre>"


def page(title: str, heading: str, lead: str, sections: Sequence[Section], note: str) -> str:
    """Return the whole page.

    Args:
        title: Plain text.
        heading: Plain text.
        lead: HTML below the heading.
        sections: The parts, in order.
        note: HTML at the foot.
    """
    links = "".join(f'<a href="#{section.key}">{escape(section.title)}</a>' for section in sections)
    parts = "".join(
        f'<section id="{section.key}"><h2>{escape(section.title)}</h2>{section.body}</section>' for section in sections
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        # Whatever a name in the data holds, the page can load nothing.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main><header>"
        f"<h1>{escape(heading)}</h1>{lead}<nav>{links}</nav></header>{parts}"
        f"<footer>{note}</footer></main><script>{_SCRIPT}</script></body></html>\n"
    )


# Printed pages are light, whatever the screen is.
_STYLE = """
:root{--ground:#fff;--ink:#1b1f24;--muted:#5b6470;--line:#d6dae0;--soft:#f4f6f8;--dot:#7b8794;--accent:#0072b2}
@media screen and (prefers-color-scheme:dark){
:root{--ground:#14171b;--ink:#e4e7eb;--muted:#a3acb8;--line:#363d46;--soft:#1d2127;--dot:#8d98a5;--accent:#56b4e9}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1040px;margin:0 auto;padding:2.5rem 1.25rem 3rem}
h1{font-size:1.75rem;line-height:1.2;margin:0 0 .75rem;overflow-wrap:anywhere}
h2{font-size:1.2rem;line-height:1.3;margin:0 0 .75rem}
section{margin-top:2.75rem;scroll-margin-top:1rem}
p{max-width:46rem;margin:0 0 .9rem;overflow-wrap:anywhere}
.lead{font-size:1.08rem}
.note,figcaption,.legend,footer{color:var(--muted);font-size:.87rem}
a{color:var(--accent)}
nav{display:flex;flex-wrap:wrap;gap:.3rem 1.1rem;padding:.75rem 0;margin-top:1.25rem;
border-top:1px solid var(--line);border-bottom:1px solid var(--line);font-size:.92rem}
nav a{text-decoration:none}nav a:hover{text-decoration:underline}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:1rem 2rem;margin:1.5rem 0 0}
.facts div{border-left:2px solid var(--line);padding-left:.75rem}
.facts div.first{border-color:var(--accent)}
.facts b{display:block;font-size:1.6rem;line-height:1.25;font-weight:600;font-variant-numeric:tabular-nums}
.facts span{color:var(--muted);font-size:.87rem;display:block;line-height:1.4}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,380px),1fr));gap:1.5rem 2rem;align-items:start}
figure{margin:0 0 1rem;min-width:0;max-width:500px}
figure.wide{max-width:none}
figcaption{margin-bottom:.35rem;max-width:46rem}
figcaption b{color:var(--ink);font-weight:600}
svg{display:block;width:100%;height:auto;overflow:visible;font-size:13px;font-family:inherit}
svg text{fill:var(--muted);font-variant-numeric:tabular-nums}
svg .ink{fill:var(--ink)}
.axis{stroke:var(--muted);stroke-width:1}
.rule{stroke:var(--line);stroke-width:1}
.dot{fill:var(--dot);fill-opacity:.7}
.ring{fill:var(--ground);stroke:var(--dot);stroke-width:1.5}
.lost{stroke:var(--dot);stroke-width:1.8;fill:none}
.best{fill:var(--accent);stroke:var(--ground);stroke-width:1}
.bar{fill:var(--accent)}
.bar.plain{fill:var(--dot)}
.curve{fill:none;stroke:var(--accent);stroke-width:2;stroke-linejoin:round}
.curve.plain{stroke:var(--dot);stroke-dasharray:5 3}
.curve.thin{stroke-width:1.2;stroke-opacity:.75}
.span{stroke:var(--accent);stroke-width:2.5}
.off{fill:var(--dot)}
.hit{fill:transparent}
.mark{stroke:var(--muted);stroke-width:1;stroke-dasharray:2 3}
.legend{display:flex;flex-wrap:wrap;gap:.1rem 1.1rem;margin-top:.35rem}
.legend svg{display:inline-block;width:22px;height:12px;margin-right:.35rem;vertical-align:-1px}
.scroll{overflow-x:auto;margin:0 0 .9rem}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;line-height:1.4}
th,td{padding:.3rem .65rem;text-align:left;vertical-align:top;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child{padding-left:.3rem}
td.w{white-space:normal;min-width:15rem;overflow-wrap:anywhere}
th{font-weight:600;vertical-align:bottom}thead th{border-bottom-color:var(--muted)}
th.n,td.n{text-align:right}
tr.marked td{background:var(--soft);font-weight:600}
table.matrix td.n{-webkit-print-color-adjust:exact;print-color-adjust:exact}
.maps{display:grid;grid-template-columns:repeat(auto-fill,minmax(92px,1fr));gap:.75rem;margin:0}
.maps div{font-size:.78rem;color:var(--muted);line-height:1.35}
.maps img,figure img{display:block;width:100%;height:auto;background:#fff;border:1px solid var(--line)}
pre{background:var(--soft);padding:.75rem .9rem;overflow-x:auto;font-size:.86rem;line-height:1.5;margin:0 0 .9rem}
code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.25rem;margin:0 0 1rem;font-size:.92rem}
dt{color:var(--muted)}dd{margin:0;overflow-wrap:anywhere}
details summary{cursor:pointer;color:var(--muted);font-size:.92rem;margin-bottom:.5rem}
footer{margin-top:3rem;padding-top:.75rem;border-top:1px solid var(--line)}
footer p{max-width:none}
#tip{position:fixed;z-index:2;pointer-events:none;background:var(--ink);color:var(--ground);font-size:.8rem;
line-height:1.4;padding:.3rem .55rem;max-width:260px;white-space:pre-line;visibility:hidden}
@media (max-width:560px){main{padding:1.5rem 1rem 2rem}h1{font-size:1.4rem}.facts b{font-size:1.35rem}
td.w{min-width:9rem}.minor{display:none}
table{font-size:.76rem}th,td{padding:.3rem .2rem;white-space:normal}
dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.4rem}}
@media print{@page{margin:14mm}body{font-size:10.5pt}main{max-width:none;padding:0}nav,#tip{display:none}
figure,tr,pre,.maps div,.facts{break-inside:avoid}h2{break-after:avoid}section{margin-top:1.6rem}
.grid{grid-template-columns:1fr 1fr}pre{white-space:pre-wrap}.scroll{overflow:visible}}
""".strip().replace("\n", "")

# Browsers show the title of a drawn element after a second, and not at all on a phone.
_SCRIPT = """
const tip=document.createElement("div");tip.id="tip";document.body.append(tip);
document.addEventListener("pointerover",event=>{
const shape=event.target.closest("svg [data-tip], svg :has(> title)");
if(!shape){tip.style.visibility="hidden";return}
const title=shape.querySelector("title");
if(title){shape.dataset.tip=title.textContent;title.remove()}
tip.textContent=shape.dataset.tip;
const box=shape.getBoundingClientRect(),own=tip.getBoundingClientRect();
tip.style.left=Math.max(4,Math.min(innerWidth-own.width-4,box.x+box.width/2-own.width/2))+"px";
tip.style.top=(box.y>own.height+10?box.y-own.height-6:box.bottom+6)+"px";
tip.style.visibility="visible"});
""".strip().replace("\n", "")
