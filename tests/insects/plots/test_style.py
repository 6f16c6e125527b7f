"""What all figures share: colours, names, headings, settings and PNG."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from numpy.typing import NDArray

from insects.evaluation import evaluate
from insects.plots import (
    TrialFigures,
    boundary_atlas,
    confusion_figure,
    figure_png,
    figure_svg,
    optimization_history,
)
from insects.plots.comparison import importance_figure, parallel_figure, slice_figure
from insects.plots.contour import contour_figure
from insects.plots.images import mistakes_grid, sample_grid
from insects.plots.painter import STRONGEST
from insects.plots.style import LARGE, SMALLEST, class_colours, drawable, new_figure, png, rare_last, write_heading
from insects.plots.table import table_figures
from insects.tables.raw import RawTable
from tests.support.plot_cases import TITLE, decoded, evaluation_boundary, linear, random_splits
from tests.support.trial_cases import BOUNDS, NAMES, trials


@pytest.mark.parametrize("count", [2, 5, 8, 9, 12, 20, 21, 100, 300])
def test_colours_of_classes_differ(count: int) -> None:
    colours = class_colours(count)
    assert colours.shape == (count, 3)
    assert len(np.unique(colours, axis=0)) == count


@pytest.mark.parametrize("count", range(9, 21))
def test_any_two_of_up_to_20_classes_can_be_told_apart(count: int) -> None:
    colours = class_colours(count).astype(float)
    assert smallest_distance(colours) > 26  # of viridis 16 for 9 classes, 7 for 20
    in_a_map = 255 - (255 - colours) * STRONGEST
    assert smallest_distance(in_a_map) > 15.9  # of viridis 13 and 5


def smallest_distance(rgb_C3: NDArray[np.float64]) -> float:
    """CIE76: the Euclidean distance in CIELAB under D65; some 2.3 can just be seen."""
    share_C3 = rgb_C3 / 255
    linear_C3 = np.where(share_C3 <= 0.04045, share_C3 / 12.92, ((share_C3 + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz_C3 = linear_C3 @ to_xyz.T / to_xyz.sum(axis=1)
    x, y, z = np.where(xyz_C3 > 216 / 24389, np.cbrt(xyz_C3), (24389 / 27 * xyz_C3 + 16) / 116).T
    lab_C3 = np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
    return min(float(np.linalg.norm(one - other)) for one, other in combinations(lab_C3, 2))


STRANGE: dict[Any, Any] = {
    "text.usetex": True,
    "axes.facecolor": "red",
    "font.size": 30,
    "lines.linewidth": 9,
    "font.family": "serif",
}


def every_figure() -> list[bytes]:
    """One PNG by each function that makes or draws a figure."""
    splits, predict, results = random_splits(2, 3, rows=60), linear(2, 3), trials(12)
    codes = np.arange(9) % 3
    logits_NC = np.eye(3)[(codes + codes // 2) % 3]
    images = np.zeros((9, 3, 8, 8), np.uint8)
    of_a_trial = TrialFigures(splits)
    y = np.arange(60, dtype=np.int32) % 3
    none, x_NF = np.zeros(2, np.int64), np.linspace(0, 1, 120).reshape(60, 2)
    table = RawTable(splits.features, "y", splits.classes, x_NF, y, missing=none, other=none, source="")
    figures = [
        slice_figure(results, BOUNDS),
        parallel_figure(results, BOUNDS),
        contour_figure(results, NAMES, BOUNDS),
        importance_figure({"lr": 0.7, "depth": 0.3}, 30, 0.1),
        boundary_atlas([of_a_trial.thumbnail(predict)], ["title"], classes=splits.classes, plane=of_a_trial.plane),
        optimization_history([0, 1], [0.5, np.inf], ["complete", "failed"]),
        confusion_figure(evaluate(logits_NC, codes, splits.classes)),
        evaluation_boundary(splits.features, splits.classes, predict, splits.valid_x, splits.valid_y),
        sample_grid(images, codes, codes, splits.classes),
        mistakes_grid(images.__getitem__, codes, logits_NC, splits.classes, "wrong"),
        *table_figures(table).values(),
    ]
    drawn = [figure_png(figure) for figure in figures if figure is not None]
    assert len(drawn) == len(figures)
    return [
        *drawn,
        of_a_trial.loss_curves(np.full((3, 4), 0.5), 1, TITLE),
        of_a_trial.decision_boundary(predict, TITLE),
        of_a_trial.loss_curves(np.full((3, 4), 0.5), 1, TITLE, svg=True),
        of_a_trial.decision_boundary(predict, TITLE, svg=True),
        figure_svg(optimization_history([0, 1], [0.5, np.inf], ["complete", "failed"])),
    ]


@pytest.mark.slow
def test_figures_ignore_the_callers_matplotlib_settings_and_restore_them() -> None:
    expected = every_figure()
    with mpl.rc_context(STRANGE):
        before = dict(mpl.rcParams.copy())
        assert every_figure() == expected
        with pytest.raises(ValueError, match="as many titles"):
            boundary_atlas([], [])
        with pytest.raises(ValueError, match="with at least one epoch"):
            TrialFigures(random_splits(2, 3, rows=60)).loss_curves(np.zeros((0, 4)), 0, TITLE)
        assert dict(mpl.rcParams.copy()) == before


def test_import_changes_no_setting_and_figures_ignore_a_matplotlibrc(tmp_path: Path) -> None:
    script = """
import importlib, pkgutil, sys
import matplotlib as mpl
before = dict(mpl.rcParams.copy())
import insects.plots
for module in pkgutil.iter_modules(insects.plots.__path__, "insects.plots."):
    importlib.import_module(module.name)
assert dict(mpl.rcParams.copy()) == before
assert mpl.rcParams["text.usetex"], "the matplotlibrc was not read"
figure = insects.plots.optimization_history([0, 1], [0.5, 0.4], ["complete", "complete"])
sys.stdout.buffer.write(insects.plots.figure_png(figure))
"""
    (tmp_path / "matplotlibrc").write_text("".join(f"{name}: {value}\n" for name, value in STRANGE.items()))
    drawn = subprocess.check_output([sys.executable, "-c", script], cwd=tmp_path)
    assert drawn == figure_png(optimization_history([0, 1], [0.5, 0.4], ["complete", "complete"]))


def test_png_decodes_to_the_pixels_that_went_in() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, size=(37, 53, 4), dtype=np.uint8)
    np.testing.assert_array_equal(decoded(png(pixels)), pixels[..., :3])
    np.testing.assert_array_equal(decoded(png(pixels[..., :3])), pixels[..., :3])


def test_rows_of_rare_classes_are_drawn_last_and_the_others_as_they_come() -> None:
    y = np.array([2, 0, 1] + [0, 1] * 20)  # a 43rd of the rows is of class 2
    assert rare_last(y).tolist() == [*range(1, 43), 0]
    assert rare_last(y % 2).tolist() == list(range(43))


def test_characters_without_a_glyph_become_boxes() -> None:
    assert drawable("Käfer 甲虫 ±", 20) == "Käfer □□ ±"


def test_a_heading_that_is_too_long_is_smaller() -> None:
    figure = new_figure()
    write_heading(figure, "short", "a long subtitle " * 6)
    assert [text.get_fontsize() for text in figure.texts] == [LARGE, SMALLEST]
    assert all(text.get_window_extent().x1 < 700 for text in figure.texts)
