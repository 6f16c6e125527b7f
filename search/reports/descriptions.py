"""Descriptions of the data and figures, written as files into a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from insects.tables.raw import RawTable


def write_table(folder: Path, table: RawTable) -> None:
    """Write the description of a table and its figures.

    Args:
        folder: The folder, made if absent.
        table: The table.
    """
    from insects.plots.table import table_figures
    from insects.tables.describe import describe

    description = describe(table)
    write_texts(folder, description.text(), description.as_dict())
    write_figures(folder, table_figures(table))


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


def write_figures(folder: Path, figures: Mapping[str, Figure]) -> None:
    """Write figures as PNG files.

    Args:
        folder: A folder that exists.
        figures: The figures by file name.
    """
    from insects.plots import figure_png

    for name, figure in figures.items():
        (folder / name).write_bytes(figure_png(figure))
