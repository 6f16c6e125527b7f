"""A study's arrays as bytes: NumPy archives without a pickle, checked when they are read."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np

from insects.encoder import Encoder
from insects.final import FoldResult
from insects.mlp import Floats
from insects.objective import history_columns
from insects.params import METRIC_NAMES, ParamsError, TrialParams
from insects.splits import Splits, Table
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
        train_raw: The coded rows that `sample.train_x` was made from.
        valid_raw: The coded rows that `sample.valid_x` was made from.
        test: All test rows, coded.
    """

    sample: Splits
    train_raw: Floats
    valid_raw: Floats
    test: Table


def pack_result(result: TrialResult) -> bytes:
    """Serialize a finished trial."""
    return _pack(_result_meta(result), history=result.history, weights=result.weights)


def unpack_result(content: bytes, number: int) -> TrialResult:
    """Read what `pack_result` wrote.

    Args:
        content: The bytes.
        number: The number that the trial must have.

    Raises:
        CorruptFileError: The bytes are not that trial.
    """
    meta, arrays = _unpack(content)
    return _checked_result(meta, arrays, number)


def pack_fold(result: FoldResult) -> bytes:
    """Serialize a network of a finalist."""
    trial = result.trial
    meta = {**_result_meta(trial), "fold": result.fold}
    return _pack(meta, history=trial.history, weights=trial.weights, logits=result.logits, y=result.y)


def unpack_fold(content: bytes, number: int, fold: int) -> FoldResult:
    """Read what `pack_fold` wrote.

    Args:
        content: The bytes.
        number: The number that the finalist must have.
        fold: The number that the fold must have.

    Raises:
        CorruptFileError: The bytes are not that network.
    """
    meta, arrays = _unpack(content)
    try:
        found, logits, y = meta.pop("fold"), arrays.pop("logits"), arrays.pop("y")
    except KeyError as error:
        raise CorruptFileError(f"it is damaged ({error!r})") from error
    trial = _checked_result(meta, arrays, number)
    _check(found == fold, f"it holds fold {found!r}")
    _check_array("y", y, np.int32, (None,))
    _check_array("logits", logits, np.float32, (len(y) if trial.best_epoch else 0, None))
    return FoldResult(trial, fold, logits, y)


def _result_meta(result: TrialResult) -> dict[str, Any]:
    return {
        "number": result.number,
        "params": asdict(result.params),
        "state": result.state,
        "reason": result.reason,
        "best_epoch": result.best_epoch,
        "started": result.started,
        "seconds": result.seconds,
        "metric": result.metric,
    }


def _checked_result(meta: dict[str, Any], arrays: dict[str, Any], number: int) -> TrialResult:
    try:
        result = TrialResult(**{**meta, "params": TrialParams(**meta["params"])}, **arrays)
    except (KeyError, TypeError, ParamsError) as error:
        raise CorruptFileError(f"it is damaged ({error!r})") from error
    _check(result.number == number, f"it holds trial {result.number!r}")
    _check(result.state in get_args(TrialState) and isinstance(result.reason, str), f"state {result.state!r}")
    _check(all(isinstance(value, (int, float)) for value in (result.started, result.seconds)), "times are no numbers")
    _check(result.metric in METRIC_NAMES, f"metric {result.metric!r}")
    _check_array("history", result.history, np.float64, (None, len(history_columns(result.metric))))
    _check_array("weights", result.weights, np.float32, (None,))
    best = result.best_epoch
    _check(isinstance(best, int) and 0 <= best <= len(result.history), f"best epoch {best!r}")
    return result


def pack_data(splits: Splits, train_raw: Floats, valid_raw: Floats, test: Table) -> bytes:
    """Serialize what a study keeps of its data.

    Args:
        splits: The splits, of which the labels and the encoder are kept.
        train_raw: The coded training rows, at least the first `SAMPLE_ROWS`.
        valid_raw: The coded validation rows, at least the first `SAMPLE_ROWS`.
        test: The test rows.
    """
    meta = {
        "features": splits.features,
        "classes": splits.classes,
        "encoder": splits.encoder.as_dict(),
        "digest": splits.digest,
        "source": test.source,
    }
    return _pack(
        meta,
        train_raw=train_raw[:SAMPLE_ROWS],
        train_y=splits.train_y[:SAMPLE_ROWS],
        valid_raw=valid_raw[:SAMPLE_ROWS],
        valid_y=splits.valid_y[:SAMPLE_ROWS],
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
        encoder = Encoder.from_dict(meta["encoder"])
        parts = {name: (arrays[f"{name}_raw"], arrays[f"{name}_y"]) for name in ("train", "valid")}
        parts["test"] = (arrays["test_x"], arrays["test_y"])
        digest, source = meta["digest"], meta["source"]
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptFileError(f"it is damaged ({error!r})") from error
    _check(all(isinstance(text, str) for text in (*features, *classes, digest, source)), "names")
    _check(len(encoder.columns) == len(features), "encoder")
    for name, (x, y) in parts.items():
        _check_array(f"{name}_y", y, np.int32, (None,))
        _check_array(f"{name}_x", x, np.float32, (len(y), len(features)))
        _check(bool(((y >= 0) & (y < len(classes))).all()), f"{name}_y holds other classes")
    (train_raw, train_y), (valid_raw, valid_y) = parts["train"], parts["valid"]
    sample = Splits(
        features=features,
        classes=classes,
        train_x=encoder.transform(train_raw),
        train_y=train_y,
        valid_x=encoder.transform(valid_raw),
        valid_y=valid_y,
        encoder=encoder,
        digest=digest,
    )
    return StudyData(sample, train_raw, valid_raw, Table(features, classes, *parts["test"], source))


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
