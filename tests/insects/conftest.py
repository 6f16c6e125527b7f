"""Fixtures of the core's tests: small splits to train on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from insects.spiral import ARMS, FEATURES, spiral
from insects.splits import Splits, Table, split
from tests.support.encoders import plain_encoder

MakeSplits = Callable[..., Splits]


@pytest.fixture(scope="session")
def spiral_splits() -> Splits:
    """A spiral of five arms: 960 training and 240 validation rows; its 150 test rows are dropped."""
    x, y = spiral(0, per_class=270)
    table = Table(FEATURES, tuple("01234"[:ARMS]), x.astype(np.float32), y, "spiral")
    return split(table, test_fraction=1 / 9)[0]


@pytest.fixture(scope="session")
def make_splits() -> MakeSplits:
    """`make_splits(rows, features, classes)` draws normal rows around one centre per class."""

    def make(rows: int, features: int = 2, classes: int = 5) -> Splits:
        generator = np.random.default_rng(rows + features + classes)
        centres = generator.normal(size=(classes, features))
        y = np.arange(rows + 64, dtype=np.int32) % classes
        x = (centres[y] + generator.normal(size=(len(y), features))).astype(np.float32)
        names = tuple(f"x{j}" for j in range(features))
        labels = tuple(f"class{c:03}" for c in range(classes))
        return Splits(names, labels, x[:rows], y[:rows], x[rows:], y[rows:], plain_encoder(names), "made up")

    return make
