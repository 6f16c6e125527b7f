"""Principal components, at once and in blocks."""

from __future__ import annotations

import numpy as np
import pytest

from insects.plots.principal import principal_plane

AT_ONCE = "insects.plots.principal.AT_ONCE"


def test_principal_plane_in_blocks_equals_the_plane_computed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x_NF = np.random.default_rng(0).normal(size=(20, 333)).astype(np.float32)
    centre, directions, shares = principal_plane(x_NF)
    monkeypatch.setattr(AT_ONCE, 20 * 50)  # columns: six blocks of 50 and one of 33
    in_blocks = principal_plane(x_NF)
    np.testing.assert_array_equal(in_blocks[0], centre)
    np.testing.assert_allclose(in_blocks[1], directions, atol=1e-6)
    assert in_blocks[2] == pytest.approx(shares)


@pytest.mark.parametrize("shape", [(200, 7), (20, 300)])
def test_principal_plane_equals_singular_value_decomposition(shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    x = (generator.normal(size=shape) * generator.uniform(0.1, 3, shape[1])).astype(np.float32)
    centre, directions, shares = principal_plane(x)
    _, singular, expected = np.linalg.svd((x - x.mean(axis=0)).astype(np.float64), full_matrices=False)
    np.testing.assert_allclose(centre, x.mean(axis=0))
    np.testing.assert_allclose(np.abs(np.sum(directions * expected[:2], axis=1)), 1, atol=1e-5)
    np.testing.assert_allclose(shares, singular[:2] ** 2 / np.sum(singular**2), rtol=1e-5)
