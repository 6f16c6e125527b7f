"""Hypothesis strategies for CSV files: valid, broken and unusual ones.

Hypothesis draws the form of a file. A seeded `random.Random` draws its many cells: Hypothesis would need minutes for an
example of 10,000 columns.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from random import Random

from hypothesis import strategies as st

Grid = list[list[str]]
"""Rows of cells, the header first; the label is the last column."""

# fmt: off
ODD_CELLS = (
    "abc", "", " ", "NaN", "inf", "-Infinity", "NA", "null", "True", "1e39", "-1e400", "1e-400", "0x1F", "1_000", "1,5",
    '"', '""', 'say "no"', "two\nlines", "two\rlines", "\t", "\x1b[31m", "é", "虫", "١٢", "🐝", "\u2028", "-0.0", "007",
    "1.", ".5", "+", str(2**63), str(-(2**70)), "9" * 400, "x" * 5000, "x" * 140_000, "=1+1", "../../etc", "<b>",
)
# fmt: on
NUMBERS: list[Callable[[Random], str]] = [
    lambda random: repr(random.gauss(0, 1)),
    lambda random: f"{random.gauss(100, 20):.2f}",
    lambda random: str(random.randrange(-5, 5)),
    lambda random: str(random.randrange(2**62, 2**66)),
    lambda random: f" {random.random():e}",
    lambda random: repr(random.gauss(0, 1) * 10.0 ** random.randrange(-40, 38)),
    lambda random: "0.1",
]
OTHERS: list[Callable[[Random], str]] = [
    lambda random: random.choice(["red", "green", "blue", "Rot 7"]),
    lambda random: random.choice(["yes", "no"]),
    lambda random: random.choice(["True", "False", ""]),
    lambda random: f"level {random.randrange(300)}",
    lambda random: f"id-{random.getrandbits(60)}",
    lambda random: f"2024-{random.randrange(1, 13):02}-{random.randrange(1, 29):02}",
    lambda random: f"{random.randrange(1, 13)}/{random.randrange(1, 29)}/2023 {random.randrange(24):02}:30",
    lambda random: "" if random.random() < 0.3 else repr(random.gauss(0, 1)),
    lambda random: "NA" if random.random() < 0.7 else str(random.randrange(9)),
    lambda random: "?" if random.random() < 0.1 else f"{random.randrange(99)},5",
    lambda random: "n/a" if random.random() < 0.05 else random.choice(["low", "high"]),
    lambda random: f"the {random.choice('abc')} flew over {random.getrandbits(20)} {random.choice('xyz')} trees",
    lambda random: "about 7" if random.random() < 0.04 else str(random.randrange(50)),
    lambda random: "",
]
CLASS_NAMES: list[Callable[[int], str]] = [
    str,
    lambda code: f"{code}.0",
    lambda code: f"species {code}",
    lambda code: ["NA", "", "None", "nan", "0"][code % 5] + "+" * (code // 5),
    lambda code: chr(0x4E00 + code) + "'\"",
    lambda code: str(10**18 * (code + 5)),
]


def one_in(count: int) -> st.SearchStrategy[bool]:
    """True once in `count` draws, at a number in the middle: Hypothesis prefers to draw the bounds."""
    return st.integers(0, count - 1).map(lambda number: number == count // 2)


@st.composite
def good_grids(draw: st.DrawFn, most_columns: int) -> Grid:
    """Numbers, categories, dates and gaps under a header; 1 to 200 classes of 1 to 30 rows."""
    random = Random(draw(st.integers(0, 2**32)))  # noqa: S311 # no secrets here
    wide = draw(one_in(60))
    columns = most_columns if wide else draw(st.integers(1, 8))
    classes = 2 if wide else draw(st.sampled_from([2, 3, 5, 2, 3, 5, 10, 1, 2, 3, 200, 4]))
    rows_of_class = 4 if wide else draw(st.sampled_from([6, 3, 4, 12, 5, 2, 8, 1, 30]))
    numbers = draw(st.lists(st.sampled_from(NUMBERS) | st.sampled_from(OTHERS), min_size=1, max_size=4))
    class_name = draw(st.sampled_from(CLASS_NAMES))
    labels = [class_name(code) for code in range(classes)] * rows_of_class
    random.shuffle(labels)
    cells = [[numbers[column % len(numbers)](random) for column in range(columns)] + [label] for label in labels]
    prefix = (
        draw(st.sampled_from(["feature", "f ", "größe", "__proto__", "虫", "a,b", 'in "mm" '])) if not wide else "f"
    )
    return [[f"{prefix}{column}" for column in range(columns)] + ["labels"], *cells]


@st.composite
def bad_grids(draw: st.DrawFn, most_columns: int) -> Grid:
    """A good grid with one to three damaged cells, rows or names. Not every damage makes it invalid."""
    grid = draw(good_grids(most_columns))
    for _ in range(draw(st.integers(1, 3))):
        row = draw(st.integers(0, len(grid) - 1))
        column = draw(st.integers(-1, len(grid[row]) - 1))
        match draw(
            st.sampled_from(["odd", "odd", "odd", "short", "long", "no row", "twice", "header", "column", "equal"])
        ):
            case "odd" if grid[row]:
                grid[row][column] = draw(st.sampled_from(ODD_CELLS) | st.text(max_size=8))
            case "short":
                grid[row] = grid[row][: max(column, 0)]
            case "long":
                grid[row] = grid[row] + [""] * draw(st.integers(1, 3))
            case "no row":
                grid[row] = []
            case "twice":
                grid[0] = [*grid[0][:-2], "labels", "labels"]
            case "header":
                count = min(len(grid[0]), 20)
                grid[0][:count] = draw(st.lists(st.text(max_size=5), min_size=count, max_size=count))
            case "column":
                for cells in grid[1:]:
                    cells[:1] = [draw(st.sampled_from(ODD_CELLS))] if len(grid) < 30 else ["odd"]
            case "equal":
                grid[1:] = [grid[-1]] * len(grid[1:])
    return grid


@st.composite
def csv_files(draw: st.DrawFn, most_columns: int = 10_000) -> bytes:
    """A grid in one of many CSV dialects and encodings, with a tenth of the files damaged again; or no table at all.

    Args:
        draw: Given by Hypothesis.
        most_columns: Columns of the widest files.
    """
    kind = draw(st.sampled_from(["good"] * 11 + ["noise"] + ["bad"] * 8))
    if kind == "noise":
        return draw(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8")))
    out = io.StringIO()
    writer = csv.writer(
        out,
        lineterminator=draw(st.sampled_from(["\n", "\n", "\r\n", "\r"])),
        quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
        delimiter=draw(st.sampled_from([","] * 12 + [";", ";", "\t", "|"])),
    )
    writer.writerows(draw(good_grids(most_columns) if kind == "good" else bad_grids(most_columns)))
    text = out.getvalue()
    content = draw(st.sampled_from(["", "", "\ufeff", "", "\n", ""])).encode() + text.encode("utf-8", "surrogatepass")
    if draw(one_in(30)):
        return text.encode("utf-16", "surrogatepass")
    if draw(one_in(20)):
        place = draw(st.integers(0, len(content)))
        return content[:place] + draw(st.sampled_from([b"\0", b"\xff", b'"', b"\xc3", b"\r", b","])) + content[place:]
    if draw(one_in(20)):
        return content[: draw(st.integers(0, len(content)))]
    return content
