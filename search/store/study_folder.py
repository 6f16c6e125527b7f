"""The files of one study. Optuna's journal and MLflow are made from them.

    STUDY/study.json      what the study is: fingerprint, source of the data, model name, id
    STUDY/data.npz        a sample of the splits, and all test rows
    STUDY/images.json     the image files, in a study on images
    STUDY/0007.npz        a finished trial
    STUDY/uploaded.json   the last upload of the whole study

Every file is complete or absent, and none holds a pickle.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from insects.errors import StoreError
from insects.splits import Splits, Table
from insects.trial import TrialResult
from search.store.image_manifest import ImageManifest
from search.store.schema import Schema, check_schema
from search.store.serialization import CorruptFileError, StudyData, pack_data, pack_result, unpack_data, unpack_result
from search.system import files

# The parts of a fingerprint that are read; all others are only compared.
_FINGERPRINT: Schema = {
    "data": {"digest": str, "train_rows": int, "valid_rows": int},
    "space": {"depth": [int, int], "width": [int, int], "lr": [float | int, float | int], "batch_size": [int]},
    "seed": int,
    "device": str,
    "engine": str,
}
_STUDY: Schema = {"id": str, "fingerprint": _FINGERPRINT, "source": str, "model_name": str}
_IMAGES: Schema = {
    "size": int,
    "backbone": str | None,
    "weights": str | None,
    "weights_digest": str | None,
    "folder": str,
    "counts": [int],
    "samples": [[str, int]],
    "valid": [str],
    "test": [[str, str]],
    "description": {"text": str, "content": dict},
}


@dataclass(frozen=True)
class UploadRecord:
    """An upload of a whole study to MLflow.

    Attributes:
        tracking_uri: MLflow's URI, without its password.
        trials: The digest of all trials.
        model_name: The registered model.
        version: Its version; None if there is none.
    """

    tracking_uri: str
    trials: str
    model_name: str
    version: str | None


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

    def begin(
        self,
        fingerprint: dict[str, Any],
        source: str,
        model_name: str,
        splits: Splits,
        test: Table,
        images: ImageManifest | None = None,
    ) -> None:
        """Write a new study.

        Args:
            fingerprint: Everything that its results depend on.
            source: The name of the data.
            model_name: The registered model that the best trial becomes a version of.
            splits: The data that its trials are trained on.
            test: The test rows.
            images: The image files that the rows were made from.
        """
        files.write(self.path / "data.npz", pack_data(splits, test))
        if images is not None:
            files.write(self.path / "images.json", json.dumps(asdict(images)).encode())
        # Last: a folder that has this file is complete.
        self._write_study(
            {"id": secrets.token_hex(8), "fingerprint": fingerprint, "source": source, "model_name": model_name}
        )

    def rename_model(self, model_name: str) -> None:
        """Change the registered model that the best trial becomes a version of."""
        study = self._study()
        if model_name != study["model_name"]:
            self._write_study({**study, "model_name": model_name})

    @property
    def id(self) -> str:
        """A random name, by which the study's own runs are found again in an MLflow that other stores use too."""
        return str(self._study()["id"])

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Everything that the study's results depend on."""
        return dict(self._study()["fingerprint"])

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

    def images(self) -> ImageManifest | None:
        """Read the image files that the rows were made from; None in a study on a table."""
        if "images" not in self.fingerprint["data"]:
            return None
        content = self._read_json("images.json", _IMAGES)
        try:
            return ImageManifest(**content)
        except TypeError as error:  # a key that was not written
            raise _cannot_read(self.path / "images.json", error) from error

    def numbers(self) -> list[int]:
        """Return the numbers of the finished trials, ascending."""
        numbers = [(int(path.stem), path) for path in files.listing(self.path) if path.stem.isdecimal()]
        return sorted(number for number, path in numbers if path == self.file(number))

    def save(self, result: TrialResult) -> None:
        """Write a finished trial; when this returns it is on the disk."""
        files.write(self.file(result.number), pack_result(result))

    def load(self, number: int) -> TrialResult | None:
        """Read a finished trial; None if there is none.

        A damaged file is renamed to `0007.npz.damaged`: training the trial again gives the same result.
        """
        path = self.file(number)
        try:
            return unpack_result(path.read_bytes(), number)
        except FileNotFoundError:
            return None
        except CorruptFileError as damage:
            _set_aside(path, damage)
            return None
        except OSError as error:
            raise StoreError(f"cannot read {path}: {error.strerror}; choose another --store") from error

    def results_without_weights(self) -> list[TrialResult]:
        """Read every finished trial, by number, without its weights: a study's memory must not grow with them."""
        loaded = (self.load(number) for number in self.numbers())
        return [without_weights(result) for result in loaded if result is not None]

    def file(self, number: int) -> Path:
        """Return the path of a finished trial."""
        return self.path / f"{number:04d}.npz"

    def save_upload_record(self, record: UploadRecord) -> None:
        """Write that the whole study has been uploaded."""
        files.write(self.path / "uploaded.json", json.dumps(asdict(record), indent=1).encode())

    def upload_record(self) -> UploadRecord | None:
        """Read the last upload of the whole study; None if there was none, or the file is damaged."""
        try:
            return UploadRecord(**json.loads((self.path / "uploaded.json").read_bytes()))
        except (OSError, ValueError, TypeError):  # the search looks it up in MLflow then
            return None

    def _study(self) -> dict[str, Any]:
        return self._read_json("study.json", _STUDY)

    def _write_study(self, study: dict[str, Any]) -> None:
        files.write(self.path / "study.json", json.dumps(study, indent=1).encode())

    def _read_json(self, name: str, schema: Schema) -> dict[str, Any]:
        path = self.path / name
        try:
            content = json.loads(path.read_bytes())
            check_schema(content, schema, "content")
            return dict(content)
        except (OSError, ValueError, RecursionError, TypeError) as error:
            raise _cannot_read(path, error) from error


def without_weights(result: TrialResult) -> TrialResult:
    """Return a result whose weights are an empty array."""
    return replace(result, weights=np.empty(0, np.float32))


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
