"""The worker that exports and registers the best model at the end of a search."""

from __future__ import annotations

import io
from pathlib import Path

from search.registry.alias import RegisteredModel
from search.store.store import Store
from search.system.lock import hold
from search.tracking.client import configure_mlflow, with_retries
from search.tracking.trial_runs import RunIds

LOCK_SECONDS = 60.0


class ModelWorker:
    """Registers models of a store.

    Args:
        store: The folder of the store.
        tracking_uri: The tracking URI.
    """

    def __init__(self, store: str, tracking_uri: str) -> None:
        self._store = Store(Path(store), tracking_uri)

    def warm_up(self) -> None:
        """Import what an export needs and export a tiny model: the first export takes seconds."""
        import mlflow.pytorch  # noqa: F401 - imported for later use
        import numpy as np
        import torch

        from insects.encoder import standard_encoder
        from insects.mlp import Shape, parameter_count
        from insects.model import build_module
        from insects.params import TrialParams

        params, shape = TrialParams(depth=1, width=1, lr=1.0, batch_size=1), Shape(1, 2)
        encoder = standard_encoder(["x"], np.zeros((1, 1), np.float32))
        module = build_module([np.zeros(parameter_count(params, shape), np.float32)], params, shape, encoder)
        rows = ({0: torch.export.Dim.AUTO},)
        torch.export.save(torch.export.export(module, (torch.zeros(2, 1),), dynamic_shapes=rows), io.BytesIO())

    def score_baselines(self, study: str) -> None:
        """Score baselines on the folds of a study, unless it was done before.

        Args:
            study: The study's name.
        """
        import numpy as np

        from insects.baselines import out_of_fold_scores

        folder = self._store.study(study)
        folds = folder.folds()
        if folds is None or folder.baselines():
            return
        sample = folder.data().sample
        x, y = np.concatenate([sample.train_x, sample.valid_x]), np.concatenate([sample.train_y, sample.valid_y])
        folder.save_baselines(out_of_fold_scores(x, y, folds, len(sample.classes)))

    def register(
        self, study: str, number: int, folds: int, runs: list[str], name: str, recompare: bool
    ) -> RegisteredModel | None:
        """Register the winner of a study; see `search.registry.versions.register`.

        Args:
            study: The study's name.
            number: The trial.
            folds: The folds of the final that chose it; 0: the trial's own network is registered.
            runs: The values of its `RunIds`.
            name: The registered model.
            recompare: Whether a version that was compared before is compared again.
        """
        from search.registry.versions import register

        folder = self._store.study(study)
        configure_mlflow(self._store)
        # A killed search's process may still be registering the same model, or another study be moving the alias.
        with hold(self._store.path / "register.lock", wait=LOCK_SECONDS):
            return with_retries(lambda: register(self._store, folder, number, folds, RunIds(*runs), name, recompare))
