"""Figures of a table: which there are, what they name, and where the classes' colours are."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from matplotlib.text import Text
from numpy.typing import NDArray

from insects.plots import figure_png
from insects.plots.boundary import POINTS
from insects.plots.style import class_colours, drawable
from insects.plots.table import HISTOGRAMS, PAIRED, table_figures
from insects.tables.raw import UNLABELLED, RawTable
from tests.support.plot_cases import decoded, texts


def a_table(x_NF: NDArray[np.float64], y_N: NDArray[np.integer], classes: tuple[str, ...]) -> RawTable:
    missing = np.isnan(x_NF).sum(axis=0)
    names = tuple(f"f{column}" for column in range(x_NF.shape[1]))
    return RawTable(names, "species", classes, x_NF, y_N.astype(np.int32), missing, 0 * missing, "made up")


def blobs(features: int, classes: int, rows: int = 300) -> RawTable:
    """Normal rows; the last feature tells the classes apart, the others do not."""
    generator = np.random.default_rng(0)
    y = np.arange(rows) % classes
    x = generator.normal(size=(rows, features))
    x[:, -1] += 5 * y
    return a_table(x, y, tuple(f"species {code}" for code in range(classes)))


def dots(figure: Figure) -> NDArray[np.float64]:
    (collection,) = figure.findobj(PathCollection)
    assert isinstance(collection, PathCollection)
    return np.asarray(collection.get_offsets())


def heights(figure: Figure) -> NDArray[np.float64]:
    """Total height of the bars of each class, over all panels: `(panels, classes)`."""
    panels = [[patch for patch in axes.findobj(StepPatch) if isinstance(patch, StepPatch)] for axes in figure.axes]
    totals = []
    for patches in panels:
        tops = [np.asarray(patch.get_data()[0]) for patch in patches]
        totals.append([float((top - below).sum()) for below, top in zip([0 * tops[0], *tops], tops, strict=False)])
    return np.array(totals)


@pytest.mark.parametrize(
    ("features", "names"),
    [
        (1, {"histograms.png"}),
        (2, {"histograms.png", "scatter.png"}),
        (3, {"histograms.png", "scatter.png", "pair_plot.png"}),
        (50, {"histograms.png", "scatter.png", "pair_plot.png"}),
    ],
)
def test_number_of_features_decides_which_figures_there_are(features: int, names: set[str]) -> None:
    figures = table_figures(blobs(features, 3))
    assert set(figures) == names
    for figure in figures.values():
        assert decoded(figure_png(figure)).std() > 5
        assert {"species 0", "species 1", "species 2"} <= set(texts(figure))


def test_two_features_are_drawn_in_their_own_units() -> None:
    table = blobs(2, 2)
    figure = table_figures(table)["scatter.png"]
    np.testing.assert_allclose(dots(figure), table.x, rtol=1e-5, atol=1e-5)
    assert {"f0", "f1", "300 rows"} <= set(texts(figure))


def test_many_features_are_projected_and_the_figure_says_so() -> None:
    figure = table_figures(blobs(9, 3))["scatter.png"]
    assert any("2-D projection (PCA of 9 features)" in text for text in texts(figure))
    assert any(text.startswith("PC 1 of 9 features (") for text in texts(figure))


def test_histograms_count_every_row_in_the_colour_of_its_class() -> None:
    y = np.array([0] * 30 + [1] * 70)
    figure = table_figures(a_table(np.linspace(0, 1, 100)[:, None], y, ("few", "many")))["histograms.png"]
    np.testing.assert_allclose(heights(figure), [[30, 70]])
    colours = [to_rgb(patch.get_facecolor()) for patch in figure.axes[0].patches]
    np.testing.assert_allclose(np.array(colours), class_colours(2) / 255)


def test_figures_draw_the_features_that_separate_classes_best_and_say_so() -> None:
    figures = table_figures(blobs(40, 3))
    for name, count in (("histograms.png", HISTOGRAMS), ("pair_plot.png", PAIRED)):
        assert "f39" in texts(figures[name])
        assert f"the {count} of 40 features that tell the classes apart best alone (ANOVA F)" in texts(figures[name])
    assert len(figures["histograms.png"].axes) == HISTOGRAMS
    assert len(figures["pair_plot.png"].axes) == PAIRED * (PAIRED + 1) // 2


def test_rows_without_label_or_value_are_left_out() -> None:
    table = blobs(2, 3)
    table.y[:10] = UNLABELLED
    table.x[20:25, 0] = np.nan
    figures = table_figures(table)
    assert len(dots(figures["scatter.png"])) == 285
    assert "285 of 300 rows" in texts(figures["scatter.png"])
    assert heights(figures["histograms.png"]).sum(axis=1).tolist() == [285, 290]


@pytest.mark.parametrize("features", [2, 3])
def test_numbers_that_no_float32_holds_are_drawn_at_its_end(features: int) -> None:
    table = blobs(features, 3)
    table.x[:3] = [[1e300], [-1e300], [1e39]]
    figures = table_figures(table)
    assert all(decoded(figure_png(figure)).ndim == 3 for figure in figures.values())
    np.testing.assert_allclose(heights(figures["histograms.png"]), np.full((features, 3), 99))  # 3 lie far out
    if features == 2:
        assert np.abs(dots(figures["scatter.png"])).max() == pytest.approx(np.finfo(np.float32).max, rel=1e-6)


def test_large_tables_are_sampled_and_the_figure_says_so() -> None:
    figure = table_figures(blobs(2, 3, rows=POINTS + 500))["scatter.png"]
    assert len(dots(figure)) == POINTS
    assert "2,000 of 2,500 rows" in texts(figure)


def test_columns_that_cannot_be_drawn_are_left_out() -> None:
    x = np.column_stack([np.full(20, np.nan), np.full(20, 3.0), np.arange(20.0)])
    y = np.arange(20) % 2
    figures = table_figures(a_table(x, y, ("a", "b")))
    assert set(figures) == {"histograms.png", "scatter.png"}
    for figure in figures.values():
        figure_png(figure)
    assert table_figures(a_table(x[:, :1], y, ("a", "b"))) == {}
    assert table_figures(a_table(x, np.full(20, UNLABELLED), ())) == {}


@pytest.mark.parametrize("name", ["$x_1$", "_hidden", "蜂", "a name that is much longer than there is room for " * 3])
def test_any_name_is_drawn_as_text(name: str) -> None:
    base = blobs(4, 2)
    table = RawTable(
        (name, "f1", "f2", "f3"), "species", (name, "b"), base.x, base.y, base.missing, base.other, "made up"
    )
    begins = drawable(name, 100)[:8]
    for file, figure in table_figures(table).items():
        figure_png(figure)  # a missing glyph or bad mathematics would warn
        drawn = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text().startswith(begins)]
        # The class, and the feature where it has an axis: in the pairs it has two.
        assert len(drawn) == {"scatter.png": 1, "histograms.png": 2, "pair_plot.png": 3}[file]
        assert not any(text.get_parse_math() for text in drawn)


def test_figures_name_gaps_and_columns_without_numbers() -> None:
    table = blobs(5, 3)
    table.x[:, [0, 3]] = np.nan
    table.x[:34, 1] = np.nan
    figures = table_figures(table)
    lacking = "3 of 5 features: f0 and f3 hold no numbers"
    assert f"300 rows; gaps in 34 are drawn at the mean; {lacking}" in texts(figures["scatter.png"])
    assert lacking in texts(figures["histograms.png"])
    assert lacking in texts(figures["pair_plot.png"])
    table.x[:, 4] = np.nan
    assert "2 of 5 features: f0 and 2 more hold no numbers" in texts(table_figures(table)["histograms.png"])


def test_panel_of_one_feature_fills_the_figure() -> None:
    figure = table_figures(blobs(1, 3))["histograms.png"]
    place = figure.axes[0].get_position()
    assert place.y0 < 0.13
    assert place.y1 > 0.83


def test_hundred_classes_are_drawn_and_some_named() -> None:
    for figure in table_figures(blobs(3, 100, rows=1000)).values():
        assert any(text.startswith("… and ") for text in texts(figure))
