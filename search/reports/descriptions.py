"""Descriptions of the data and figures, written as files into a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from insects.tables.raw import RawTable


FigureFormat = Literal["png", "svg"]
"""What figures are written as; `svg` means that they are written as PNG and as SVG."""

FIGURE_FORMATS: tuple[FigureFormat, ...] = get_args(FigureFormat)


def write_table(folder: Path, table: RawTable, figures: FigureFormat = "png") -> None:
    """Write the description of a table and its figures.

    Args:
        folder: The folder, made if absent.
        table: The table.
        figures: What its figures are written as.
    """
    from insects.plots.table import table_figures
    from insects.tables.describe import describe

    description = describe(table)
    write_texts(folder, description.text(), description.as_dict())
    write_figures(folder, table_figures(table), figures)


def write_texts(folder: Path, text: str, content: Mapping[str, Any]) -> None:
    """Write a description as `description.txt` and `description.json`.

    Args:
        folder: The folder, made if absent.
        text: The description for people.
        content: The description for programs, ready for JSON.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "description.txt").write_text(text + "\n", encoding="utf-8")
    numbers = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "description.json").write_text(numbers + "\n", encoding="utf-8")


def write_figures(folder: Path, figures: Mapping[str, Figure], written_as: FigureFormat = "png") -> None:
    """Write figures as PNG files, and beside them as SVG files if asked for.

    Args:
        folder: A folder that exists.
        figures: The figures by the names of their PNG files.
        written_as: The format.
    """
    from insects.plots import figure_png, figure_svg

    for name, figure in figures.items():
        path = folder / name
        path.write_bytes(figure_png(figure))
        if written_as == "svg":
            path.with_suffix(".svg").write_bytes(figure_svg(figure))
