"""`insects-search --check`: what a search would do, from its data and settings; nothing is trained."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import numpy as np

from insects import memory
from search.commands.search_request import SearchRequest, config_for
from search.store.image_manifest import ImageManifest
from search.store.store import Store
from search.study.config import StudyConfig, check_fingerprint
from search.study.data import load_data
from search.study.estimate import Estimate, estimated_seconds
from search.study.loop import asked_before
from search.study.workers import MemoryFit, largest_trial_bytes


@dataclass(frozen=True)
class PlannedSearch:
    """A search that is not run.

    Attributes:
        source: The name of the data.
        target: The label column.
        classes: Rows of each class, in all parts.
        images: What the inputs are made from, if these are images; empty for a table.
        kinds: The input columns of each kind.
        dropped: Name and reason of each column that is not used.
        rows: Rows of each part.
        inputs: Inputs of the networks.
        config: The study's settings.
        study: The study's name.
        done: Trials that it has already.
        trials: Trials that it would have.
        model_name: The registered model.
        at_once: Trials trained side by side.
        trial_bytes: Memory that the largest trial takes.
        free_bytes: Memory that is free; None: the system does not say.
        estimate: The time that it would take.
    """

    source: str
    target: str
    classes: dict[str, int]
    images: str
    kinds: dict[str, list[str]]
    dropped: list[list[str]]
    rows: dict[str, int]
    inputs: int
    config: StudyConfig
    study: str
    done: int
    trials: int
    model_name: str
    at_once: int
    trial_bytes: int
    free_bytes: int | None
    estimate: Estimate


def check_search(request: SearchRequest, store: Store) -> PlannedSearch:
    """Read the data and the settings of a search, and time some steps of networks that are thrown away.

    Args:
        request: The search.
        store: Where it would be kept.

    Raises:
        InsectsError: A mistake in the data, the settings or the surroundings, as the search would report it.
    """
    data = load_data(request.data, store.image_cache)
    config = config_for(request, store, data, None)
    fingerprint = config.fingerprint(data)
    folder = request.study_folder(store, fingerprint)
    numbers: list[int] = []
    if folder.exists():
        check_fingerprint(folder.name, folder.fingerprint, fingerprint)
        numbers = folder.numbers()
    splits, manifest = data.splits, data.manifest
    at_once = MemoryFit(config, splits)(memory.available(), request.workers or os.cpu_count() or 1)
    trials = max(request.trials, asked_before(numbers, config))
    images, kinds, dropped = "", dict[str, list[str]](), list[list[str]]()
    if isinstance(manifest, ImageManifest):
        made = "pixels" if manifest.backbone is None else f"features of {manifest.backbone}"
        images = f"{made}, images of {manifest.size} x {manifest.size}"
    else:
        for column in manifest.model_columns.columns:
            kinds.setdefault(column.kind, []).append(column.name)
        dropped = manifest.dropped
    y = np.concatenate([splits.train_y, splits.valid_y, data.test.y])
    counts = np.bincount(y, minlength=len(splits.classes)).tolist()
    estimate = estimated_seconds(config, splits, trials=trials, done=len(numbers), at_once=at_once)
    if request.timeout is not None:
        estimate = replace(estimate, trials=min(estimate.trials, request.timeout))
    return PlannedSearch(
        source=data.source,
        target=manifest.target,
        classes=dict(zip(splits.classes, counts, strict=True)),
        images=images,
        kinds=kinds,
        dropped=dropped,
        rows={"training": len(splits.train_y), "validation": len(splits.valid_y), "test": len(data.test.y)},
        inputs=splits.shape.features,
        config=config,
        study=folder.name,
        done=len(numbers),
        trials=trials,
        model_name=request.registered_name,
        at_once=at_once,
        trial_bytes=largest_trial_bytes(config.space, splits, config.choice.engine),
        free_bytes=memory.available(),
        estimate=estimate,
    )
