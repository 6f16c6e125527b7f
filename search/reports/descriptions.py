"""Descriptions and figures as files in a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from insects.tables.raw import RawTable


def write_table(folder: Path, table: RawTable) -> None:
    """Write a table's description and its figures; makes the folder."""
    from insects.plots.table import table_figures
    from insects.tables.describe import describe

    description = describe(table)
    write_texts(folder, description.text(), description.as_dict())
    write_figures(folder, table_figures(table))


def write_texts(folder: Path, text: str, content: Mapping[str, Any]) -> None:
    """Write a description as `description.txt` and `.json`; makes the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "description.txt").write_text(text + "\n", encoding="utf-8")
    numbers = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "description.json").write_text(numbers + "\n", encoding="utf-8")


def write_figures(folder: Path, figures: Mapping[str, Figure]) -> None:
    """Write figures under their file names."""
    from insects.plots import figure_png

    for name, figure in figures.items():
        (folder / name).write_bytes(figure_png(figure))
