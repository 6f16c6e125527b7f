"""The comparison of a study's trials: a table and figures, with image grids in a study on images."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from insects import mlp
from insects.final import Finalist
from insects.trial import TrialResult, best_of
from search.reports.descriptions import FigureFormat, write_figures, write_table, write_texts
from search.reports.importance import TOP, importances
from search.reports.model_figures import model_figures
from search.reports.report_contents import params_text
from search.store.image_manifest import ImageManifest
from search.store.serialization import StudyData
from search.store.study_folder import StudyFolder
from search.study.space import SearchSpace, as_dict
from search.study.winner import model_title, winner_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from insects.plots import TrialFigures
    from insects.tables.raw import RawTable

TABLE, IMAGES = "table", "images"
"""Subfolders that hold the description of the data."""

FINAL_CSV = "final.csv"
"""The finalists, beside `trials.csv`."""

FEWEST_RANKED = 10
"""Complete trials that importances take: among fewer, none is in the best tenth."""

_MOST_TELLING = ("lr", "width", "depth", "batch_size")  # the order where there are too few trials to tell
_DESCRIBED = 4_000_000  # most numbers that are described, which takes some seconds


def write_comparison(
    folder: Path,
    study: StudyFolder,
    results: Sequence[TrialResult],
    figures: TrialFigures | None,
    written_as: FigureFormat = "png",
) -> None:
    """Write `trials.csv` and every figure that there are enough trials for.

    As SVG there are the figures of the model too, whose PNG files are on the run of its trial or finalist.

    Args:
        folder: A folder that exists.
        study: The study.
        results: Its finished trials, at least one.
        figures: What drew the figures of the trials, to be used again; None: it is made.
        written_as: What the figures are written as.
    """
    from insects.plots import optimization_history
    from insects.plots.comparison import importance_figure, parallel_figure, slice_figure
    from insects.plots.contour import contour_figure

    _write_csv(folder / "trials.csv", [_row(result) for result in results])
    data, images = study.data(), study.images()
    space = searched_space(study, results)
    ranked, shares = importance_shares(study, results)
    history = optimization_history(
        [result.number for result in results],
        [result.objective for result in results],
        [result.state for result in results],
        results[0].metric,
    )
    drawn: dict[str, Figure | None] = {
        "optimization_history.png": history,
        "boundary_atlas.png": _atlas(study, data, results, figures),
        "importances.png": importance_figure(shares, len(ranked), TOP) if shares else None,
        "slices.png": slice_figure(results, vars(space)),
        "parallel_coordinates.png": parallel_figure(results, vars(space)),
        "contour.png": contour_figure(results, list(shares) or _MOST_TELLING, vars(space)),
    }
    if images is not None:
        drawn |= _image_figures(images, study, data, results)
    write_figures(folder, {name: figure for name, figure in drawn.items() if figure is not None}, written_as)
    if written_as == "svg":
        _write_model_figures(folder, study, data, results, figures or trial_figures(study, data))


def _write_model_figures(
    folder: Path, study: StudyFolder, data: StudyData, results: Sequence[TrialResult], figures: TrialFigures
) -> None:
    """Write curves and decision boundaries of the model as SVG."""
    winner = winner_of(study, results)
    if winner is None:
        return
    if winner.folds:
        finalist = study.load_finalist(winner.number, winner.folds)
        assert finalist is not None, "the final has chosen it"
        trials = [fold.trial for fold in finalist.folds]
    else:
        trial = study.load(winner.number)
        assert trial is not None, "it was read a moment ago"
        trials = [trial]
    title = f"{model_title(winner.number, winner.folds)}: {params_text(trials[0].params)}"
    drawn = model_figures(figures, trials, data.sample.shape, title, of_folds=bool(winner.folds), svg=True)
    for name, draw in drawn.items():
        (folder / f"model_{name}.svg").write_bytes(draw())


def write_description(folder: Path, study: StudyFolder, written_as: FigureFormat = "png") -> None:
    """Write the description of the study's data into a subfolder.

    Args:
        folder: A folder that exists.
        study: The study.
        written_as: What its figures are written as.
    """
    images = study.images()
    if images is not None:
        write_texts(folder / IMAGES, **images.description)
    else:
        write_table(folder / TABLE, sample_table(study, study.data()), written_as)


def searched_space(study: StudyFolder, results: Sequence[TrialResult]) -> SearchSpace:
    """Return the study's space, widened to hold configurations that were given.

    Args:
        study: The study.
        results: Its trials.
    """
    space = SearchSpace(**{name: tuple(bounds) for name, bounds in study.fingerprint["space"].items()})
    return space.widened(result.params for result in results)


def importance_shares(study: StudyFolder, results: Sequence[TrialResult]) -> tuple[list[TrialResult], dict[str, float]]:
    """Return the trials that are compared, and the importance of each parameter; see `importances`.

    Args:
        study: The study.
        results: Its trials.
    """
    ranked = [r for r in results if r.state == "complete" and np.isfinite(r.objective)]
    if len(ranked) < FEWEST_RANKED:
        return [], {}
    space = searched_space(study, results)
    return ranked, importances(space, [r.params for r in ranked], [r.objective for r in ranked])


def trial_figures(study: StudyFolder, data: StudyData) -> TrialFigures:
    """Return what draws the figures of a study's trials.

    Args:
        study: The study.
        data: What it keeps of its data.
    """
    from insects.plots import TrialFigures

    if study.images() is not None:
        return TrialFigures(data.sample, "image", None, study.metric, study.class_weight)
    raw = data.train_raw, data.valid_raw
    return TrialFigures(data.sample, "row", raw, study.metric, study.class_weight)


def sample_table(study: StudyFolder, data: StudyData) -> RawTable:
    """Return the coded training and validation rows that a study keeps.

    Args:
        study: The study.
        data: What it keeps of its data.
    """
    from insects.splits import Table
    from insects.tables.raw import RawTable

    sample, sizes = data.sample, study.fingerprint["data"]
    total = sizes["train_rows"] + sizes["valid_rows"]
    kept = min(1.0, _DESCRIBED / (data.train_raw.size + data.valid_raw.size))
    train, valid = (slice(math.ceil(kept * len(y))) for y in (sample.train_y, sample.valid_y))
    x = np.concatenate([data.train_raw[train], data.valid_raw[valid]])
    y = np.concatenate([sample.train_y[train], sample.valid_y[valid]])
    part = "" if len(y) == total else f", {len(y):,} of {total:,}"
    source = f"{study.source}: training and validation rows{part}"
    table, manifest = Table(sample.features, sample.classes, x, y, source), study.table()
    assert manifest is not None, "only a study on a table has one"
    return RawTable.from_table(table, manifest.model_columns, manifest.target, manifest.dropped, manifest.notes)


def _atlas(
    study: StudyFolder, data: StudyData, results: Sequence[TrialResult], figures: TrialFigures | None
) -> Figure | None:
    """Draw the decision boundaries of the best trials; only the trials drawn are read with their weights."""
    from insects.plots import boundary_atlas
    from insects.plots.study import ATLAS_MAPS

    ranked = sorted((r for r in results if r.epochs), key=lambda result: result.rank)
    if not ranked:
        return None
    figures = figures or trial_figures(study, data)
    maps, titles = [], []
    for light in ranked[:ATLAS_MAPS]:
        result = study.load(light.number)
        assert result is not None, "it was read a moment ago"
        maps.append(figures.thumbnail(partial(mlp.logits, result.weights, result.params, data.sample.shape)))
        titles.append(f"trial {result.number}: {result.objective:#.2g}")
    columns = min(max(3, math.ceil(math.sqrt(1.4 * len(maps)))), 10)
    return boundary_atlas(maps, titles, columns, len(ranked), data.sample.classes, figures.plane)


def _image_figures(
    images: ImageManifest, study: StudyFolder, data: StudyData, results: Sequence[TrialResult]
) -> dict[str, Figure]:
    """Draw samples of each class, and the best trial's mistakes. Images are black where a file is gone."""
    from insects.images.reading import read_pixels
    from insects.images.samples import SHOWN_SIZE
    from insects.plots.images import mistakes_grid, sample_grid

    sample = data.sample
    files, codes = zip(*images.samples, strict=True)
    y_N = np.repeat(np.arange(len(images.counts)), images.counts)
    pixels = read_pixels(images.path, files, SHOWN_SIZE)[0]
    figures = {"sample_images.png": sample_grid(pixels, np.array(codes), y_N, sample.classes)}
    chosen = best_of(results)
    if chosen is not None:
        best = study.load(chosen.number)
        assert best is not None, "it was read a moment ago"
        logits_VC = mlp.logits(best.weights, best.params, sample.shape, sample.valid_x)
        figures["mistakes.png"] = mistakes_grid(
            lambda rows: read_pixels(images.path, [images.valid[row] for row in rows], SHOWN_SIZE)[0],
            sample.valid_y,
            logits_VC,
            sample.classes,
            f"mistakes of trial {chosen.number}",
            "validation images",
        )
    return figures


def write_finalists(path: Path, finalists: Sequence[Finalist]) -> None:
    """Write the finalists as a CSV file, in the order of the trials' losses.

    Args:
        path: The file.
        finalists: The finalists, at least one.
    """
    rows = [
        {
            "number": finalist.number,
            **as_dict(finalist.params),
            **{f"out_of_fold_{name}": value for name, value in finalist.figures.items()},
            "seconds": round(sum(fold.trial.seconds for fold in finalist.folds), 4),
        }
        for finalist in finalists
    ]
    _write_csv(path, rows)


def _write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def _row(result: TrialResult) -> dict[str, Any]:
    return {
        "number": result.number,
        "state": result.state,
        **as_dict(result.params),
        **result.best_figures,
        "best_epoch": result.best_epoch,
        "epochs": result.epochs,
        "seconds": round(result.seconds, 4),
    }
