"""What a study is: everything that changes one of its results, and nothing else."""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from insects.devices import Choice
from insects.errors import DataError, StudyError
from insects.params import ParamsError, Recipe, TrialParams
from insects.splits import Splits, Table
from insects.text import listed, shown
from insects.training.host import host
from insects.trial import TrialResult
from search.store.image_manifest import ImageRecord
from search.study.pruner import StoppingRule
from search.study.sampler import SamplerName
from search.study.space import SearchSpace

_LIBRARIES: tuple[str, ...] = ("insects-search", "numpy", "numba", "optuna", "scipy", "torch")
_MOST_BYTES = 1 << 26
"""Of a file of configurations; a device would be read without end."""


@dataclass(frozen=True)
class Plan:
    """The settings of a study. Trials, workers and timeout are not among them: they change no result."""

    space: SearchSpace
    recipe: Recipe
    sampler: SamplerName
    stopping: StoppingRule
    window: int
    seed: int
    configs: tuple[TrialParams, ...]
    choice: Choice

    def identity(
        self, splits: Splits, held_out: Table, held_out_digest: str, images: ImageRecord | None = None
    ) -> dict[str, Any]:
        """All that the study's results depend on, ready for JSON. images: what the rows are made from, if so."""
        data: dict[str, Any] = {
            "digest": splits.digest,
            "train_rows": len(splits.train_y),
            "valid_rows": len(splits.valid_y),
            "held_out_rows": len(held_out.y),
            "held_out_digest": held_out_digest,
        }
        libraries = _LIBRARIES
        if images is not None:
            data["images"] = images.identity
            libraries += ("torchvision",) if images.backbone else ()
        return {
            "data": data,
            "space": asdict(self.space),
            "epochs": self.recipe.epochs,
            "schedule": self.recipe.schedule,
            "sampler": self.sampler,
            "pruner": self.stopping.percentile,
            "window": self.window,
            "seed": self.seed,
            "configs": [asdict(config) for config in self.configs],
            "engine": self.choice.engine,
            "device": self.choice.device,
            "processor": _processor(self.choice),
            "libraries": {name: metadata.version(name) for name in libraries},
        }


def digest(identity: dict[str, Any]) -> str:
    """Hex SHA-256 of an identity."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def default_name(identity: dict[str, Any]) -> str:
    """A study's name when the user gives none: the same for the same identity."""
    return f"insects-{digest(identity)[:8]}"


def check_identity(name: str, begun: dict[str, Any], asked: dict[str, Any]) -> None:
    """Hold a study to what it began as.

    Raises: StudyError: something differs; the message says what.
    """
    asked = json.loads(json.dumps(asked))
    differences = [
        f"{label} was {_short(before)}, now {_short(after)}" for label, before, after in _differences(begun, asked)
    ]
    if differences:
        raise StudyError(
            f"study {name} cannot go on with other settings: {'; '.join(differences)}: use what it began with, "
            "or start a new study with another --study (or without --study)"
        )


def study_digest(results: Iterable[TrialResult]) -> str:
    """Hex SHA-256 of all trials' numbers, states, parameters and histories, bit for bit."""
    digest = hashlib.sha256()
    for result in results:
        head = [result.number, result.state, *asdict(result.params).values(), result.best_epoch]
        digest.update(json.dumps(head).encode())
        digest.update(np.ascontiguousarray(result.history, "<f8").tobytes())
    return digest.hexdigest()


def read_configs(path: Path) -> tuple[TrialParams, ...]:
    """Configurations to train before any sampled one, from a JSON file.

    Raises: DataError: no such file, too large a one, not JSON, or an entry that is no configuration (which, and why).
    """
    try:
        with open(path, "rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise DataError(f"{path} must have at most {_MOST_BYTES:,} bytes; --configs takes a JSON file")
        entries = json.loads(content.decode(), object_pairs_hook=partial(_object, path))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; --configs takes a JSON file") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}") from error
    if not isinstance(entries, list):
        raise DataError(f'{path} must hold a list like [{{"depth": 2, "width": 64, "lr": 0.001, "batch_size": 4}}]')
    return tuple(_config(path, place, entry) for place, entry in enumerate(entries, start=1))


def _object(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise DataError(f"{path}: a configuration must name each value once, found {shown(twice[0])} twice")
    return dict(pairs)


def _config(path: Path, place: int, entry: object) -> TrialParams:
    names = {"depth", "width", "lr", "batch_size"}
    if not isinstance(entry, dict) or set(entry) != names:
        found = (listed(sorted(entry)) or "nothing") if isinstance(entry, dict) else json.dumps(entry)[:40]
        raise DataError(f"{path}, entry {place}: needs exactly depth, width, lr and batch_size, found {found}")
    try:
        return TrialParams(**entry)
    except ParamsError as error:
        raise DataError(f"{path}, entry {place}: {error}") from error


def _differences(begun: Any, asked: Any, label: str = "") -> Iterable[tuple[str, Any, Any]]:
    if isinstance(begun, dict) and isinstance(asked, dict):
        for key in sorted(begun.keys() | asked.keys()):
            yield from _differences(begun.get(key), asked.get(key), f"{label} {key}".strip())
    elif begun != asked:
        yield label, begun, asked


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _processor(choice: Choice) -> str:
    """The kind of processor, as precisely as the system tells: other kinds may round a sum otherwise."""
    if choice.engine == "compiled":
        from insects.training.processor import compiled_for

        kind = compiled_for()
    else:
        kind = host()
    return f"{platform.machine()} {kind}" + (f", {choice.accelerator}" if choice.accelerator else "")


def json_number(value: float) -> float | None:
    """A number for JSON, which has none for infinity and not-a-number."""
    return value if math.isfinite(value) else None
