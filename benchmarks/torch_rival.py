"""The usual search script as a rival: Optuna proposes, PyTorch trains over a DataLoader, the best network stays."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import numpy as np
import optuna
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

TRIALS, EPOCHS, VALID_SHARE = 50, 20, 0.2
BATCH_SIZES = (4, 8, 16, 32, 64, 128)
"""The default space, trials and epochs of `insects-search`."""


class OptunaOverTorch:
    """The MLP whose best epoch has the least validation loss of all trials of an Optuna study.

    Args:
        seed: Seed of the split, of Optuna's sampler and of PyTorch.
        encoder: What turns rows into inputs, fitted to the training rows.
    """

    def __init__(self, seed: int, encoder: Pipeline) -> None:
        self._seed, self._encoder = seed, encoder

    def fit(self, x: pd.DataFrame, y: pd.Series) -> OptunaOverTorch:
        """Search on 80 % of the rows, and keep the best network of the best trial."""
        torch.set_num_threads(1)
        torch.manual_seed(self._seed)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.classes_, labels = np.unique(y.to_numpy(), return_inverse=True)
        train_x, valid_x, train_y, valid_y = train_test_split(
            x, labels, test_size=VALID_SHARE, random_state=self._seed, stratify=labels
        )
        self._rows = TensorDataset(_tensor(self._encoder.fit_transform(train_x)), torch.tensor(train_y))
        self._valid = _tensor(self._encoder.transform(valid_x)), torch.tensor(valid_y)
        self._best_loss = float("inf")
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=self._seed))
        study.optimize(self._train, TRIALS)
        return self

    def _train(self, trial: optuna.Trial) -> float:
        depth, width = trial.suggest_int("depth", 1, 4), trial.suggest_int("width", 16, 256, log=True)
        lr = trial.suggest_float("lr", 1e-4, 1e-1, log=True)
        loader = DataLoader(self._rows, trial.suggest_categorical("batch_size", BATCH_SIZES), shuffle=True)
        sizes = [self._rows.tensors[0].shape[1], *[width] * depth]
        hidden = [step for pair in pairwise(sizes) for step in (nn.Linear(*pair), nn.ReLU())]
        network = nn.Sequential(*hidden, nn.Linear(sizes[-1], len(self.classes_)))
        optimizer, least = torch.optim.Adam(network.parameters(), lr=lr), float("inf")
        for _ in range(EPOCHS):
            for inputs, targets in loader:
                optimizer.zero_grad()
                nn.functional.cross_entropy(network(inputs), targets).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            with torch.no_grad():
                loss = float(nn.functional.cross_entropy(network(self._valid[0]), self._valid[1]))
            least = min(least, loss)
            if loss < self._best_loss:
                self._best_loss, self._network = loss, copy.deepcopy(network)
        return least if np.isfinite(least) else 1e9

    def predict_proba(self, x: pd.DataFrame) -> NDArray[np.float64]:
        """The probabilities of classes."""
        with torch.no_grad():
            logits = self._network(_tensor(self._encoder.transform(x)))
        return np.asarray(logits.double().softmax(dim=1))

    def predict(self, x: pd.DataFrame) -> NDArray[Any]:
        """The classes of rows."""
        return np.asarray(self.classes_[self.predict_proba(x).argmax(axis=1)])


def _tensor(inputs: Any) -> torch.Tensor:
    return torch.tensor(np.asarray(inputs, np.float32))
