"""What compares a study's trials, and what describes its data: figures and files of the search's own run in MLflow."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from insects import mlp
from insects.trial import TrialResult
from search.reports.descriptions import write_figures, write_table, write_texts
from search.reports.image_figures import image_figures
from search.reports.importance import TOP, importances
from search.store.serialization import StudyData
from search.store.store import reaching
from search.store.study_folder import StudyFolder
from search.study.config import study_digest
from search.study.space import SearchSpace, as_dict
from search.system.temporary import temporary_folder

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from insects.plots import TrialFigures
    from insects.tables.raw import RawTable

COMPARED_TAG = "insects.compared"
TABLE, IMAGES = "table", "images"
"""The folders of the description among the run's files."""

_MOST_TELLING = ("lr", "width", "depth", "batch_size")  # where the trials do not say it themselves
_FEWEST_RANKED = 10  # trials: of fewer, not one is in the best tenth
_DESCRIBED = 4_000_000  # most numbers of the sample that are described: it is a matter of seconds


def light_results(study: StudyFolder) -> list[TrialResult]:
    """Every finished trial, by number, without its weights."""
    loaded = (study.load(number) for number in study.numbers())
    return [replace(result, weights=np.empty(0, np.float32)) for result in loaded if result is not None]


def deliver_comparison(
    client: MlflowClient,
    run: Run,
    study: StudyFolder,
    results: Sequence[TrialResult],
    figures: TrialFigures | None,
    seconds: dict[str, float],
) -> None:
    """Bring comparison and description to the search's run. Its tag, which comes last, says what they compare.

    figures: what drew the trials, if anything did. seconds: `figures` and `tracking` grow by what was spent.
    """
    started = time.perf_counter()
    described = COMPARED_TAG in run.data.tags  # the data of a study never changes
    with temporary_folder() as folder:
        data = study.data()
        write_comparison(folder, study, data, results, figures)
        images = study.images()
        if images is not None:
            write_figures(folder, image_figures(images, study, data, results))
            if not described:
                write_texts(folder / IMAGES, **images.description)
        elif not described:
            write_table(folder / TABLE, sample_table(study, data))
        drawn = time.perf_counter()
        with reaching(client.tracking_uri):
            client.log_artifacts(run.info.run_id, str(folder))
            client.set_tag(run.info.run_id, COMPARED_TAG, study_digest(results))
    seconds["figures"] += drawn - started
    seconds["tracking"] += time.perf_counter() - drawn


def write_comparison(
    folder: Path, study: StudyFolder, data: StudyData, results: Sequence[TrialResult], figures: TrialFigures | None
) -> None:
    """Write `trials.csv` and every figure that these trials are enough for."""
    from insects.plots import optimization_history
    from insects.plots.comparison import importance_figure, parallel_figure, slice_figure
    from insects.plots.contour import contour_figure

    _write_trials(folder / "trials.csv", results)
    complete = [r for r in results if r.state == "complete" and np.isfinite(r.valid_loss)]
    space = SearchSpace(**{name: tuple(bounds) for name, bounds in study.identity()["space"].items()})
    space = space.widened(result.params for result in results)
    ranked = complete if len(complete) >= _FEWEST_RANKED else []
    shares = importances(space, [result.params for result in ranked], [result.valid_loss for result in ranked])
    history = [(result.number, result.valid_loss, result.state) for result in results]
    drawn: dict[str, Figure | None] = {
        "optimization_history.png": optimization_history(*map(list, zip(*history, strict=True))),
        "boundary_atlas.png": _atlas(study, data, results, figures),
        "importances.png": importance_figure(shares, len(ranked), TOP) if shares else None,
        "slices.png": slice_figure(results, vars(space)),
        "parallel_coordinates.png": parallel_figure(results, vars(space)),
        "contour.png": contour_figure(results, list(shares) or _MOST_TELLING, vars(space)),
    }
    write_figures(folder, {name: figure for name, figure in drawn.items() if figure is not None})


def sample_table(study: StudyFolder, data: StudyData) -> RawTable:
    """The rows that a study keeps of its training and validation rows, in the user's units."""
    from insects.splits import Table
    from insects.tables.raw import raw

    sample, sizes = data.sample, study.identity()["data"]
    total = sizes["train_rows"] + sizes["valid_rows"]
    kept = min(1.0, _DESCRIBED / (sample.train_x.size + sample.valid_x.size))
    train, valid = (slice(math.ceil(kept * len(y))) for y in (sample.train_y, sample.valid_y))
    x = np.concatenate([sample.train_x[train], sample.valid_x[valid]]) * sample.std + sample.mean
    y = np.concatenate([sample.train_y[train], sample.valid_y[valid]])
    part = "" if len(y) == total else f", {len(y):,} of {total:,}"
    source = f"{study.source()}: training and validation rows{part}"
    return raw(Table(sample.features, sample.classes, x, y, source), target="label")


def _atlas(
    study: StudyFolder, data: StudyData, results: Sequence[TrialResult], figures: TrialFigures | None
) -> Figure | None:
    """The trials' maps, of which only those that are drawn are read again."""
    from insects.plots import TrialFigures, boundary_atlas
    from insects.plots.study import ATLAS_MAPS

    ranked = sorted((r for r in results if r.epochs), key=lambda result: (result.valid_loss, result.number))
    if not ranked:
        return None
    figures = figures or TrialFigures(data.sample)
    maps, titles = [], []
    for light in ranked[:ATLAS_MAPS]:
        result = study.load(light.number)
        assert result is not None, "it was there a moment ago"
        maps.append(figures.thumbnail(partial(mlp.logits, result.weights, result.params, data.sample.shape)))
        titles.append(f"trial {result.number}: {result.valid_loss:#.2g}")
    columns = min(max(3, math.ceil(math.sqrt(1.4 * len(maps)))), 10)
    classes, plane = data.sample.classes, figures.plane
    return boundary_atlas(maps, titles, columns, len(ranked), classes, plane)


def _write_trials(path: Path, results: Sequence[TrialResult]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        rows = [_row(result) for result in results]
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def _row(result: TrialResult) -> dict[str, Any]:
    return {
        "number": result.number,
        "state": result.state,
        **as_dict(result.params),
        "valid_loss": result.valid_loss,
        "valid_accuracy": result.valid_accuracy,
        "best_epoch": result.best_epoch,
        "epochs": result.epochs,
        "seconds": round(result.seconds, 4),
    }
