"""Cells of a table as texts, numbers and times, the same for text files, typed files and data frames in memory.

Shapes: N rows, U different cells.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

MISSING_LABELS = frozenset(("", "NA", "N/A", "#N/A", "NaN", "nan", "<NA>", "NULL", "null", "?"))
"""Texts that say that a label is missing. `None` is a class name."""

MISSING = MISSING_LABELS | {
    "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "None", "n/a"
}  # fmt: skip
"""Texts that say that a cell is missing: pandas' own, and the question mark of older collections."""

_WHOLE = re.compile(r"([+-]?\d+)\.0+", re.ASCII)
_LONGEST_YEAR_FIRST = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y-%m")
_DAY_OR_MONTH_FIRST = (
    "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%m-%d-%Y", "%d-%m-%Y", "%m/%d/%y", "%d/%m/%y", "%d.%m.%y",
    "%d %b %Y", "%b %d %Y", "%b %d, %Y", "%B %d, %Y", "%d %B %Y", "%d-%b-%Y", "%d-%b-%y",
)  # fmt: skip
_CLOCKS = ("", " %H:%M:%S", " %H:%M", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
DATE_FORMATS = (
    *(date + clock for date in (*_LONGEST_YEAR_FIRST, *_DAY_OR_MONTH_FIRST) for clock in _CLOCKS),
    "ISO8601",
)
"""Formats of dates, as `pandas.to_datetime` takes them, in the order in which they are tried."""


_LIKE_DATE = re.compile(
    r"\d{4}"  # 2024-01-31
    r"|\d{1,2}([./-])\d{1,2}\1\d{2}"  # 31.01.2024, 1/31/24
    r"|\d{1,2}[\s-]+[^\W\d]{3,}[\s-]+\d{2}"  # 31 Jan 2024, 31-Jan-24
    r"|[^\W\d]{3,}\s+\d{1,2},?\s+\d{4}"  # January 31, 2024
)
"""The beginning of every date in one of these formats."""


@dataclass(frozen=True)
class Texts:
    """The cells of a column as texts: without surrounding blanks, whole numbers without `.0`, booleans as True, False.

    Attributes:
        texts: U different texts.
        code: `(N,)`, the place of each cell's text in `texts`; -1 where the cell is missing.
    """

    texts: tuple[str, ...]
    code: NDArray[np.intp]

    @property
    def counts(self) -> NDArray[np.intp]:
        """`(U,)`, number of cells with each text."""
        return np.bincount(self.code[self.code >= 0], minlength=len(self.texts))

    @property
    def known(self) -> int:
        """Number of cells that are not missing."""
        return int(np.count_nonzero(self.code >= 0))


def texts(cells: pd.Series, missing: frozenset[str] = MISSING) -> Texts:
    """The cells of a column as texts.

    Args:
        cells: `(N,)`, of any type.
        missing: Texts of missing cells.
    """
    import pandas as pd

    code_N, values = pd.factorize(cells)
    place: dict[str, int] = {}
    of_value = np.empty(len(values) + 1, np.intp)
    of_value[-1] = -1  # also where `factorize` gives -1 for a missing cell
    for number, value in enumerate(values):
        text = _text(value)
        of_value[number] = -1 if text in missing else place.setdefault(text, len(place))
    return Texts(tuple(place), of_value[code_N])


def numbers(cells: pd.Series, decimal: str = ".") -> NDArray[np.float64]:
    """The cells of a column as numbers.

    Args:
        cells: `(N,)`, of any type.
        decimal: The decimal mark in texts.

    Returns:
        `(N,)`; NaN where a cell is missing or holds no finite number.
    """
    if cells.dtype.kind in "iufb":
        number_N = cells.to_numpy(np.float64)
        return number_N if np.isfinite(number_N).all() else np.where(np.isfinite(number_N), number_N, np.nan)
    if cells.dtype.kind == "M":
        return np.full(len(cells), np.nan)
    parsed = _parsed_by_arrow(cells, decimal)
    if parsed is not None:
        return parsed
    found = texts(cells)
    of_text = np.array([*(_number(text, decimal) for text in found.texts), np.nan])
    return of_text[found.code]


def times(cells: pd.Series, date_format: str) -> NDArray[np.datetime64]:
    """The cells of a column as times without a zone.

    Args:
        cells: `(N,)`, of any type.
        date_format: One of `DATE_FORMATS`.

    Returns:
        `(N,)` datetime64[s]; NaT where a cell is missing or no date.
    """
    if cells.dtype.kind == "M":
        return cells.to_numpy("datetime64[s]")
    found = texts(cells)
    of_text = np.append(_parsed_times(found.texts, date_format), np.datetime64("NaT", "s"))
    return of_text[found.code]


def date_format_of(found: Texts, share: float) -> str | None:
    """The format of most texts.

    Args:
        found: The cells.
        share: Least share of the different texts that must have the format.

    Returns:
        One of `DATE_FORMATS`; None if too few texts are dates.
    """
    sample = found.texts[:: max(1, len(found.texts) // 200)]
    if np.mean([bool(_LIKE_DATE.match(text)) for text in sample]) < share:  # saves 120 attempts
        return None
    best, most = None, 0.0
    for date_format in DATE_FORMATS:
        parsed = float(np.mean(~np.isnat(_parsed_times(sample, date_format))))
        if parsed > most:
            best, most = date_format, parsed
        if parsed == 1:
            break
    if best is None or most < share:
        return None
    return best if np.mean(~np.isnat(_parsed_times(found.texts, best))) >= share else None


def _text(value: object) -> str:
    if isinstance(value, str):
        text = value.strip()
        whole = _WHOLE.fullmatch(text)
        if whole:
            return whole[1]
        return text.capitalize() if text.casefold() in ("true", "false") else text
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _number(text: str, decimal: str) -> float:
    if decimal != ".":
        text = text.replace(decimal, ".")
    try:
        number = float(text) if "_" not in text else np.nan
    except ValueError:
        return np.nan
    return number if np.isfinite(number) else np.nan


def _parsed_by_arrow(cells: pd.Series, decimal: str) -> NDArray[np.float64] | None:
    """Numbers of texts that all are numbers or missing, in a tenth of the time; None if one is something else."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        array = pc.utf8_trim_whitespace(pa.array(cells, pa.string(), from_pandas=True))
        if decimal != ".":
            array = pc.replace_substring(array, decimal, ".")
        gaps = pc.is_in(array, pa.array(sorted(MISSING), pa.string()))
        parsed = pc.cast(pc.if_else(gaps, None, array), pa.float64())
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return None
    number_N = parsed.to_numpy(zero_copy_only=False)
    return np.where(np.isfinite(number_N), number_N, np.nan)


def _parsed_times(found: tuple[str, ...], date_format: str) -> NDArray[np.datetime64]:
    import pandas as pd

    parsed = pd.to_datetime(pd.Series(found, dtype=object), format=date_format, errors="coerce", utc=True)
    return parsed.dt.tz_localize(None).to_numpy("datetime64[s]")
