"""Charts of a report as SVG: axes, points, lines and bars. Every mark has a title, which browsers show on hovering.

Their colours are classes of the page's style, so that they follow a dark screen and a print.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from insects.plots.ticks import label, logarithmic_ticks, rounded_down, rounded_up
from search.reports.report_page import escape

WIDTH, HEIGHT = 480, 280
"""Units of a drawing; its text has 13 of them, still legible on a phone of 390 pixels."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 10, 12, 46
_ROW, _VALUES = 30, 56  # of a chart with a line for each value: height of a line, room for the number
_CHARACTER = 7.5  # mean width of a character, rather too wide
_OWN_SPANS = 6  # an axis of accuracies is at most so many times as long as the way from 1 to the model's own lowest

Ticks = Sequence[tuple[float, str]]
Mark = Literal["dot", "ring", "best", "lost"]


@dataclass(frozen=True)
class Scale:
    """An axis.

    Attributes:
        name: What it shows, with its unit.
        low: Its start.
        high: Its end.
        ticks: Values with their labels.
        is_logarithmic: Whether equal factors are equal distances.
    """

    name: str
    low: float
    high: float
    ticks: Ticks
    is_logarithmic: bool = False

    def share(self, value: float) -> float:
        """Return the place of a value as a share of the axis."""
        if self.is_logarithmic:
            return math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Point:
    """A point of a chart.

    Attributes:
        x: Its value on the x axis.
        y: Its value on the y axis; infinity: it is drawn at the upper edge.
        title: What hovering shows.
        mark: How it is drawn.
    """

    x: float
    y: float
    title: str
    mark: Mark = "dot"


