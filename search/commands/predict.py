"""`insects-predict`: the label and the probability of each class for the rows of a table, or for images."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insects.tables.writing import check_writable, table_writer
from search.commands.prediction_data import LabelledBlocks, PredictionRequest, open_blocks
from search.registry.load import load_model
from search.store.store import Store
from search.system.files import replaced_file
from search.system.terminal import say

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Predictions:
    """What was labelled.

    Attributes:
        model: `name`, `version` and `uri` of the model.
        source: The name of the rows.
        rows: Number of rows.
        counts: Rows of each class.
        records: The rows with their predictions, if they were not written.
    """

    model: dict[str, str]
    source: str
    rows: int
    counts: dict[str, int]
    records: list[dict[str, Any]] | None


def run_prediction(store: Store, uri: str, request: PredictionRequest, out: Path | None, stdout: Any) -> Predictions:
    """Label rows or images with a registered model, block by block.

    Args:
        store: The store of the model.
        uri: The model's URI.
        request: The rows or images.
        out: The file to write.
        stdout: Where to write CSV if there is no file; None: the rows are returned.

    Raises:
        StoreError: There is no such model, MLflow does not answer, or the file cannot be written.
        DataError: The rows do not fit the model.
    """
    if out is not None:
        check_writable(out)
    store.check_database()
    model = load_model(store, uri)
    labelled = open_blocks(model, request)
    if out is None and stdout is None:
        counts, records = _collect(labelled)
    else:
        counts, records = _write(labelled, out, stdout), None
    for note in labelled.notes:
        say(note[0].upper() + note[1:])
    return Predictions(
        model={"name": model.name, "version": model.version, "uri": uri},
        source=labelled.source,
        rows=counts.total(),
        counts={name: counts[code] for code, name in enumerate(model.classes)},
        records=records,
    )


def _write(labelled: LabelledBlocks, out: Path | None, stdout: Any) -> Counter[int]:
    counts: Counter[int] = Counter()
    with ExitStack() as stack:
        sink = stdout if out is None else stack.enter_context(replaced_file(out))
        assert sink is not None, "there is a file or standard output"
        name = None if out is None else out.name
        writer = stack.enter_context(table_writer(sink, name, labelled.separator, labelled.decimal))
        for block, code_N in labelled.blocks(writer.is_typed):
            writer.write(block)
            counts.update(code_N.tolist())
    return counts


def _collect(labelled: LabelledBlocks) -> tuple[Counter[int], list[dict[str, Any]]]:
    counts: Counter[int] = Counter()
    records: list[dict[str, Any]] = []
    for block, code_N in labelled.blocks(typed=True):
        records += _records(block)
        counts.update(code_N.tolist())
    return counts, records


def _records(block: pa.Table) -> list[dict[str, Any]]:
    text = block.to_pandas().to_json(orient="records", force_ascii=False, date_format="iso")
    records: list[dict[str, Any]] = json.loads(text)
    return records
