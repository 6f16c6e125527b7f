"""Training loops that the compiled engine is compared with: functions of a configuration and a number of epochs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from insects.mlp import layer_sizes
from insects.params import Recipe, TrialParams
from insects.spiral import builtin_tables
from insects.splits import Splits, split
from insects.training import advance, init

EPOCHS = 20
Trainer = Callable[[TrialParams, int], None]


@cache
def insects() -> Splits:
    """The built-in table: 960 training and 240 validation rows."""
    train, test = builtin_tables()
    return split(train, test=test)[0]


def ours(params: TrialParams, epochs: int) -> None:
    """The compiled engine, the only one that also validates after each epoch."""
    advance(init(params, Recipe(EPOCHS), insects().shape, seed=0, trial=0), insects(), epochs)


def usual_loop(params: TrialParams, epochs: int) -> None:
    """The usual PyTorch loop: DataLoader over a TensorDataset, zero_grad, backward, Adam."""
    network, x, y = _network(params), *_tensors()
    optimizer = torch.optim.Adam(network.parameters(), lr=params.lr)
    loader = DataLoader(TensorDataset(x, y), batch_size=params.batch_size, shuffle=True)
    for _ in range(epochs):
        for x_BF, y_B in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x_BF), y_B).backward()  # type: ignore[no-untyped-call]
            optimizer.step()


def lean_torch(params: TrialParams, epochs: int) -> None:
    """A lean PyTorch loop: tensors indexed by a permutation, fused Adam."""
    network, x, y = _network(params), *_tensors()
    optimizer = torch.optim.Adam(network.parameters(), lr=params.lr, fused=True)
    for _ in range(epochs):
        for rows in torch.randperm(len(y)).split(params.batch_size):  # type: ignore[no-untyped-call]
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x[rows]), y[rows]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()


def scikit_learn(params: TrialParams, epochs: int) -> None:
    """scikit-learn's MLPClassifier with the same batch size, epochs and optimizer."""
    from sklearn.neural_network import MLPClassifier

    classifier = MLPClassifier(
        (params.width,) * params.depth, solver="adam", alpha=0.0, batch_size=params.batch_size,
        learning_rate_init=params.lr, max_iter=epochs, tol=0.0, n_iter_no_change=epochs + 1,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged, and at lr 0.1 that it overflows
        classifier.fit(insects().train_x, insects().train_y)


def _network(params: TrialParams) -> nn.Sequential:
    linear = [nn.Linear(*size) for size in layer_sizes(params, insects().shape)]
    return nn.Sequential(*(step for layer in linear[:-1] for step in (layer, nn.ReLU())), linear[-1])


def _tensors() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(insects().train_x), torch.tensor(insects().train_y.astype(np.int64))
