"""The process that exports and registers the best model when the search ends (see `search.upload.worker_process`)."""

from __future__ import annotations

import io
from dataclasses import asdict
from pathlib import Path

import numpy as np

from insects.mlp import Shape, parameter_count
from insects.params import TrialParams
from search.registry.logged_models import Runs
from search.registry.versions import register
from search.store.store import Store, insist
from search.system.lock import hold

LOCK_SECONDS = 60.0


def warm_up() -> None:
    """Import what an export needs and run one: the first costs seconds, later ones a fraction of one."""
    import mlflow.pytorch  # noqa: F401 - for its side effect of being loaded
    import torch

    from insects.model import build_module

    params, shape, one = TrialParams(depth=1, width=1, lr=1.0, batch_size=1), Shape(1, 2), np.ones(1, np.float32)
    module = build_module(np.zeros(parameter_count(params, shape), np.float32), params, shape, one, one).eval()
    rows = ({0: torch.export.Dim.AUTO},)
    torch.export.save(torch.export.export(module, (torch.zeros(2, 1),), dynamic_shapes=rows), io.BytesIO())


def register_best(
    store: str, tracking_uri: str, study: str, number: int, runs: list[str], name: str, again: bool
) -> dict[str, str]:
    """`search.registry.versions.register`, in words that fit a line of JSON."""
    place = Store(Path(store), tracking_uri)
    folder = place.study(study)
    # The process of a search that was killed may still be at it: two must not make two versions. Another study of this
    # store may be comparing itself with the best model just now.
    with hold(place.path / "register.lock", wait=LOCK_SECONDS):
        return asdict(insist(lambda: register(place, folder, number, Runs(*runs), name, again)))


HANDLERS = {"warm_up": warm_up, "register": register_best}
