"""What the inputs of a category cost in training.

    python -m benchmarks.onehot

A table of 20 numbers and a category of 100 levels is trained on with the category as 100 inputs, without it, and with
100 more numbers in its place. The one-hot inputs are zeros but for one, and the compiled engine multiplies all of them:
the difference to the table without the category is the most that a gather of weight rows could save.
"""

from __future__ import annotations

import time

import click
import numpy as np

from insects.encoder import CodedColumn, fit_encoder
from insects.params import Recipe, TrialParams
from insects.splits import Splits, Table, encoded_splits
from insects.training import advance, init

ROWS, NUMBERS, LEVELS, EPOCHS = 4000, 20, 100, 3


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


@click.command()
@click.option("--repeats", default=5, show_default=True)
def main(repeats: int) -> None:
    """Print the time of each table as a multiple of that without the category."""
    tables = {kind: table_with(kind) for kind in ("without", "one-hot", "numbers")}
    for width in (64, 256):
        for batch in (8, 32, 128):
            params = TrialParams(depth=2, width=width, lr=0.001, batch_size=batch)
            best = dict.fromkeys(tables, np.inf)
            for _ in range(repeats):
                for kind, splits in tables.items():
                    state = init(params, Recipe(EPOCHS), splits.shape, seed=0, trial=0)
                    started = time.process_time()
                    advance(state, splits, EPOCHS)
                    best[kind] = min(best[kind], time.process_time() - started)
            shares = ", ".join(f"{kind} {best[kind] / best['without']:.2f}" for kind in ("one-hot", "numbers"))
            print(f"width {width}, batch {batch}: without {best['without'] / EPOCHS * 1e3:.1f} ms an epoch; {shares}")


if __name__ == "__main__":
    main()
