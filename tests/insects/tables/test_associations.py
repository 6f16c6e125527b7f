"""Statistics between columns, compared with pandas and scikit-learn."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.feature_selection import f_classif

from insects.tables.associations import anova_f, correlations, most_telling


def test_correlations_with_missing_values_equal_those_of_pandas() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 5)) * [1, 1e-9, 1e6, 1, 1] + [0, 0, 1e7, 5, 0]
    x[:, 4] += x[:, 0]
    x[generator.random(x.shape) < 0.3] = np.nan
    np.testing.assert_allclose(correlations(x), pd.DataFrame(x).corr().to_numpy(), rtol=1e-7, atol=1e-9)


def test_constant_column_has_neither_correlations_nor_f() -> None:
    x = np.column_stack([np.full(10, 0.1), np.arange(10.0)])
    assert np.isnan(correlations(x)[0]).all()
    assert np.isnan(anova_f(x, np.arange(10) % 2, 2)[0])


def test_anova_f_equals_scikit_learns() -> None:
    generator = np.random.default_rng(1)
    y = generator.integers(0, 4, 200)
    x = generator.normal(size=(200, 6)) + np.outer(y, [0, 0.1, 0.5, 2, 10, 0]) + 100
    np.testing.assert_allclose(anova_f(x, y, 4), f_classif(x, y)[0], rtol=1e-9)
    holes = x.copy()
    holes[:50, 3] = np.nan
    np.testing.assert_allclose(anova_f(holes, y, 4)[3], f_classif(x[50:, 3:4], y[50:])[0][0], rtol=1e-9)


def test_column_that_equals_the_class_has_the_highest_f() -> None:
    y = np.arange(12) % 3
    x = np.column_stack([np.arange(12.0), y, np.full(12, 7.0)])
    assert most_telling(anova_f(x, y, 3), 5).tolist() == [1, 0]
