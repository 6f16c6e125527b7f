"""Finished trials on disk: the truth that Optuna's storage and MLflow are made from.

A study is a folder: `study.json` (what it is), `data.npz` (what its figures and its evaluation need of the data),
`images.json` (which images that is, if it is images) and a file `0007.npz` for each finished trial. Every file is
complete or absent; none holds a pickle.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from insects.errors import StoreError
from insects.splits import Splits, Table
from insects.trial import TrialResult
from search.store.image_manifest import ImageRecord
from search.store.schema import Kinds, check_kinds
from search.store.serialization import Damaged, StudyData, pack_data, pack_result, unpack_data, unpack_result
from search.system import files

# What is read of the files below; the rest of an identity is only compared.
_IDENTITY: Kinds = {
    "data": {"digest": str, "train_rows": int, "valid_rows": int},
    "space": {"depth": [int, int], "width": [int, int], "lr": [float | int, float | int], "batch_size": [int]},
    "seed": int,
    "device": str,
    "engine": str,
}
_IMAGES: Kinds = {
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


class StudyFolder:
    """Reads and writes one study's folder.

    Raises, from every method: StoreError: a file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name

    def exists(self) -> bool:
        """Whether a study has begun here."""
        return files.exists(self.path / "study.json")

    def make(self) -> None:
        """Make the folder itself."""
        files.make_folder(self.path)

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
        files.write(self.path / "data.npz", pack_data(splits, held_out))
        if images is not None:
            files.write(self.path / "images.json", json.dumps(asdict(images)).encode())
        self._describe({"identity": identity, "source": source, "model_name": model_name})

    def rename_model(self, model_name: str) -> None:
        """Let the study's best trial go to this registered model from now on."""
        if model_name != self.model_name():
            self._describe({"identity": self.identity(), "source": self.source(), "model_name": model_name})

    def _describe(self, description: dict[str, Any]) -> None:
        files.write(self.path / "study.json", json.dumps(description, indent=1).encode())

    def identity(self) -> dict[str, Any]:
        """What the study began as."""
        identity: dict[str, Any] = self._description("identity", _IDENTITY)
        return identity

    def model_name(self) -> str:
        """The registered model that the study's best trial goes to."""
        return str(self._description("model_name", str))

    def source(self) -> str:
        """What the table is called."""
        return str(self._description("source", str))

    def _description(self, key: str, kinds: Kinds) -> Any:
        path = self.path / "study.json"
        try:
            description = json.loads(path.read_bytes())
            check_kinds(description, {key: kinds}, "description")
            return description[key]
        except (OSError, ValueError, RecursionError, TypeError) as error:
            raise StoreError(f"cannot read {path}: {error}; restore the file or choose another --study") from error

    def data(self) -> StudyData:
        """The sample of the splits and the held-out rows."""
        path = self.path / "data.npz"
        try:
            return unpack_data(path.read_bytes())
        except (OSError, Damaged) as error:
            raise StoreError(f"cannot read {path}: {error}; restore the file or choose another --study") from error

    def images(self) -> ImageRecord | None:
        """What the rows are made from; None if not from images."""
        if "images" not in self.identity()["data"]:
            return None
        path = self.path / "images.json"
        try:
            record = json.loads(path.read_bytes())
            check_kinds(record, _IMAGES, "description")
            return ImageRecord(**record)
        except (OSError, ValueError, RecursionError, TypeError) as error:
            raise StoreError(f"cannot read {path}: {error}; restore the file or choose another --study") from error

    def numbers(self) -> list[int]:
        """Numbers of the finished trials, ascending."""
        numbers = [(int(path.stem), path) for path in files.listing(self.path) if path.stem.isdecimal()]
        return sorted(number for number, path in numbers if path == self.file(number))

    def save(self, result: TrialResult) -> None:
        """Write a finished trial; when this returns it is on the disk."""
        files.write(self.file(result.number), pack_result(result))

    def load(self, number: int) -> TrialResult | None:
        """A finished trial, or None if there is none.

        A file that is not whole is set aside as `0007.npz.damaged`: the trial can be trained again to the same result.
        """
        path = self.file(number)
        try:
            return unpack_result(path.read_bytes(), number)
        except FileNotFoundError:
            return None
        except Damaged as damage:
            _set_aside(path, damage)
            return None
        except OSError as error:
            raise StoreError(f"cannot read {path}: {error.strerror}; choose another --store") from error

    def file(self, number: int) -> Path:
        """Where a finished trial is."""
        return self.path / f"{number:04d}.npz"


def _set_aside(path: Path, damage: Damaged) -> None:
    try:
        os.replace(path, path.with_name(f"{path.name}.damaged"))
    except OSError as error:
        raise StoreError(
            f"cannot read {path}: {damage}, and it cannot be renamed ({error.strerror}); move it away, then run "
            "the same command again"
        ) from error
