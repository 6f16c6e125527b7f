"""The built-in data: a spiral with five arms, one arm per class, the same on every machine.

The points of arm j = 0..4 are `r (sin t, cos t)` with `r = linspace(0, 1, n)` and
`t = linspace(5j, 5(j+1), n) + 0.1 normal(n)`. NumPy guarantees the stream of `PCG64.random_raw()` across versions, but
not that of `Generator.normal`. So this file spells out how 64-bit draws become normals and an order of the rows:

1. a draw u gives the uniform `((u >> 11) + 0.5) / 2**53`, never 0 nor 1;
2. the first 5n uniforms a and the next 5n uniforms b give the normals `sqrt(-2 ln a) cos(2 pi b)`
   (Box and Muller, 1958), arm after arm;
3. the next 5n draws, sorted (stably), give the order of the rows.

`python -m insects.spiral data` writes the two CSV files of the built-in data.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from insects.splits import Labels, Table

ARMS = 5
FEATURES = ("feature1", "feature2")
TRAIN_ROWS = 1200
SEED = 0
"""The built-in tables are `spiral(SEED)`: the first 1200 rows for training, the last 300 for testing."""


def spiral(seed: int, per_class: int = 300) -> tuple[NDArray[np.float64], Labels]:
    """Draw points of the spiral, in random order.

    Args:
        seed: Seed of the draw.
        per_class: Points of each arm, n.

    Returns:
        Points `(5 n, 2)` float64 and their arms `(5 n,)` int32.
    """
    bits = np.random.PCG64(seed)
    rows = ARMS * per_class
    first, second = _uniforms(bits, rows), _uniforms(bits, rows)
    normal = np.sqrt(-2 * np.log(first)) * np.cos(2 * np.pi * second)
    order = np.argsort(_draws(bits, rows), kind="stable")

    radius = np.tile(np.linspace(0, 1, per_class), ARMS)
    turn = np.concatenate([np.linspace(5 * arm, 5 * (arm + 1), per_class) for arm in range(ARMS)])
    angle = turn + 0.1 * normal
    x = np.column_stack([radius * np.sin(angle), radius * np.cos(angle)])
    y = np.repeat(np.arange(ARMS, dtype=np.int32), per_class)
    return x[order], y[order]


def builtin_tables() -> tuple[Table, Table]:
    """The built-in training table (1200 rows) and test table (300 rows), read from the files of the package."""
    train, test = (_read(name) for name in ("insects_train.csv", "insects_test.csv"))
    return train, test


def write(folder: Path) -> None:
    """Write `insects_train.csv` and `insects_test.csv` of the built-in data to an existing folder."""
    x, y = spiral(SEED)
    for name, rows in (("insects_train.csv", slice(TRAIN_ROWS)), ("insects_test.csv", slice(TRAIN_ROWS, None))):
        lines = [f"{arm},{a:z.9f},{b:z.9f}\n" for arm, (a, b) in zip(y[rows], x[rows], strict=True)]
        text = ",".join(("labels", *FEATURES)) + "\n" + "".join(lines)
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


def _read(name: str) -> Table:
    # A wheel installs the files as insects/builtin, a clone has them in data/ (see package-dir in pyproject.toml).
    package = Path(__file__).parent
    folder = package / "builtin" if (package / "builtin").is_dir() else package.parent / "data"
    values = np.loadtxt(folder / name, delimiter=",", skiprows=1)
    return Table(
        features=FEATURES,
        classes=tuple(str(arm) for arm in range(ARMS)),
        x=np.ascontiguousarray(values[:, 1:], dtype=np.float32),
        y=values[:, 0].astype(np.int32),
        source=f"built-in {name}",
    )


def _draws(bits: np.random.PCG64, count: int) -> NDArray[np.uint64]:
    return np.asarray(bits.random_raw(count), dtype=np.uint64)


def _uniforms(bits: np.random.PCG64, count: int) -> NDArray[np.float64]:
    return ((_draws(bits, count) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


if __name__ == "__main__":
    write(Path(sys.argv[1]))
