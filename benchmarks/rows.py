"""Reading, predicting and memory of a long mixed table.

    python -m benchmarks.rows --rows 1000000

Reading is measured against pandas' `read_csv` of the same file in the same run: seconds, and the peak of memory that
each process adds over the table's own. Predicting is measured as rows a second after the start of `insects-predict`,
which is the time it takes for 10 rows.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import pandas as pd

NUMBERS, CATEGORIES = 13, 6
BIN = Path(sys.executable).parent
READERS = {
    "pandas": "import pandas as pd; frame = pd.read_csv(path)",
    "insects": (
        "from insects.tables.frames import read_frame; from insects.tables.text_files import TableFormat; "
        "frame = read_frame(path, TableFormat()).cells"
    ),
}


def long_table(rows: int) -> pd.DataFrame:
    """20 columns and a label: numbers, one of them with gaps, categories and a date."""
    random = np.random.default_rng(0)
    columns: dict[str, object] = {f"n{place}": random.normal(size=rows).round(4) for place in range(NUMBERS)}
    columns["n0"] = np.where(random.random(rows) < 0.1, np.nan, columns["n0"])  # type: ignore[call-overload]
    for place in range(CATEGORIES):
        levels = np.array([f"level {level}" for level in range(5 * place + 5)])
        columns[f"c{place}"] = levels[random.integers(0, len(levels), rows)]
    columns["when"] = (np.datetime64("2020-01-01") + random.integers(0, 2000, rows)).astype(str)
    frame = pd.DataFrame(columns)
    return frame.assign(label=np.where(frame["n1"] + frame["n2"] > 0, "yes", "no"))


def read_by(name: str, path: Path) -> tuple[float, float]:
    """Seconds of a reader in a process of its own, and the bytes of its peak over those before it."""
    script = f"""
import sys, time
from pathlib import Path
import pandas, pyarrow, pyarrow.csv, insects.tables.frames
def peak():
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])
path = sys.argv[1]
before, started = peak(), time.perf_counter()
{READERS[name]}
print(time.perf_counter() - started, peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak


def predict_seconds(store: Path, model: str, rows: Path, out: Path) -> tuple[float, int]:
    """Seconds of `insects-predict`, and its number of rows."""
    started = time.perf_counter()
    command = [str(BIN / "insects-predict"), "--best", "--model-name", model, str(rows), "--store", str(store)]
    command += ["--out", str(out), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - started, int(json.loads(done.stdout)["rows"])


@click.command()
@click.option("--rows", default=1_000_000, show_default=True)
@click.option("--repeats", default=3, show_default=True)
def main(rows: int, repeats: int) -> None:
    """Print ratios."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        frame = long_table(rows)
        table, few, learnt, store = (folder / part for part in ("t.csv", "few.csv", "learnt.csv", "store"))
        frame.to_csv(table, index=False)
        frame[:10].to_csv(few, index=False)
        frame[:5000].to_csv(learnt, index=False)
        size = float(frame.memory_usage(deep=True).sum())
        print(
            f"{rows:,} rows of {frame.shape[1]} columns: {table.stat().st_size / 1e6:.0f} MB of text, "
            f"{size / 1e6:.0f} MB in pandas"
        )
        best: dict[str, tuple[float, float]] = {}
        for _ in range(repeats):
            for reader in READERS:
                best[reader] = min(best.get(reader, (np.inf, np.inf)), read_by(reader, table))
        seconds, peaks = ({reader: best[reader][part] for reader in READERS} for part in (0, 1))
        print(
            f"reading: {seconds['insects']:.2f} s, {seconds['insects'] / seconds['pandas']:.2f} times pandas; peak "
            f"{peaks['insects'] / size:.2f} times the table, pandas {peaks['pandas'] / size:.2f}"
        )
        search = [str(BIN / "insects-search"), "--train", str(learnt), "--target", "label", "--store", str(store)]
        for depth, width in ((2, 64), (4, 256)):
            model = f"depth-{depth}"
            shape = ["--depth", str(depth), "--width", str(width), "--trials", "1", "--model-name", model]
            subprocess.run([*search, *shape], capture_output=True, check=True)
            start = min(predict_seconds(store, model, few, folder / "out.csv")[0] for _ in range(repeats))
            whole, count = min(predict_seconds(store, model, table, folder / "out.csv") for _ in range(repeats))
            print(
                f"predicting by depth {depth}, width {width}: {count / (whole - start):,.0f} rows a second after a "
                f"start of {start:.1f} s"
            )
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
        print(f"largest process: {peak:.0f} MB")


if __name__ == "__main__":
    main()
