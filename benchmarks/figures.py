"""CPU time of each figure, against the usual way through pyplot.

    python -m benchmarks.figures [--trials 30] [--width 64] [--depth 2]

The usual way is pyplot: `contourf` of a 200 x 200 grid with all rows as a scatter plot, two panels of curves, and
`savefig`.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in the search, which draws beside the training

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from insects.encoder import Encoder, number_columns
from insects.mlp import Floats, initial_weights, logits
from insects.params import TrialParams
from insects.plots import TrialFigures, boundary_atlas, figure_png, optimization_history
from insects.spiral import spiral
from insects.splits import Splits

Predict = Callable[[Floats], Floats]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--depth", type=int, default=2)
    args = parser.parse_args()

    splits = spiral_splits()
    params = TrialParams(args.depth, args.width, 1e-3, 4)
    weights = initial_weights(params, splits.shape, np.random.default_rng(0)) * np.float32(3)

    def predict(x_NF: Floats) -> Floats:
        return logits(weights, params, splits.shape, x_NF)

    histories = [history(seed) for seed in range(args.trials)]
    started = time.thread_time()
    figures = TrialFigures(splits)
    prepared = 1e3 * (time.thread_time() - started)
    maps = [figures.thumbnail(predict)] * 50

    # Alternating, so that a busy machine slows both alike.
    usual_map, our_map = in_turns(
        lambda trial: usual_boundary(splits, predict, f"trial {trial}"),
        lambda trial: figures.decision_boundary(predict, f"trial {trial}: depth 2, width 64, lr 0.0031, batch 4"),
        args.trials,
    )
    usual_loss, our_loss = in_turns(
        lambda trial: usual_curves(histories[trial], f"trial {trial}"),
        lambda trial: figures.loss_curves(
            histories[trial], 20, f"trial {trial}: depth 2, width 64, lr 0.0031, batch 4"
        ),
        args.trials,
    )
    print(f"{platform.processor() or platform.machine()}, matplotlib {mpl.__version__}, {params}, {args.trials} trials")
    print(f"{'ms of CPU, mean (median)':<26}{'pyplot':>16}{'insects.plots':>16}{'ratio':>8}")
    report("decision boundary", usual_map, our_map)
    report("loss curves", usual_loss, our_loss)
    report(
        "both",
        *([a + b for a, b in zip(*pair, strict=True)] for pair in ((usual_map, usual_loss), (our_map, our_loss))),
    )
    print(f"once for a study: {prepared:.0f} ms of preparation")
    print(
        f"thumbnail for the atlas: {statistics.median(clock(lambda: figures.thumbnail(predict), args.trials)):.1f} ms"
    )
    atlas = clock(lambda: figure_png(boundary_atlas(maps, [f"trial {number}" for number in range(50)])), 3)
    print(f"atlas of 50 trials: {min(atlas):.0f} ms")
    values = np.random.default_rng(0).uniform(0.05, 1.5, 50).tolist()
    study = clock(lambda: figure_png(optimization_history(range(50), values, ["complete"] * 50)), 3)
    print(f"optimization history: {min(study):.0f} ms")


def spiral_splits() -> Splits:
    """960 training and 240 validation rows of the built-in spiral."""
    x, y = spiral(0)
    order = np.random.default_rng(0).permutation(len(x))[:1200]
    train, valid = order[:960], order[960:]
    mean, std = x[train].mean(axis=0).astype(np.float32), x[train].std(axis=0).astype(np.float32)
    x_NF: Floats = np.ascontiguousarray((x - mean) / std, np.float32)
    names = ("feature1", "feature2")
    encoder = Encoder(number_columns(names), mean, (), (), None, mean, std)
    return Splits(names, tuple("01234"), x_NF[train], y[train], x_NF[valid], y[valid], encoder, "")


def history(seed: int) -> NDArray[np.float64]:
    """A made-up history of 20 epochs."""
    generator = np.random.default_rng(seed)
    loss = np.geomspace(1.5, generator.uniform(0.03, 1.2), 20) * np.exp(0.05 * generator.normal(size=20))
    return np.stack([loss, 1 - loss / 2.2, loss * 1.1, 1 - loss / 2.1], axis=1)


def usual_boundary(splits: Splits, predict: Predict, title: str) -> bytes:
    """The decision boundary by pyplot."""
    from matplotlib import pyplot as plt

    mpl.use("Agg")
    figure, axes = plt.subplots(figsize=(7, 5), dpi=100)
    x, y = np.meshgrid(np.linspace(-2.6, 2.6, 200), np.linspace(-2.6, 2.6, 200))
    classes = predict(np.stack([x, y], axis=-1).reshape(-1, 2).astype(np.float32)).argmax(axis=1).reshape(x.shape)
    axes.contourf(x, y, classes, levels=np.arange(6) - 0.5, alpha=0.4, cmap="tab10")
    for rows, labels, size in ((splits.train_x, splits.train_y, 6), (splits.valid_x, splits.valid_y, 25)):
        dots = axes.scatter(rows[:, 0], rows[:, 1], c=labels, s=size, cmap="tab10", edgecolors="white", linewidths=0.5)
    axes.legend(*dots.legend_elements(), title="class")
    axes.set(title=title, xlabel=splits.features[0], ylabel=splits.features[1])
    return saved(figure)


def usual_curves(history_E4: NDArray[np.float64], title: str) -> bytes:
    """The learning curves by pyplot."""
    from matplotlib import pyplot as plt

    figure, (loss, accuracy) = plt.subplots(2, 1, figsize=(7, 5), dpi=100, sharex=True)
    for axes, columns, name in ((loss, (0, 2), "loss"), (accuracy, (1, 3), "accuracy")):
        for column, label in zip(columns, ("train", "validation"), strict=True):
            axes.plot(np.arange(1, 21), history_E4[:, column], marker="o", label=label)
        axes.set_ylabel(name)
        axes.grid()
    loss.set_yscale("log")
    loss.set_title(title)
    loss.legend()
    accuracy.set_xlabel("epoch")
    return saved(figure)


def saved(figure: mpl.figure.Figure) -> bytes:
    """The figure as PNG by `savefig`; closes it."""
    from matplotlib import pyplot as plt

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    plt.close(figure)
    return buffer.getvalue()


def in_turns(
    one: Callable[[int], bytes], other: Callable[[int], bytes], trials: int
) -> tuple[list[float], list[float]]:
    """CPU milliseconds of each call of two functions, called alternately."""
    pairs = [(clock(partial(one, trial), 1)[0], clock(partial(other, trial), 1)[0]) for trial in range(trials)]
    first, second = zip(*pairs, strict=True)
    return list(first), list(second)


def clock(call: Callable[[], object], times: int) -> list[float]:
    """CPU milliseconds of this thread for each of `times` calls."""
    taken = []
    for _ in range(times):
        started = time.thread_time()
        call()
        taken.append(1e3 * (time.thread_time() - started))
    return taken


def report(name: str, usual: list[float], ours: list[float]) -> None:
    """Print a line of the table, with the ratio of the medians."""
    cells = [f"{statistics.mean(times):.1f} ({statistics.median(times):.1f})" for times in (usual, ours)]
    print(f"{name:<26}{cells[0]:>16}{cells[1]:>16}{statistics.median(usual) / statistics.median(ours):>7.1f}x")


if __name__ == "__main__":
    main()
