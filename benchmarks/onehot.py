"""What the inputs of a category cost in training.

    python -m benchmarks.onehot

A table of 20 numbers and a category of 100 levels is trained on with the category as 100 inputs, without it, and with
100 more numbers in its place. The one-hot inputs are zeros but for one, and the compiled engine multiplies all of them:
the difference to the table without the category is the most that a gather of weight rows could save. Of it, Adam's step
stays whatever is gathered: the moments of a level that is not in the batch decay too.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import click
import numpy as np

from benchmarks.pipeline import configurations
from insects.encoder import CodedColumn, fit_encoder
from insects.mlp import Shape, layer_sizes, parameter_count
from insects.params import Recipe, TrialParams
from insects.splits import Splits, Table, encoded_splits
from insects.training import advance, init

ROWS, NUMBERS, LEVELS, EPOCHS, SAMPLED = 4000, 20, 100, 3, 50
ADAM = 12
"""Operations of Adam's step on a weight, where a square root and a division count as one each."""


def table_with(kind: str) -> Splits:
    """Splits of the table with the category as `one-hot`, `without` or `numbers`."""
    random = np.random.default_rng(0)
    x = random.standard_normal((ROWS, NUMBERS), np.float32)
    columns = [CodedColumn(f"n{place}") for place in range(NUMBERS)]
    if kind == "one-hot":
        x = np.column_stack([x, random.integers(0, LEVELS, ROWS).astype(np.float32)])
        columns.append(CodedColumn("c", tuple(f"level {level}" for level in range(LEVELS))))
    elif kind == "numbers":
        x = np.column_stack([x, random.standard_normal((ROWS, LEVELS), np.float32)])
        columns += [CodedColumn(f"m{place}") for place in range(LEVELS)]
    y = (np.arange(ROWS) % 2).astype(np.int32)
    train, valid = np.arange(ROWS - 200), np.arange(ROWS - 200, ROWS)
    table = Table(tuple(column.name for column in columns), ("a", "b"), np.ascontiguousarray(x), y, "made up")
    return encoded_splits(table, train, valid, fit_encoder(columns, x[train], y[train]))


def share_of_gather(params: TrialParams, shape: Shape) -> float:
    """Share of a step's arithmetic in the products with one-hot inputs, which a gather would not do.

    A layer of I inputs and O outputs takes `2 B I O` operations forward and as many for its gradient; all layers but
    the first as many again for the gradient of their inputs.
    """
    sizes = layer_sizes(params, shape)
    products = sum((4 if layer == 0 else 6) * inputs * outputs for layer, (inputs, outputs) in enumerate(sizes))
    step = params.batch_size * products + ADAM * parameter_count(params, shape)
    return 4 * params.batch_size * LEVELS * params.width / step


def epoch_seconds(tables: dict[str, Splits], sampled: Sequence[TrialParams], repeats: int) -> dict[str, float]:
    """CPU seconds of an epoch of all configurations on each table, each the best of some repeats."""
    seconds = dict.fromkeys(tables, 0.0)
    for params in sampled:
        best = dict.fromkeys(tables, np.inf)
        for _ in range(repeats):
            for kind, splits in tables.items():
                state = init(params, Recipe(EPOCHS), splits.shape, seed=0, trial=0)
                started = time.process_time()
                advance(state, splits, EPOCHS)
                best[kind] = min(best[kind], (time.process_time() - started) / EPOCHS)
        seconds = {kind: seconds[kind] + best[kind] for kind in tables}
    return seconds


@click.command()
@click.option("--repeats", default=5, show_default=True)
def main(repeats: int) -> None:
    """Print the time of each table as a multiple of that without the category."""
    tables = {kind: table_with(kind) for kind in ("without", "one-hot", "numbers")}
    for width in (64, 256):
        for batch in (8, 32, 128):
            params = TrialParams(depth=2, width=width, lr=0.001, batch_size=batch)
            show(f"depth 2, width {width}, batch {batch}", epoch_seconds(tables, [params], repeats))
            print(f"  its products with one-hot inputs: {share_of_gather(params, tables['one-hot'].shape):.0%}")
    sampled = [TrialParams(**params) for params in configurations(SAMPLED)]
    show(f"{SAMPLED} configurations of the default space", epoch_seconds(tables, sampled, repeats))


def show(title: str, seconds: dict[str, float]) -> None:
    """Print the times of an epoch."""
    times = ", ".join(f"{kind} {seconds[kind] / seconds['without']:.2f}" for kind in ("one-hot", "numbers"))
    most = 1 - seconds["without"] / seconds["one-hot"]
    print(f"{title}: without {1e3 * seconds['without']:.1f} ms an epoch; {times}; a gather saves {most:.0%} at most")


if __name__ == "__main__":
    main()