@dataclass(frozen=True)
class Interval:
    """A line of a chart of values.

    Attributes:
        name: What it is.
        value: Its value.
        low: Lower limit; None: there is no interval.
        high: Upper limit.
        is_own: Whether it is the study's own model.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    is_own: bool = False


@dataclass(frozen=True)
class Bar:
    """A bar of a chart of bars.

    Attributes:
        name: What it is, plain text.
        share: Its length as a share of the longest that there is room for.
        value: What it stands for, beside it.
        title: What hovering shows.
    """

    name: str
    share: float
    value: str
    title: str


def linear(name: str, low: float, high: float, steps: int = 5) -> Scale:
    """Return an axis that holds these values and has round ticks."""
    if high <= low:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / steps
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = [(number * step, label(round(number * step, 12))) for number in range(first, last + 1)]
    return Scale(name, first * step, last * step, ticks)


def whole(name: str, low: int, high: int) -> Scale:
    """Return an axis of whole numbers, which begins and ends with these."""
    step = max(1, round(linear(name, low, high).ticks[1][0] - linear(name, low, high).ticks[0][0]))
    margin = 0.03 * max(1, high - low)
    ticks = [(float(tick), f"{tick:,}") for tick in range(math.ceil(low / step) * step, high + 1, step)]
    return Scale(name, low - margin, high + margin, ticks)


def logarithmic(name: str, low: float, high: float) -> Scale:
    """Return a logarithmic axis that holds these values, which are above 0."""
    low, high = rounded_down(0.95 * low), rounded_up(1.05 * high)
    return Scale(name, low, high, [(tick, label(tick)) for tick in logarithmic_ticks(low, high)], True)


class Chart:
    """A chart with two axes.

    Args:
        about: What it shows, in words.
        x: The x axis.
        y: The y axis.
    """

    def __init__(self, about: str, x: Scale, y: Scale) -> None:
        self._x, self._y = x, y
        self._parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(about)}">']
        floor, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
        for tick, text in y.ticks:
            at = self._at_y(tick)
            self._parts.append(f'<path class="rule" d="M{_LEFT} {at:.1f}H{right}"/>')
            self._parts.append(f'<text x="{_LEFT - 7}" y="{at + 4.5:.1f}" text-anchor="end">{escape(text)}</text>')
        for tick, text in x.ticks:
            at = self._at_x(tick)
            self._parts.append(f'<path class="axis" d="M{at:.1f} {floor}v4"/>')
            self._parts.append(f'<text x="{at:.1f}" y="{floor + 18}" text-anchor="middle">{escape(text)}</text>')
        self._parts.append(f'<path class="axis" d="M{_LEFT} {floor}H{right}"/>')
        middle = (_LEFT + right) / 2
        self._parts.append(
            f'<text class="ink" x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x.name)}</text>'
        )
        centre = (_TOP + floor) / 2
        self._parts.append(
            f'<text class="ink" transform="translate(13 {centre}) rotate(-90)" text-anchor="middle">'
            f"{escape(y.name)}</text>"
        )

    def line(
        self, xs: Sequence[float], ys: Sequence[float], kind: str = "", title: str = "", steps: bool = False
    ) -> None:
        """Draw a line; it has gaps where a value is not finite.

        Args:
            xs: Values on the x axis.
            ys: As many on the y axis.
            kind: Classes beside `curve`.
            title: What hovering shows.
            steps: Whether a value holds up to the next one.
        """
        path, is_open, before = [], False, 0.0
        for x, y in zip(xs, ys, strict=True):
            if not math.isfinite(y):
                is_open = False
                continue
            at_x, at_y = self._at_x(x), self._at_y(y)
            if not is_open:
                path.append(f"M{at_x:.1f} {at_y:.1f}")
            elif steps:
                path.append(f"H{at_x:.1f}" + (f"V{at_y:.1f}" if at_y != before else ""))
            else:
                path.append(f"L{at_x:.1f} {at_y:.1f}")
            is_open, before = True, at_y
        self._parts.append(f'<path class="{f"curve {kind}".strip()}" d="{"".join(path)}">{_title(title)}</path>')

    def mark(self, x: float) -> None:
        """Draw an upright line."""
        self._parts.append(f'<path class="mark" d="M{self._at_x(x):.1f} {_TOP}V{HEIGHT - _BOTTOM}"/>')

    def points(self, points: Sequence[Point]) -> None:
        """Draw points, the last ones on top."""
        for point in points:
            x = self._at_x(point.x)
            y = self._at_y(point.y) if math.isfinite(point.y) else _TOP + 4.0
            title = _title(point.title)
            if point.mark == "lost":
                shape = f"M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8"
                self._parts.append(f'<path class="lost" d="{shape}">{title}</path>')
            else:
                radius = {"dot": 4, "ring": 3.5, "best": 6}[point.mark]
                self._parts.append(
                    f'<circle class="{point.mark}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}">{title}</circle>'
                )

    def hover(self, xs: Sequence[float], ys: Sequence[float], titles: Sequence[str]) -> None:
        """Give places of a line a title, without drawing them."""
        for x, y, title in zip(xs, ys, titles, strict=True):
            if math.isfinite(y):
                at = f'cx="{self._at_x(x):.1f}" cy="{self._at_y(y):.1f}"'
                self._parts.append(f'<circle class="hit" {at} r="7">{_title(title)}</circle>')

    def svg(self) -> str:
        """Return the drawing."""
        return "".join([*self._parts, "</svg>"])

    def _at_x(self, value: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * self._x.share(value)

    def _at_y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _BOTTOM - _TOP) * self._y.share(value)


def bars(about: str, lines: Sequence[Bar]) -> str:
    """Return horizontal bars, each with its name and value.

    Args:
        about: What they show, in words.
        lines: The bars, at least one.
    """
    left = min(_CHARACTER * max(len(line.name) for line in lines) + 12, WIDTH / 2.5)
    room = WIDTH - left - _CHARACTER * max(len(line.value) for line in lines) - 8
    height = len(lines) * _ROW + 6
    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(about)}">']
    for number, line in enumerate(lines):
        top, length = number * _ROW + 6, room * line.share
        parts.append(
            f'<text class="ink" x="{left - 8:.1f}" y="{top + 15}" text-anchor="end">{escape(line.name)}</text>'
            f'<rect class="bar" x="{left:.1f}" y="{top}" width="{max(1.0, length):.1f}" height="20">'
            f"{_title(line.title)}</rect>"
            f'<text x="{left + length + 7:.1f}" y="{top + 15}">{escape(line.value)}</text>'
        )
    return "".join([*parts, "</svg>"])


def intervals(about: str, name: str, lines: Sequence[Interval]) -> str:
    """Return values one below the other on one axis, each with its interval if it has one.

    Args:
        about: What they show, in words.
        name: What the axis shows.
        lines: The values, in [0, 1]; those that are far below the model are drawn as arrows at the edge.
    """
    limits = [limit for line in lines for limit in (line.value, line.low, line.high) if limit is not None]
    own = [limit for line in lines if line.is_own for limit in (line.value, line.low, line.high) if limit is not None]
    # An axis that begins at a far lower baseline would hide the interval.
    lowest = max(min(limits), 1.0 - _OWN_SPANS * max(1.0 - min(own, default=0.0), 0.01))
    scale = linear(name, max(0.0, lowest - 0.01), 1.0, steps=4)
    left, height = 152, len(lines) * _ROW + _BOTTOM + 4
    floor, right = height - _BOTTOM, WIDTH - _VALUES - 8
    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(about)}">']
    for tick, text in scale.ticks:
        at = left + (right - left) * scale.share(tick)
        parts.append(f'<path class="rule" d="M{at:.1f} 0V{floor}"/>')
        parts.append(f'<text x="{at:.1f}" y="{floor + 18}" text-anchor="middle">{escape(text)}</text>')
    parts.append(f'<path class="axis" d="M{left} {floor}H{right}"/>')
    parts.append(
        f'<text class="ink" x="{(left + right) / 2}" y="{height - 6}" text-anchor="middle">{escape(name)}</text>'
    )
    for number, line in enumerate(lines):
        y = number * _ROW + 15
        at = left + (right - left) * max(0.0, scale.share(line.value))
        title = f"{line.name}: {line.value:.4f}"
        shape = ""
        if line.low is not None and line.high is not None:
            title += f", 95 % interval {line.low:.4f}–{line.high:.4f}"
            start, end = (left + (right - left) * scale.share(limit) for limit in (line.low, line.high))
            shape = f'<path class="span" d="M{start:.1f} {y}H{end:.1f}M{start:.1f} {y - 5}v10M{end:.1f} {y - 5}v10"/>'
        if line.value < scale.low:
            shape += f'<path class="off" d="M{left} {y}l9 -6v12z"/>'
        else:
            shape += f'<circle class="{"best" if line.is_own else "dot"}" cx="{at:.1f}" cy="{y}" r="6"/>'
        shape += f'<rect class="hit" x="{left}" y="{y - 14}"'
        shape += f' width="{right - left}" height="28"/>'
        parts.append(f'<text class="ink" x="{left - 10}" y="{y + 4.5}" text-anchor="end">{escape(line.name)}</text>')
        parts.append(f"<g>{_title(title)}{shape}</g>")
        parts.append(f'<text x="{WIDTH}" y="{y + 4.5}" text-anchor="end">{line.value:.4f}</text>')
    return "".join([*parts, "</svg>"])


def key(mark: str, text: str) -> str:
    """Return an entry of a legend.

    Args:
        mark: `dot`, `ring`, `best` or `lost`, or the classes of a curve.
        text: What it stands for, HTML.
    """
    if mark in ("dot", "ring", "best"):
        shape = f'<circle class="{mark}" cx="11" cy="6" r="{5 if mark == "best" else 4}"/>'
    elif mark == "lost":
        shape = '<path class="lost" d="M7 2l8 8m0 -8l-8 8"/>'
    else:
        shape = f'<path class="{mark}" d="M0 6H22"/>'
    return f'<span><svg viewBox="0 0 22 12" aria-hidden="true">{shape}</svg>{text}</span>'


def _title(text: str) -> str:
    """A title of one or more lines."""
    return "<title>" + "\n".join(map(escape, text.split("\n"))) + "</title>" if text else ""
