"""The settings of a study, its fingerprint, and what may differ when it goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from insects.devices import Choice
from insects.errors import DataError, StudyError
from insects.final import Finalist
from insects.machine import Machine, machine_of
from insects.params import ParamsError, Recipe, TrialParams
from insects.splits import table_digest
from insects.text import listed
from insects.trial import TrialResult
from search.store.image_manifest import ImageManifest
from search.store.study_folder import StoredData
from search.study.pruner import PercentilePruner
from search.study.sampler import SamplerName, ignores_results
from search.study.space import SearchSpace

RESULTS_VERSION = 2
"""Raised by every change of this program that may change a result of a study."""

FINAL_EPOCHS = 2
"""Epochs of a network in the final, as a multiple of those of a trial."""

_LIBRARIES: tuple[str, ...] = ("numpy", "numba", "optuna", "scipy", "torch")
_VERSIONS = ("libraries", "results_version")  # the parts of a fingerprint that an upgrade changes


@dataclass(frozen=True)
class FinalSettings:
    """How the final is held.

    Attributes:
        finalists: Trials that are trained on the folds; 0: there is no final.
        folds: Folds, at least 2; fewer where every class has fewer rows.
    """

    finalists: int
    folds: int


@dataclass(frozen=True)
class StudyConfig:
    """The settings of a study. The number of trials, the workers and the timeout change no result.

    Attributes:
        space: Where the sampler may propose.
        recipe: How each trial is trained.
        sampler: What proposes.
        pruner: What stops trials early.
        window: Trials in flight.
        seed: The seed of weights, batch orders and proposals.
        configs: Configurations that are trained before any proposed one.
        choice: Device and engine.
        final: How the best trials are compared.
        machine: The kind of machine that trains; None: this one.
    """

    space: SearchSpace
    recipe: Recipe
    sampler: SamplerName
    pruner: PercentilePruner
    window: int
    seed: int
    configs: tuple[TrialParams, ...]
    choice: Choice
    final: FinalSettings
    machine: Machine | None = None

    def is_independent(self, number: int) -> bool:
        """Tell whether a trial is the same whatever the trials before it give.

        Args:
            number: The trial's number.
        """
        told = max(0, number - self.window + 1)  # when the trial is asked in order
        is_given = number < len(self.configs)
        return (is_given or ignores_results(self.sampler, told)) and self.pruner.ignores_results(told)

    def fingerprint(self, stored: StoredData) -> dict[str, Any]:
        """Return everything that the study's results depend on, ready for JSON.

        Args:
            stored: The data.
        """
        splits, test, manifest = stored.splits, stored.test, stored.manifest
        data: dict[str, Any] = {
            "digest": splits.digest,
            "rows": stored.rows,
            "train_rows": len(splits.train_y),
            "valid_rows": len(splits.valid_y),
            "test_rows": len(test.y),
            "test_digest": table_digest(test),
        }
        libraries = _LIBRARIES
        if isinstance(manifest, ImageManifest):
            data["images"] = manifest.fingerprint
            libraries += ("torchvision",) if manifest.backbone else ()
        else:
            # The label column is not part of it: it changes no result, and a study keeps the one that it began with.
            encoder = json.dumps([manifest.columns, splits.encoder.as_dict()], sort_keys=True)
            data["scaling"] = splits.encoder.scaling.name if splits.encoder.scaling else "standard"
            data["encoder"] = hashlib.sha256(encoder.encode()).hexdigest()
        machine, here = self.machine or machine_of(self.choice), machine_of(self.choice)
        # The sampler proposes here, and a proposal may depend on how sums are rounded too.
        proposing = {"processor": here.processor, "libraries": dict(here.libraries)}
        return {
            "data": data,
            "space": asdict(self.space),
            **asdict(self.recipe),
            "sampler": self.sampler,
            "pruner": self.pruner.percentile,
            "window": self.window,
            "seed": self.seed,
            "final": asdict(self.final),
            "configs": [asdict(config) for config in self.configs],
            "engine": self.choice.engine,
            "device": self.choice.device,
            "processor": machine.processor,
            "results_version": RESULTS_VERSION,
            "libraries": {name: metadata.version(name) for name in libraries} | dict(machine.libraries),
            **({} if machine.difference(here) == "" else {"proposing": proposing}),
        }


def fingerprint_digest(fingerprint: dict[str, Any]) -> str:
    """Return the hex SHA-256 of a fingerprint."""
    return hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()


def default_name(stem: str, fingerprint: dict[str, Any]) -> str:
    """Return the name of a study that the user gave none.

    Args:
        stem: The name of the data.
        fingerprint: Everything that the study's results depend on.
    """
    return f"{stem}-{fingerprint_digest(fingerprint)[:8]}"


def check_fingerprint(name: str, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Check that a study goes on with the settings that it began with.

    Args:
        name: The study's name.
        before: The fingerprint that it began with, as read from the store.
        now: The fingerprint of the settings asked for.

    Raises:
        StudyError: They differ; the message says in what.
    """
    if found := differences(before, now):
        raise StudyError(
            f"study {name} cannot go on with other settings: {'; '.join(found)}: use what it began with, "
            "or start a new study with another --study (or without --study)"
        )


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """List in what two fingerprints differ, one text each.

    Args:
        before: The fingerprint of an earlier study, as read from the store.
        now: The fingerprint of the settings asked for.
    """
    now = json.loads(json.dumps(now))  # as it would be read from the store: lists in place of tuples
    return [f"{label} was {_short(old)}, now {_short(new)}" for label, old, new in _differences(before, now)]


