"""The parts of a report about the data and the settings."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from insects.text import counted
from search.reports.report_contents import Contents
from search.reports.report_page import escape, name, paragraph, table
from search.store.image_manifest import ImageManifest
from search.store.table_manifest import TableManifest

LISTED = 50
"""Most columns, left out columns and classes in a table."""

_LEVELS = 8  # of a category


def data_section(contents: Contents) -> str:
    """Return rows, columns with their kinds, and classes."""
    sizes = contents.fingerprint["data"]
    facts = {
        "source": name(contents.source, 80),
        f"{contents.unit}s": f"{sizes['train_rows']:,} training, {sizes['valid_rows']:,} validation, "
        f"{sizes['test_rows']:,} held out for the evaluation",
    }
    if contents.images is not None:
        facts |= _image_facts(contents.images)
        below = ""
    else:
        assert contents.table is not None, "a study is on images or on a table"
        facts |= {"target": name(contents.table.target), "scaling": escape(sizes["scaling"])}
        below = _columns(contents.table)
    return _list(facts) + below + _classes(contents)


def settings_section(contents: Contents) -> str:
    """Return everything that the results depend on."""
    rows = [[escape(key), escape(value)] for key, value in _flat(contents.fingerprint)]
    listed = table(["setting", "value"], rows, texts=(0, 1), wrapped=1)
    return f"<details><summary>All settings that the results depend on</summary>{listed}</details>"


def _columns(manifest: TableManifest) -> str:
    columns = manifest.model_columns.columns
    rows = []
    for column in columns[:LISTED]:
        about = ""
        if column.kind == "category":
            levels = ", ".join(name(level, 20) for level in column.levels[:_LEVELS])
            more = len(column.levels) - _LEVELS
            about = f"{counted(len(column.levels), 'level')}: {levels}" + (f" and {more:,} more" if more > 0 else "")
        elif column.kind == "date":
            about = f"from {escape(column.start)}"
        rows.append([name(column.name), column.kind, about])
    head = [f"column ({len(columns):,})", "kind", "levels"]
    if not any(row[-1] for row in rows):
        head, rows = head[:-1], [row[:-1] for row in rows]
    parts = [table(head, rows, texts=(0, 1, 2), wrapped=2 if len(head) == 3 else None)]
    if len(columns) > len(rows):
        parts.append(paragraph(f"The first {len(rows)} of {len(columns):,} columns.", "note"))
    if manifest.dropped:
        left_out = [f"{name(column)} ({escape(reason)})" for column, reason in manifest.dropped[:LISTED]]
        more = len(manifest.dropped) - len(left_out)
        parts.append(paragraph("Left out: " + ", ".join(left_out) + (f" and {more:,} more" if more else "") + "."))
    parts += [paragraph(escape(note), "note") for note in manifest.notes]
    return "".join(parts)


def _classes(contents: Contents) -> str:
    sample, sizes = contents.data.sample, contents.fingerprint["data"]
    y = np.concatenate([sample.train_y, sample.valid_y])
    counts = np.bincount(y, minlength=len(sample.classes)).tolist()
    rows = [
        [name(text), f"{count:,}", f"{100 * count / max(1, len(y)):.1f} %"]
        for text, count in zip(sample.classes[:LISTED], counts, strict=False)
    ]
    total = sizes["train_rows"] + sizes["valid_rows"]
    of = f"{len(y):,} of {total:,}" if len(y) < total else f"{total:,}"
    notes = [f"Of {of} training and validation {contents.unit}s."]
    if len(sample.classes) > len(rows):
        notes.append(f"The first {len(rows)} of {len(sample.classes):,} classes.")
    head = [f"class ({len(sample.classes):,})", f"{contents.unit}s", "share"]
    return table(head, rows) + paragraph(" ".join(notes), "note")


def _image_facts(images: ImageManifest) -> dict[str, str]:
    features = f"the output of {images.backbone}" if images.backbone else f"pixels of {images.size} by {images.size}"
    return {"target": name(images.target), "features": escape(features), "folder": name(images.folder, 80)}


def _list(facts: dict[str, str]) -> str:
    return "<dl>" + "".join(f"<dt>{key}</dt><dd>{value}</dd>" for key, value in facts.items()) + "</dl>"


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)[:2000]))
    return rows
