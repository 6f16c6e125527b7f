"""Grids of images: what is shown, where, and in which order."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from insects.plots.images import MOST_MISTAKES, mistakes_grid, sample_grid

CLASSES = ("ant", "bee $x$", "wasp 蜂")


def flat_images(colours: list[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.repeat(np.array(colours, np.uint8), 3 * 8 * 8).reshape(-1, 3, 8, 8)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in [*(text for axes in figure.axes for text in axes.texts), *figure.texts]]


def page(figure: Figure) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(figure.axes[0].get_images()[0].get_array())


def test_sample_grid_has_a_row_a_class_with_its_count() -> None:
    y = np.array([0, 0, 1, 2])
    figure = sample_grid(flat_images([10, 20, 30, 40]), y, np.repeat([0, 1, 2], [2000, 5, 7]), CLASSES)
    assert texts(figure)[:3] == ["ant: 2,000 images", "bee $x$: 5 images", "wasp □: 7 images"]
    tiles = page(figure)
    rows = [np.unique(tiles[tiles.shape[0] * place // 12]) for place in (4, 7, 11)]
    assert [row.tolist() for row in rows] == [[10, 20, 255], [30, 255], [40, 255]]
    figure.savefig("/dev/null", format="png")


def test_mistakes_are_shown_with_both_names_most_confident_first() -> None:
    logits = np.array([[5, 0, 0], [0, 1, 0], [0, 0, 9], [2, 0, 0]], float)
    figure = mistakes_grid(flat_images([10, 20, 30, 40]).__getitem__, np.array([0, 0, 1, 2]), logits, CLASSES, "wrong")
    assert texts(figure)[:6] == ["bee $x$", "→ wasp □", "wasp □", "→ ant", "ant", "→ bee $x$"]
    assert "3 of 4 images" in texts(figure)[-1]
    middle = page(figure)[-70]
    assert [int(value) for value in dict.fromkeys(middle[:, 0].tolist())] == [255, 30, 40, 20]


def test_many_mistakes_are_cut_and_no_mistake_gives_a_page_without_images() -> None:
    logits = np.tile([1.0, 0.0], (40, 1))
    figure = mistakes_grid(flat_images([7] * 40).__getitem__, np.ones(40, int), logits, ("a", "b"), "wrong")
    assert len(figure.axes[0].texts) == 2 * MOST_MISTAKES
    assert "40 of 40 images" in texts(figure)[-1]
    assert f"the {MOST_MISTAKES} most confident" in texts(figure)[-1]
    none = mistakes_grid(flat_images([7]).__getitem__, np.zeros(1, int), np.array([[1.0, 0.0]]), ("a", "b"), "wrong")
    assert "none of 1 images is wrong" in texts(none)
    assert none.get_size_inches().tolist() == pytest.approx([7.24, 3])


def test_mistakes_are_counted_under_the_name_that_the_caller_gives() -> None:
    wrong = mistakes_grid(flat_images([7, 8]).__getitem__, np.ones(2, int), np.eye(2), ("a", "b"), "x", "test images")
    assert texts(wrong)[-1] == "1 of 2 test images wrong: true class → predicted class"


def test_arrays_of_different_length_are_rejected() -> None:
    with pytest.raises(ValueError, match="found 2 for 1"):
        sample_grid(flat_images([1]), np.zeros(2, int), np.zeros(2, int), CLASSES)
    with pytest.raises(ValueError, match="found 2 for 1"):
        mistakes_grid(flat_images([1]).__getitem__, np.zeros(2, int), np.zeros((1, 3)), CLASSES, "wrong")