def version_differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """List the versions in which two fingerprints differ, one text each; none if anything else differs too.

    Args:
        before: The fingerprint of an earlier study, as read from the store.
        now: The fingerprint of the settings asked for.
    """
    settings = ({key: value for key, value in each.items() if key not in _VERSIONS} for each in (before, now))
    return [] if differences(*settings) else differences(before, now)


def study_digest(results: Iterable[TrialResult], finalists: Iterable[Finalist] = ()) -> str:
    """Return the hex SHA-256 of all numbers, states, parameters and histories, bit for bit.

    Args:
        results: The trials.
        finalists: The finalists, whose networks follow as trials do.
    """
    digest = hashlib.sha256()
    for result in (*results, *(fold.trial for finalist in finalists for fold in finalist.folds)):
        head = [result.number, result.state, *asdict(result.params).values(), result.best_epoch]
        digest.update(json.dumps(head).encode())
        digest.update(np.ascontiguousarray(result.history, "<f8").tobytes())
    return digest.hexdigest()


def read_configs(path: Path) -> tuple[TrialParams, ...]:
    """Read configurations to train before any proposed one from a JSON file.

    Raises:
        DataError: The file cannot be read or is not JSON, or an entry is no configuration.
    """
    try:
        entries = json.loads(path.read_bytes().decode())
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; --configs takes a JSON file") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}") from error
    if not isinstance(entries, list):
        raise DataError(f'{path} must hold a list like [{{"depth": 2, "width": 64, "lr": 0.001, "batch_size": 4}}]')
    return tuple(_config(path, place, entry) for place, entry in enumerate(entries, start=1))


def _config(path: Path, place: int, entry: object) -> TrialParams:
    names = {"depth", "width", "lr", "batch_size"}
    if not isinstance(entry, dict) or set(entry) != names:
        found = (listed(sorted(entry)) or "nothing") if isinstance(entry, dict) else json.dumps(entry)[:40]
        raise DataError(f"{path}, entry {place}: needs exactly depth, width, lr and batch_size, found {found}")
    try:
        return TrialParams(**entry)
    except ParamsError as error:
        raise DataError(f"{path}, entry {place}: {error}") from error


def _differences(before: Any, now: Any, label: str = "") -> Iterable[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            yield from _differences(before.get(key), now.get(key), f"{label} {key}".strip())
    elif before != now:
        yield label, before, now


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."
