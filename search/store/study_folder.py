"""The files of one study. Optuna's journal and MLflow are made from them.

    STUDY/study.json      what the study is: fingerprint, source of the data, model name, id
    STUDY/data.npz        a sample of the splits, and all test rows
    STUDY/table.json      the columns, in a study on a table
    STUDY/images.json     the image files, in a study on images
    STUDY/seen.npy        a 64-bit key of each training and validation row
    STUDY/0007.npz        a finished trial
    STUDY/final-0007-2.npz  the network of a finalist that fold 2 was held out from
    STUDY/final.json      the outcome of the final
    STUDY/folds.npy       the fold of each row in data.npz, first of the training rows
    STUDY/baselines.json  how well simple models do on these folds
    STUDY/uploaded.json   the last upload of the whole study
    STUDY/canary          the digest of the trial that its workers on other machines must give
    STUDY/rows-1a2b3c4d/  the rows, while processes of an executor train
    STUDY/evaluation.json the last evaluation of its model
    STUDY/report.html     all of this as a page, which can be made again

Every file is complete or absent, and none holds a pickle.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from insects.baselines import Score
from insects.errors import StoreError
from insects.final import Finalist, FoldResult
from insects.folds import FoldRows
from insects.mlp import Floats
from insects.params import ClassWeight, Metric
from insects.row_hashes import Hashes
from insects.splits import Splits, Table
from insects.trial import TrialResult
from search.store.evaluation_record import EVALUATION, EvaluationRecord
from search.store.final_record import FINAL, FinalRecord
from search.store.image_manifest import IMAGES, ImageManifest
from search.store.schema import Schema, check_schema
from search.store.serialization import (
    SAMPLE_ROWS,
    CorruptFileError,
    StudyData,
    pack_data,
    pack_fold,
    pack_result,
    unpack_data,
    unpack_fold,
    unpack_result,
)
from search.store.table_manifest import TABLE, TableManifest
from search.system import files

# The parts of a fingerprint that are read; all others are only compared.
_FINGERPRINT: Schema = {
    "data": {"digest": str, "rows": str, "train_rows": int, "valid_rows": int},
    "space": {"depth": [int, int], "width": [int, int], "lr": [float | int, float | int], "batch_size": [int]},
    "seed": int,
    "metric": str,
    "class_weight": str,
    "device": str,
    "engine": str,
}
_STUDY: Schema = {"id": str, "fingerprint": _FINGERPRINT, "source": str, "model_name": str}
_BASELINES: Schema = {"baselines": [{"name": str, "accuracy": float, "loss": float}]}

_Manifest = TypeVar("_Manifest", TableManifest, ImageManifest)
_Loaded = TypeVar("_Loaded", TrialResult, FoldResult)


@dataclass(frozen=True)
class UploadRecord:
    """An upload of a whole study to MLflow.

    Attributes:
        tracking_uri: MLflow's URI, without its password.
        trials: The digest of all trials.
        model_name: The registered model.
        version: Its version; None if there is none.
        figures: `svg` if the figures of the comparison were written as SVG too, else `png`.
    """

    tracking_uri: str
    trials: str
    model_name: str
    version: str | None
    figures: str = "png"


@dataclass(frozen=True)
class StoredData:
    """What a study keeps of its data when it begins.

    Attributes:
        source: The name of the data.
        splits: The data that its trials are trained on.
        train_raw: The coded rows that `splits.train_x` was made from.
        valid_raw: The coded rows that `splits.valid_x` was made from.
        test: The test rows.
        rows: Hex SHA-256 of the training and validation rows before any scaling: models of the same rows are compared.
        seen: Keys of the training and validation rows; empty where equal rows cannot be told apart.
        manifest: The table, or the image files that the rows were made from.
        fold_rows: The training and validation rows as the final takes them.
    """

    source: str
    splits: Splits
    train_raw: Floats
    valid_raw: Floats
    test: Table
    rows: str
    seen: Hashes
    manifest: TableManifest | ImageManifest
    fold_rows: FoldRows


class StudyFolder:
    """Reads and writes the files of one study.

    Every method raises StoreError if a file cannot be read or written.

    Attributes:
        path: The folder.
        name: The study's name, which is the folder's.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name

    def exists(self) -> bool:
        """Tell whether the folder holds a study."""
        return files.exists(self.path / "study.json")

    def make(self) -> None:
        """Make the folder, without a study in it."""
        files.make_folder(self.path)

    def begin(self, fingerprint: dict[str, Any], model_name: str, data: StoredData) -> None:
        """Write a new study.

        Args:
            fingerprint: Everything that its results depend on.
            model_name: The registered model that the best trial becomes a version of.
            data: What it keeps of its data.
        """
        files.write(self.path / "data.npz", pack_data(data.splits, data.train_raw, data.valid_raw, data.test))
        files.write(self.path / "seen.npy", _npy(data.seen))
        name = "table.json" if isinstance(data.manifest, TableManifest) else "images.json"
        files.write(self.path / name, json.dumps(asdict(data.manifest)).encode())
        # Last: a folder that has this file is complete.
        study = {"id": secrets.token_hex(8), "fingerprint": fingerprint, "source": data.source}
        self._write_json("study.json", {**study, "model_name": model_name})

    def rename_model(self, model_name: str) -> None:
        """Change the registered model that the best trial becomes a version of."""
        study = self._study()
        if model_name != study["model_name"]:
            self._write_json("study.json", {**study, "model_name": model_name})

    @property
    def id(self) -> str:
        """A random name, by which the study's own runs are found again in an MLflow that other stores use too."""
        return str(self._study()["id"])

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Everything that the study's results depend on."""
        return dict(self._study()["fingerprint"])

    @property
    def metric(self) -> Metric:
        """What the best epoch and the best trial are best in."""
        metric: Metric = self.fingerprint["metric"]
        return metric

    @property
    def class_weight(self) -> ClassWeight:
        """What a row counts in the loss."""
        class_weight: ClassWeight = self.fingerprint["class_weight"]
        return class_weight

    @property
    def model_name(self) -> str:
        """The registered model that the best trial becomes a version of."""
        return str(self._study()["model_name"])

    @property
    def source(self) -> str:
        """The name of the data."""
        return str(self._study()["source"])

    def data(self) -> StudyData:
        """Read the sample of the splits and the test rows."""
        path = self.path / "data.npz"
        try:
            return unpack_data(path.read_bytes())
        except (OSError, CorruptFileError) as error:
            raise _cannot_read(path, error) from error

    def table(self) -> TableManifest | None:
        """Read what is known of the table; None in a study on images."""
        if self._is_of_images:
            return None
        manifest = self._read_manifest("table.json", TABLE, TableManifest)
        try:
            _ = manifest.model_columns
        except (TypeError, ValueError) as error:
            raise _cannot_read(self.path / "table.json", error) from error
        return manifest

    def images(self) -> ImageManifest | None:
        """Read the image files that the rows were made from; None in a study on a table."""
        return self._read_manifest("images.json", IMAGES, ImageManifest) if self._is_of_images else None

    def seen(self) -> Hashes:
        """Read the keys of the training and validation rows; see `insects.row_hashes.row_keys`."""
        return _read_array(self.path / "seen.npy", np.dtype(np.uint64))

    def numbers(self) -> list[int]:
        """Return the numbers of the finished trials, ascending."""
        numbers = [(int(path.stem), path) for path in files.listing(self.path) if path.stem.isdecimal()]
        return sorted(number for number, path in numbers if path == self.file(number))

    def save(self, *results: TrialResult) -> None:
        """Write finished trials; when this returns they are on the disk."""
        files.write_all({self.file(result.number): pack_result(result) for result in results})

    def load(self, number: int) -> TrialResult | None:
        """Read a finished trial; None if there is none.

        A damaged file is renamed to `0007.npz.damaged`: training the trial again gives the same result.
        """
        return _load(self.file(number), lambda content: unpack_result(content, number))

    def save_fold(self, *results: FoldResult) -> None:
        """Write networks of finalists; when this returns they are on the disk."""
        files.write_all({self.fold_file(result.trial.number, result.fold): pack_fold(result) for result in results})

    def load_fold(self, number: int, fold: int) -> FoldResult | None:
        """Read a network of a finalist; None if there is none. A damaged file is renamed, as by `load`."""
        return _load(self.fold_file(number, fold), lambda content: unpack_fold(content, number, fold))

    def load_finalist(self, number: int, folds: int) -> Finalist | None:
        """Read a finalist with the networks of all folds; None if one is missing."""
        loaded = [self.load_fold(number, fold) for fold in range(folds)]
        found = tuple(result for result in loaded if result is not None)
        return Finalist(number, found, self.class_weight) if len(found) == folds else None

    def save_folds(self, fold_N: NDArray[np.intp]) -> None:
        """Write the folds of the rows.

        Args:
            fold_N: `(N,)`, first for all training rows, then for the validation rows. Only those of the rows in
                `data` are kept.
        """
        rows = self.fingerprint["data"]["train_rows"]
        kept = np.concatenate([fold_N[:rows][:SAMPLE_ROWS], fold_N[rows:][:SAMPLE_ROWS]])
        files.write(self.path / "folds.npy", _npy(kept.astype(np.int64)))

    def folds(self) -> NDArray[np.int64] | None:
        """Read the fold of each row in `data`, first of the training rows; None if there is no final yet."""
        path = self.path / "folds.npy"
        return _read_array(path, np.dtype(np.int64)) if files.exists(path) else None

    def save_baselines(self, scores: Sequence[Score]) -> None:
        """Write how well baselines do on the folds."""
        self._write_json("baselines.json", {"baselines": [score.as_dict() for score in scores]})

    def baselines(self) -> list[Score]:
        """Read how well baselines do on the folds, none if that is not known."""
        content = self._read_json_if_there("baselines.json", _BASELINES)
        return [] if content is None else [Score(**score) for score in content["baselines"]]

    def save_final(self, record: FinalRecord) -> None:
        """Write the outcome of the final."""
        self._write_json("final.json", asdict(record))

    def final(self) -> FinalRecord | None:
        """Read the outcome of the final; None if there was none yet."""
        content = self._read_json_if_there("final.json", FINAL)
        return None if content is None else FinalRecord(**content)

    def save_evaluation(self, record: EvaluationRecord) -> None:
        """Write the last evaluation of the study's model."""
        self._write_json("evaluation.json", asdict(record))

    def evaluation(self) -> EvaluationRecord | None:
        """Read the last evaluation of the study's model; None if there was none yet."""
        content = self._read_json_if_there("evaluation.json", EVALUATION)
        return None if content is None else EvaluationRecord(**content)

    def save_report(self, page: str) -> None:
        """Write the page about the study."""
        files.write(self.report, page.encode("utf-8", "replace"))

    def report_digest(self) -> str | None:
        """Return the hex SHA-256 of the page about the study; None if there is none."""
        if not files.exists(self.report):
            return None
        try:
            return hashlib.sha256(self.report.read_bytes()).hexdigest()
        except OSError as error:
            raise _cannot_read(self.report, error) from error

    @property
    def report(self) -> Path:
        """The path of the page about the study."""
        return self.path / "report.html"

    def results_without_weights(self) -> list[TrialResult]:
        """Read every finished trial, by number, without its weights: a study's memory must not grow with them."""
        loaded = (self.load(number) for number in self.numbers())
        return [without_weights(result) for result in loaded if result is not None]

    def file(self, number: int) -> Path:
        """Return the path of a finished trial."""
        return self.path / f"{number:04d}.npz"

    def fold_file(self, number: int, fold: int) -> Path:
        """Return the path of a network of a finalist."""
        return self.path / f"final-{number:04d}-{fold}.npz"

    def save_upload_record(self, record: UploadRecord) -> None:
        """Write that the whole study has been uploaded."""
        self._write_json("uploaded.json", asdict(record))

    def upload_record(self) -> UploadRecord | None:
        """Read the last upload of the whole study; None if there was none, or the file is damaged."""
        try:
            return UploadRecord(**json.loads((self.path / "uploaded.json").read_bytes()))
        except (OSError, ValueError, TypeError):  # the search looks it up in MLflow then
            return None

    @property
    def _is_of_images(self) -> bool:
        return "images" in self.fingerprint["data"]

    def _read_manifest(self, name: str, schema: Schema, manifest: type[_Manifest]) -> _Manifest:
        content = self._read_json(name, schema)
        try:
            return manifest(**content)
        except TypeError as error:  # a key that was not written
            raise _cannot_read(self.path / name, error) from error

    def _study(self) -> dict[str, Any]:
        return self._read_json("study.json", _STUDY)

    def _read_json_if_there(self, name: str, schema: Schema) -> dict[str, Any] | None:
        return self._read_json(name, schema) if files.exists(self.path / name) else None

    def _write_json(self, name: str, content: dict[str, Any]) -> None:
        files.write(self.path / name, json.dumps(content, indent=1).encode())

    def _read_json(self, name: str, schema: Schema) -> dict[str, Any]:
        path = self.path / name
        try:
            content = json.loads(path.read_bytes())
            check_schema(content, schema, "content")
            return dict(content)
        except (OSError, ValueError, RecursionError, TypeError) as error:
            raise _cannot_read(path, error) from error


