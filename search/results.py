"""Finished trials on disk: the truth that Optuna's storage and MLflow are made from.

A study is a folder: `study.json` (what it is), `data.npz` (what its figures and its evaluation need of the data),
`images.json` (which images that is, if it is images) and a file `0007.npz` for each finished trial. Every file is
complete or absent; none holds a pickle.
"""

from __future__ import annotations

import io
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from insects.errors import StoreError
from insects.params import TrialParams
from insects.splits import Splits, Table
from insects.trial import TrialResult
from search.image_record import ImageRecord

# Figures draw a sample of the rows; splits stand in the order of a hash, so the first rows are one.
SAMPLE_ROWS = 5000


class _Damaged(Exception):
    """A file does not hold what was written."""


@dataclass(frozen=True)
class StudyData:
    """sample: the splits, cut to their first `SAMPLE_ROWS` rows each. held_out: the raw test rows, all of them."""

    sample: Splits
    held_out: Table


class StudyFolder:
    """Reads and writes one study's folder.

    Raises, from every method: StoreError: a file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name

    def exists(self) -> bool:
        """Whether a study has begun here."""
        return (self.path / "study.json").exists()

    def make(self) -> None:
        """Make the folder itself."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            _sync_folder(self.path.parent)
        except OSError as error:
            raise StoreError(f"cannot create {self.path}: {error.strerror}; choose another --store") from error

    def begin(
        self,
        identity: dict[str, Any],
        source: str,
        model_name: str,
        splits: Splits,
        held_out: Table,
        images: ImageRecord | None = None,
    ) -> None:
        """Write what a new study is. The description comes last: a folder that has it is whole.

        source: what to call the table. model_name: the registered model that the best trial shall go to. images: what
        the rows are made from, if from images.
        """
        _write(self.path / "data.npz", _pack_data(splits, held_out))
        if images is not None:
            _write(self.path / "images.json", json.dumps(asdict(images)).encode())
        self._describe({"identity": identity, "source": source, "model_name": model_name})

    def rename_model(self, model_name: str) -> None:
        """Let the study's best trial go to this registered model from now on."""
        if model_name != self.model_name():
            kept = {key: self._description(key) for key in ("identity", "source")}
            self._describe({**kept, "model_name": model_name})

    def _describe(self, description: dict[str, Any]) -> None:
        _write(self.path / "study.json", json.dumps(description, indent=1).encode())

    def identity(self) -> dict[str, Any]:
        """What the study began as."""
        identity: dict[str, Any] = self._description("identity")
        return identity

    def model_name(self) -> str:
        """The registered model that the study's best trial goes to."""
        return str(self._description("model_name"))

    def source(self) -> str:
        """What the table is called."""
        return str(self._description("source"))

    def _description(self, key: str) -> Any:
        path = self.path / "study.json"
        try:
            return json.loads(path.read_bytes())[key]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"cannot read {path}: {error}; restore the file or choose another --study") from error

    def data(self) -> StudyData:
        """The sample of the splits and the held-out rows."""
        path = self.path / "data.npz"
        try:
            return _unpack_data(path.read_bytes())
        except (OSError, _Damaged) as error:
            raise StoreError(f"cannot read {path}: {error}; restore the file or choose another --study") from error

    def images(self) -> ImageRecord | None:
        """What the rows are made from; None if not from images."""
        if "images" not in self.identity()["data"]:
            return None
        path = self.path / "images.json"
        try:
            return ImageRecord(**json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise StoreError(f"cannot read {path}: {error}; restore the file or choose another --study") from error

    def numbers(self) -> list[int]:
        """Numbers of the finished trials, ascending."""
        if not self.path.is_dir():
            return []
        return sorted(int(path.stem) for path in self.path.glob("*.npz") if path.stem.isdecimal())

    def save(self, result: TrialResult) -> None:
        """Write a finished trial; when this returns it is on the disk."""
        _write(self.file(result.number), _pack_result(result))

    def load(self, number: int) -> TrialResult | None:
        """A finished trial, or None if there is none.

        A file that is not whole is set aside as `0007.npz.damaged`: the trial can be trained again to the same result.
        """
        path = self.file(number)
        try:
            return _unpack_result(path.read_bytes())
        except FileNotFoundError:
            return None
        except _Damaged:
            os.replace(path, path.with_name(path.name + ".damaged"))
            return None
        except OSError as error:
            raise StoreError(f"cannot read {path}: {error}") from error

    def file(self, number: int) -> Path:
        """Where a finished trial is."""
        return self.path / f"{number:04d}.npz"


def _write(path: Path, content: bytes) -> None:
    """Replace a file so that a reader, or a restart after a power cut, sees the old or the new one whole."""
    temporary = path.with_name(f".{path.name}.part")  # a killed writer's is overwritten: the study has one at a time
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StoreError(
            f"cannot write {path}: {error.strerror}; what is finished is kept: make room or choose another --store, "
            "then run the same command again"
        ) from error


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _pack(meta: dict[str, Any], **arrays: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), **arrays)
    return buffer.getvalue()


def _unpack(content: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return json.loads(arrays.pop("meta").tobytes()), arrays
    except Exception as error:  # zipfile and numpy raise a dozen kinds, all of which mean that the bytes are not ours
        raise _Damaged(f"it is damaged ({error})") from error


def _pack_result(result: TrialResult) -> bytes:
    meta = {
        "number": result.number,
        "params": asdict(result.params),
        "state": result.state,
        "reason": result.reason,
        "best_epoch": result.best_epoch,
        "started": result.started,
        "seconds": result.seconds,
    }
    return _pack(meta, history=result.history, weights=result.weights)


def _unpack_result(content: bytes) -> TrialResult:
    meta, arrays = _unpack(content)
    return TrialResult(**{**meta, "params": TrialParams(**meta["params"])}, **arrays)


def _pack_data(splits: Splits, held_out: Table) -> bytes:
    meta = {
        "features": splits.features,
        "classes": splits.classes,
        "digest": splits.digest,
        "source": held_out.source,
    }
    return _pack(
        meta,
        train_x=splits.train_x[:SAMPLE_ROWS],
        train_y=splits.train_y[:SAMPLE_ROWS],
        valid_x=splits.valid_x[:SAMPLE_ROWS],
        valid_y=splits.valid_y[:SAMPLE_ROWS],
        mean=splits.mean,
        std=splits.std,
        test_x=held_out.x,
        test_y=held_out.y,
    )


def _unpack_data(content: bytes) -> StudyData:
    meta, arrays = _unpack(content)
    features, classes = tuple(meta["features"]), tuple(meta["classes"])
    held_out = Table(features, classes, arrays.pop("test_x"), arrays.pop("test_y"), meta["source"])
    return StudyData(Splits(features=features, classes=classes, digest=meta["digest"], **arrays), held_out)
