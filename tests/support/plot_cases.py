"""Data, models and ways to look at a figure, for the tests of figures."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import combinations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

from insects.encoder import standard_encoder
from insects.mlp import Floats
from insects.plots import evaluation_boundaries, figure_png
from insects.splits import Splits
from tests.support.encoders import plain_encoder

Predict = Callable[[Floats], Floats]
TITLE = "trial 7: depth 2, width 64, lr 0.0031, batch 4"


def make_splits(x_NF: NDArray[np.floating], y_N: NDArray[np.integer], classes: tuple[str, ...]) -> Splits:
    """Splits of unstandardized rows, every fourth of them for validation; columns are called f0, f1, …."""
    valid = np.arange(len(x_NF)) % 4 == 3
    mean, std = x_NF[~valid].mean(axis=0).astype(np.float32), x_NF[~valid].std(axis=0).astype(np.float32)
    x = np.ascontiguousarray((x_NF - mean) / std, np.float32)
    y = y_N.astype(np.int32)
    names = tuple(f"f{column}" for column in range(x.shape[1]))
    encoder = plain_encoder(names, mean, std)
    return Splits(names, classes, x[~valid], y[~valid], x[valid], y[valid], encoder, "0" * 64)


def random_splits(features: int, classes: int, rows: int = 400) -> Splits:
    """Normal rows with random labels."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(rows, features)) * 10 + 5
    return make_splits(x, generator.integers(0, classes, rows), tuple(f"species {c}" for c in range(classes)))


def linear(features: int, classes: int, seed: int = 1) -> Predict:
    """Logits of a random linear model."""
    weight = np.random.default_rng(seed).normal(size=(features, classes)).astype(np.float32) * 3
    return lambda x: x @ weight


def by_sign(x_NF: Floats) -> Floats:
    """Logits of a model that is certain, and right on `quadrant_splits`."""
    return np.stack([-20 * x_NF[:, 0], 20 * x_NF[:, 0]], axis=1)


def quadrant_splits() -> Splits:
    """Rows on the square ±1; class by sign of the first column."""
    x = np.random.default_rng(0).uniform(-1, 1, size=(400, 2))
    return make_splits(x, (x[:, 0] > 0).astype(int), ("left", "right"))


def decoded(data: bytes) -> NDArray[np.int_]:
    """Pixels `(height, width, 3)` of a PNG, as int so that they can be subtracted."""
    image = Image.open(io.BytesIO(data))
    assert image.format == "PNG"
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def texts(figure: Figure) -> list[str]:
    """Every text of a figure."""
    return [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()]


def colliding_texts(figure: Figure) -> list[str]:
    """Texts of a drawn figure that overlap another one or run out of the figure."""
    figure_png(figure)
    shown = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text().strip()]
    boxes = {text: text.get_window_extent() for text in shown if text.get_visible()}
    outside = [text for text, box in boxes.items() if not figure.bbox.contains(*box.min) or box.x1 > figure.bbox.x1]
    overlapping = [one for one, other in combinations(boxes, 2) if boxes[one].overlaps(boxes[other])]
    return [text.get_text() for text in (*outside, *overlapping)]


def evaluation_boundary(
    features: tuple[str, ...],
    classes: tuple[str, ...],
    predict_raw: Predict,
    raw_NF: Floats,
    y_N: NDArray[np.integer],
    title: str = "test rows",
    unit: str = "row",
) -> Figure:
    """The decision boundary of an evaluation, of a model of numbers that its test rows standardize."""
    encoder = standard_encoder(features, raw_NF)
    return evaluation_boundaries(encoder, classes, predict_raw, raw_NF, y_N, title, unit)["decision_boundary.png"]