def _npy(array: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _read_array(path: Path, dtype: np.dtype[Any]) -> NDArray[Any]:
    try:
        with open(path, "rb") as file:
            array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        if array.dtype != dtype:
            raise ValueError(f"it does not hold {dtype}")
        return array
    except (OSError, ValueError) as error:
        raise _cannot_read(path, error) from error


def without_weights(result: TrialResult) -> TrialResult:
    """Return a result whose weights are an empty array."""
    return replace(result, weights=np.empty(0, np.float32))


def _load(path: Path, unpack: Callable[[bytes], _Loaded]) -> _Loaded | None:
    try:
        return unpack(path.read_bytes())
    except FileNotFoundError:
        return None
    except CorruptFileError as damage:
        _set_aside(path, damage)
        return None
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}; choose another --store") from error


def _cannot_read(path: Path, error: Exception) -> StoreError:
    return StoreError(f"cannot read {path}: {error}; restore the file or choose another --study")


def _set_aside(path: Path, damage: CorruptFileError) -> None:
    try:
        os.replace(path, path.with_name(f"{path.name}.damaged"))
    except OSError as error:
        raise StoreError(
            f"cannot read {path}: {damage}, and it cannot be renamed ({error.strerror}); move it away, then run "
            "the same command again"
        ) from error
