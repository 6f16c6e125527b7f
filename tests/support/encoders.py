"""Encoders that standardize columns of numbers by given moments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from insects.encoder import Encoder, number_columns
from insects.mlp import Floats


def plain_encoder(names: Sequence[str], mean_F: Floats | None = None, std_F: Floats | None = None) -> Encoder:
    """An encoder of columns without gaps; by default it changes nothing."""
    mean_F = np.zeros(len(names), np.float32) if mean_F is None else mean_F
    std_F = np.ones(len(names), np.float32) if std_F is None else std_F
    return Encoder(number_columns(names), mean_F, (), (), None, mean_F, std_F)
