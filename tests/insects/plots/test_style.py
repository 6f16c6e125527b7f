"""What figures are made of: colours, PNG, interpolation, projection, limits and ticks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from insects.plots.painter import finer, stretched
from insects.plots.plane import robust_limits
from insects.plots.principal import principal_plane
from insects.plots.style import class_colours, drawable, png
from insects.plots.ticks import label, logarithmic_ticks, rounded_down, rounded_up
from tests.support.plot_cases import (
    decoded,
)


@pytest.mark.parametrize("count", [2, 5, 8, 9, 12, 100])
def test_colours_of_classes_differ(count: int) -> None:
    colours = class_colours(count)
    assert colours.shape == (count, 3)
    assert len(np.unique(colours, axis=0)) == count


def test_figure_does_not_follow_the_users_matplotlibrc(tmp_path: Path) -> None:
    script = """
import sys
from insects.plots.style import class_legend, clean_axes, figure_png, new_figure, write_heading
figure = new_figure()
axes = figure.add_axes((0.1, 0.1, 0.6, 0.6))
axes.plot([1, 2], [3, 4], label="line")
axes.set_title("a title")
clean_axes(axes)
class_legend(figure, ["a", "b"])
write_heading(figure, "Title", "subtitle")
sys.stdout.buffer.write(figure_png(figure))
"""

    def drawn(settings: str) -> bytes:
        (tmp_path / "matplotlibrc").write_text(settings)
        return subprocess.check_output([sys.executable, "-c", script], cwd=tmp_path)

    users = "text.usetex: True\naxes.facecolor: red\nfont.size: 30\nlines.linewidth: 9\nfont.family: serif\n"
    assert drawn(users) == drawn("")


def test_png_decodes_to_the_pixels_that_went_in() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, size=(37, 53, 4), dtype=np.uint8)
    np.testing.assert_array_equal(decoded(png(pixels)), pixels[..., :3])
    np.testing.assert_array_equal(decoded(png(pixels[..., :3])), pixels[..., :3])


def test_interpolated_logits_of_a_linear_model_are_exact() -> None:
    rows, columns = np.mgrid[0:5, 0:7].astype(np.float32)
    coarse = np.stack([rows + 2 * columns, 3 - rows])
    fine_rows, fine_columns = np.mgrid[0:9, 0:13].astype(np.float32) / 2
    np.testing.assert_allclose(finer(coarse), np.stack([fine_rows + 2 * fine_columns, 3 - fine_rows]))


def test_edges_of_a_stretched_map_are_its_outermost_points() -> None:
    colours = np.tile(np.array([0, 100, 200], np.uint8)[None, :, None], (3, 1, 3))
    np.testing.assert_allclose(stretched(colours, 200, 200)[:, :, 0].mean(axis=0), np.arange(200) + 0.5, atol=0.51)


@pytest.mark.parametrize("shape", [(200, 7), (20, 300)])
def test_principal_plane_is_that_of_the_singular_value_decomposition(shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    x = (generator.normal(size=shape) * generator.uniform(0.1, 3, shape[1])).astype(np.float32)
    centre, directions, shares = principal_plane(x)
    _, singular, expected = np.linalg.svd((x - x.mean(axis=0)).astype(np.float64), full_matrices=False)
    np.testing.assert_allclose(centre, x.mean(axis=0))
    np.testing.assert_allclose(np.abs(np.sum(directions * expected[:2], axis=1)), 1, atol=1e-5)
    np.testing.assert_allclose(shares, singular[:2] ** 2 / np.sum(singular**2), rtol=1e-5)


def test_limits_hold_all_values_unless_a_few_lie_far_out() -> None:
    values = np.linspace(0, 1, 1001, dtype=np.float32)
    assert robust_limits(values) == pytest.approx((-0.05, 1.05))
    low, high = robust_limits(np.append(values, np.float32(1000)))
    assert low == pytest.approx(-0.08, abs=0.04)
    assert 1 < high < 2
    assert robust_limits(np.full(5, 3, np.float32)) == (2.0, 4.0)
    low, high = robust_limits(np.full(5, 1e20, np.float32))
    assert low < 1e20 < high
    largest = float(np.finfo(np.float32).max)
    assert robust_limits(np.array([-largest, largest], np.float32)) == (-largest, largest)


@pytest.mark.parametrize(
    ("value", "down", "up"),
    [(0.3, 0.2, 0.5), (0.2, 0.2, 0.2), (9, 5, 10), (1, 1, 1), (6e-6, 5e-6, 1e-5), (3e8, 2e8, 5e8)],
)
def test_limits_are_rounded_to_1_2_and_5(value: float, down: float, up: float) -> None:
    assert (rounded_down(value), rounded_up(value)) == (down, up)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1, 2, [1, 1.5, 2]),
        (0.05, 2, [0.05, 0.1, 0.2, 0.5, 1, 2]),
        (0.01, 100, [0.01, 0.1, 1, 10, 100]),
        (1e-6, 1e8, [1e-6, 1e-4, 1e-2, 1, 1e2, 1e4, 1e6, 1e8]),
    ],
)
def test_ticks_are_few_and_round(low: float, high: float, ticks: list[float]) -> None:
    assert logarithmic_ticks(low, high) == ticks


def test_tick_labels_are_short() -> None:
    assert [label(tick) for tick in (0.05, 1.0, 200.0, 1e-5, 1e8)] == ["0.05", "1", "200", "1e-5", "1e8"]


def test_characters_without_a_glyph_become_boxes() -> None:
    assert drawable("Käfer 甲虫 ±", 20) == "Käfer □□ ±"
