"""The rows or images that a model labels, in blocks with the label and the probabilities behind their own columns."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from insects.errors import DataError
from insects.images.folders import image_files
from insects.images.footprint import images_at_once
from insects.images.reading import read_pixels
from insects.mlp import Floats
from insects.tables import cells
from insects.tables.frames import FrameBlocks, read_frame
from insects.tables.text_files import TableFormat
from insects.text import counted, listed, shown
from search.registry.load import LoadedModel
from search.registry.predictor import prediction_columns, prediction_frame, program_logits

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

IMAGES_AT_ONCE = 256
"""Images that are decoded at a time."""


@dataclass(frozen=True)
class PredictionRequest:
    """The rows or images to label.

    Attributes:
        rows: The table; None: images are labelled.
        table_format: How a text file is read.
        images: A CSV with the names of image files, or a folder of images.
        image_dir: The folder that the file names of a CSV are in.
        filename: The column of the file names.
        skip_bad_images: Leave out files that cannot be read.
    """

    rows: Path | None
    table_format: TableFormat | None = None
    images: Path | None = None
    image_dir: Path | None = None
    filename: str | None = None
    skip_bad_images: bool = False


class LabelledBlocks(Protocol):
    """Rows that a model labels.

    Attributes:
        source: Name of the rows.
        separator: The character between the cells of a CSV file that is written.
        decimal: Its decimal mark.
        notes: Remarks for the user, complete after the last block.
    """

    @property
    def source(self) -> str: ...
    @property
    def separator(self) -> str: ...
    @property
    def decimal(self) -> str: ...
    @property
    def notes(self) -> list[str]: ...

    def blocks(self, typed: bool) -> Iterator[tuple[pa.Table, NDArray[np.intp]]]:
        """Label the rows.

        Args:
            typed: Whether numbers become numbers where the file has them as texts.

        Returns:
            Blocks of rows, and the class number of each row.
        """


def open_blocks(model: LoadedModel, request: PredictionRequest) -> LabelledBlocks:
    """Open the rows or images that are asked for.

    Args:
        model: The model that labels them.
        request: The rows or images.

    Raises:
        DataError: They do not fit the model.
    """
    name = f"{model.name} version {model.version}"
    if model.images is None:
        if request.rows is None:
            raise DataError(f"{name} takes the rows of a table, not images: name a table file")
        return LabelledRows(model, request.rows, request.table_format or TableFormat())
    if request.images is None:
        raise DataError(f"{name} takes images: give them with --images")
    return LabelledImages(model, request)


class LabelledRows:
    """The rows of a table; see `LabelledBlocks`.

    Args:
        model: The model.
        path: The file.
        table_format: How a text file is read.
    """

    def __init__(self, model: LoadedModel, path: Path, table_format: TableFormat) -> None:
        assert model.table is not None, "the model takes rows"
        self._model, self._columns = model, model.table.columns
        self._file = FrameBlocks(path, table_format)
        self.source, self.decimal = self._file.source, self._file.decimal
        self.separator = "," if self._file.text is None else self._file.text.separator
        self._columns.check_present(self._file.names, self.source)
        _check_free(self._file.names, model, self.source)
        self._odd: Counter[str] = Counter()
        self._first_odd: dict[str, int] = {}
        self._unseen: Counter[str] = Counter()

    @property
    def notes(self) -> list[str]:
        odd = [
            f"{self._file.where(self._first_odd[name])}: {counted(count, 'cell')} of column {shown(name)} must be "
            "numbers and count as missing; this is the first"
            for name, count in self._odd.items()
        ]
        unseen = [
            f"column {shown(name)}: {counted(count, 'cell')} with a value that is rare or new to the model"
            for name, count in self._unseen.items()
        ]
        return odd + unseen

    def blocks(self, typed: bool) -> Iterator[tuple[pa.Table, NDArray[np.intp]]]:
        done = 0
        waiting: deque[Future[tuple[pa.Table, NDArray[np.intp]]]] = deque()
        # One thread reads and writes while another one predicts.
        with ThreadPoolExecutor(1, "predict") as executor:
            for frame, block in self._file:
                waiting.append(executor.submit(self._label, frame, block, done, typed))
                done += len(frame)
                if len(waiting) > 1:
                    yield waiting.popleft().result()
            for labelled in waiting:
                yield labelled.result()
        if not done:
            raise DataError(f"{self.source} has a header but no rows; add some")

    def _label(self, frame: pd.DataFrame, block: pa.Table, done: int, typed: bool) -> tuple[pa.Table, NDArray[np.intp]]:
        x_NK = self._columns.code(frame, self.source, self.decimal)
        self._look_at(frame, x_NK, done)
        logits_NC = program_logits(self._model.program, x_NK)
        if typed and self._file.text is not None:
            block = self._with_numbers(block, frame)
        return _with_prediction(block, self._model, logits_NC), logits_NC.argmax(axis=1)

    def _look_at(self, frame: pd.DataFrame, x_NK: Floats, done: int) -> None:
        """Count the cells that the model cannot take as they are. `done`: rows before these."""
        for place, column in self._columns.places():
            if column.kind == "category":
                self._unseen[column.name] += int(np.count_nonzero(x_NK[:, place] == len(column.levels)))
            elif column.kind == "number":
                gap_M = np.flatnonzero(np.isnan(x_NK[:, place]))
                odd = gap_M[cells.texts(frame[column.name].iloc[gap_M]).code >= 0]
                if len(odd):
                    self._odd[column.name] += len(odd)
                    self._first_odd.setdefault(column.name, done + int(odd[0]))
        self._unseen = +self._unseen  # without zeros

    def _with_numbers(self, block: pa.Table, frame: pd.DataFrame) -> pa.Table:
        import pyarrow as pa

        for column in self._columns.columns:
            if column.kind == "number":
                numbers = cells.numbers(frame[column.name], self.decimal)
                place = block.column_names.index(column.name)
                block = block.set_column(place, column.name, pa.array(numbers, from_pandas=True))
        return block


class LabelledImages:
    """Images; see `LabelledBlocks`.

    Args:
        model: The model.
        request: The images.
    """

    separator, decimal = ",", "."

    def __init__(self, model: LoadedModel, request: PredictionRequest) -> None:
        import pyarrow as pa

        assert model.images is not None, "the model takes images"
        assert request.images is not None, "images are asked for"
        self._model, self._skip_bad = model, request.skip_bad_images
        self._size = int(model.images["size"])
        self.notes: list[str] = []
        filename = request.filename or "filename"
        if request.image_dir is None:
            self._folder, self.source = request.images, request.images.resolve().name
            self._files = image_files(self._folder)
            self._table = pa.table({filename: self._files})
        else:
            frame = read_frame(request.images, TableFormat(), {filename})
            self._folder, self.source = request.image_dir, frame.source
            if filename not in frame.cells.columns:
                names = listed([str(name) for name in frame.cells.columns])
                raise DataError(
                    f"{frame.source} has no file name column {shown(filename)}, its columns are {names}; choose one",
                    parameter="filename",
                )
            found = cells.texts(frame.cells[filename])
            if found.known < len(frame.cells):
                row = int(np.flatnonzero(found.code < 0)[0])
                raise DataError(f"{frame.where(row)}: the file name must not be empty; fill it in")
            self._files = [found.texts[code] for code in found.code]
            self._table = pa.Table.from_pandas(frame.cells, preserve_index=False)
        _check_free(self._table.column_names, model, self.source)

    def blocks(self, typed: bool) -> Iterator[tuple[pa.Table, NDArray[np.intp]]]:
        bad = []
        for start in range(0, len(self._files), IMAGES_AT_ONCE):
            names = self._files[start : start + IMAGES_AT_ONCE]
            pixels, faults = read_pixels(self._folder, names, self._size)
            for row in sorted(faults):
                bad.append(f"{self.source}: image {shown(names[row])} {faults[row]}")
                if not self._skip_bad:
                    raise DataError(f"{bad[0]}; or leave bad images out", parameter="skip_bad_images")
            good = [row for row in range(len(names)) if row not in faults]
            if good:
                logits_NC = program_logits(self._model.program, pixels[good], images_at_once(self._size))
                block = self._table.slice(start, IMAGES_AT_ONCE).take(good)
                yield _with_prediction(block, self._model, logits_NC), logits_NC.argmax(axis=1)
        if len(bad) == len(self._files):
            raise DataError(f"{bad[0]}: no image is left")
        self.notes += [f"bad images left out: {len(bad)}; the first: {bad[0]}"] if bad else []


def _with_prediction(block: pa.Table, model: LoadedModel, logits_NC: Floats) -> pa.Table:
    import pyarrow as pa

    prediction = prediction_frame(model.target, model.classes, logits_NC)
    for name in prediction.columns:
        block = block.append_column(name, pa.array(prediction[name]))
    return block


def _check_free(names: Sequence[str], model: LoadedModel, source: str) -> None:
    """Check that a table has no column that its prediction would have too."""
    taken = [name for name in prediction_columns(model.target, model.classes) if name in names]
    if taken:
        raise DataError(
            f"{source} has the {'column' if len(taken) == 1 else 'columns'} {listed(taken)} already, which the "
            "prediction would add; rename or remove what is there"
        )
