"""A study's arrays as bytes: NumPy archives without a pickle, checked when they are read."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np

from insects.mlp import Shape
from insects.params import ParamsError, TrialParams
from insects.splits import Splits, Table
from insects.training import METRICS
from insects.trial import TrialResult, TrialState

SAMPLE_ROWS = 5000
"""Rows of each split that a study keeps for its figures: the first ones, a sample since a hash orders the rows."""


class CorruptFileError(Exception):
    """The bytes are not what was written."""


@dataclass(frozen=True)
class StudyData:
    """What a study keeps of its data.

    Attributes:
        sample: The splits, each cut to its first `SAMPLE_ROWS` rows.
        test: All test rows, unstandardized.
    """

    sample: Splits
    test: Table


def pack_result(result: TrialResult) -> bytes:
    """Serialize a finished trial."""
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


def unpack_result(content: bytes, number: int) -> TrialResult:
    """Read what `pack_result` wrote.

    Args:
        content: The bytes.
        number: The number that the trial must have.

    Raises:
        CorruptFileError: The bytes are not that trial.
    """
    meta, arrays = _unpack(content)
    try:
        result = TrialResult(**{**meta, "params": TrialParams(**meta["params"])}, **arrays)
    except (KeyError, TypeError, ParamsError) as error:
        raise CorruptFileError(f"it is damaged ({error!r})") from error
    _check(result.number == number, f"it holds trial {result.number!r}")
    _check(result.state in get_args(TrialState) and isinstance(result.reason, str), f"state {result.state!r}")
    _check(all(isinstance(value, (int, float)) for value in (result.started, result.seconds)), "times are no numbers")
    _check_array("history", result.history, np.float64, (None, len(METRICS)))
    _check_array("weights", result.weights, np.float32, (None,))
    best = result.best_epoch
    _check(isinstance(best, int) and 0 <= best <= len(result.history), f"best epoch {best!r}")
    return result


def pack_data(splits: Splits, test: Table) -> bytes:
    """Serialize what a study keeps of its data: see `StudyData`."""
    meta = {"features": splits.features, "classes": splits.classes, "digest": splits.digest, "source": test.source}
    return _pack(
        meta,
        train_x=splits.train_x[:SAMPLE_ROWS],
        train_y=splits.train_y[:SAMPLE_ROWS],
        valid_x=splits.valid_x[:SAMPLE_ROWS],
        valid_y=splits.valid_y[:SAMPLE_ROWS],
        mean=splits.mean,
        std=splits.std,
        test_x=test.x,
        test_y=test.y,
    )


def unpack_data(content: bytes) -> StudyData:
    """Read what `pack_data` wrote.

    Raises:
        CorruptFileError: The bytes are not that.
    """
    meta, arrays = _unpack(content)
    try:
        features, classes = tuple(meta["features"]), tuple(meta["classes"])
        test = Table(features, classes, arrays.pop("test_x"), arrays.pop("test_y"), meta["source"])
        sample = Splits(features=features, classes=classes, digest=meta["digest"], **arrays)
    except (KeyError, TypeError) as error:
        raise CorruptFileError(f"it is damaged ({error!r})") from error
    _check(all(isinstance(text, str) for text in (*features, *classes, sample.digest, test.source)), "names")
    for name in ("mean", "std"):
        _check_array(name, getattr(sample, name), np.float32, (len(features),))
    parts = {"train": (sample.train_x, sample.train_y), "valid": (sample.valid_x, sample.valid_y)}
    for name, (x, y) in {**parts, "test": (test.x, test.y)}.items():
        _check_rows(name, x, y, sample.shape)
    return StudyData(sample, test)


def _check_rows(name: str, x: Any, y: Any, shape: Shape) -> None:
    _check_array(f"{name}_y", y, np.int32, (None,))
    _check_array(f"{name}_x", x, np.float32, (len(y), shape.features))
    _check(bool(((y >= 0) & (y < shape.classes)).all()), f"{name}_y holds other classes")


def _check_array(name: str, array: Any, dtype: type, shape: tuple[int | None, ...]) -> None:
    """Check the type and the shape of an array; None stands for any length."""
    same = len(array.shape) == len(shape) and all(
        want in (None, found) for want, found in zip(shape, array.shape, strict=True)
    )
    _check(same and array.dtype == dtype, f"{name} is {array.dtype} {array.shape}")


def _check(holds: bool, found: str) -> None:
    if not holds:
        raise CorruptFileError(f"it is damaged ({found})")


def _pack(meta: dict[str, Any], **arrays: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), **arrays)
    return buffer.getvalue()


def _unpack(content: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return dict(json.loads(arrays.pop("meta").tobytes())), arrays
    except MemoryError:  # the file is not to blame
        raise
    except Exception as error:  # zipfile and numpy raise a dozen types for bytes that are not an archive
        raise CorruptFileError(f"it is damaged ({' '.join(str(error).split())})") from error
