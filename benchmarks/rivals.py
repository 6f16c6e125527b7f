"""What a user could take instead of this search: models by name, behind scikit-learn's usual encoding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from benchmarks.torch_rival import OptunaOverTorch

SVC_GRID = {"C": np.logspace(-1, 3, 5).tolist(), "gamma": [*np.logspace(-3, 1, 5).tolist(), "scale"]}
"""30 settings."""


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


class SearchedSVC:
    """The support vector machine that a grid search of 30 settings, 3 folds each, finds by accuracy.

    Rows are encoded once and not once a fit, which would take most of its time. Its probabilities are those of Platt's
    scaling over 5 folds, fitted to the chosen setting alone: they change no choice.
    """

    def fit(self, x: pd.DataFrame, y: pd.Series) -> SearchedSVC:
        """Search, fit the best setting to all rows, and its probabilities."""
        self._encoder = encoded("passthrough")
        inputs = self._encoder.fit_transform(x)
        self._best = GridSearchCV(SVC(), SVC_GRID, cv=3).fit(inputs, y).best_estimator_
        self._calibrated = CalibratedClassifierCV(self._best, ensemble=False).fit(inputs, y)
        self.classes_: NDArray[Any] = self._calibrated.classes_
        return self

    def predict(self, x: pd.DataFrame) -> NDArray[Any]:
        """The classes of rows."""
        return np.asarray(self._best.predict(self._encoder.transform(x)))

    def predict_proba(self, x: pd.DataFrame) -> NDArray[np.float64]:
        """The probabilities of classes."""
        return np.asarray(self._calibrated.predict_proba(self._encoder.transform(x)))


def searched_mlp(seed: int) -> RandomizedSearchCV:
    """scikit-learn's MLP under a random search of 20 configurations."""
    space = {
        "mlpclassifier__hidden_layer_sizes": [(w,) * d for w in (16, 32, 64, 128, 256) for d in (1, 2, 3, 4)],
        "mlpclassifier__learning_rate_init": np.logspace(-4, -1, 30),
        "mlpclassifier__batch_size": [8, 16, 32, 64, 128],
    }
    model = encoded(MLPClassifier(early_stopping=True, max_iter=200, random_state=seed))
    return RandomizedSearchCV(model, space, n_iter=20, cv=3, random_state=seed, scoring="neg_log_loss", n_jobs=1)


GRADIENT_BOOSTING = "HistGradientBoosting"
"""The rival that takes gaps, and columns of pandas' category type, as they are."""

RIVALS: dict[str, Callable[[int], Any]] = {
    GRADIENT_BOOSTING: lambda seed: HistGradientBoostingClassifier(random_state=seed),
    "random forest": lambda seed: encoded(RandomForestClassifier(300, random_state=seed)),
    "logistic regression": lambda seed: encoded(LogisticRegression(max_iter=2000)),
    "kNN": lambda seed: encoded(KNeighborsClassifier(5)),
    "SVC under grid search": lambda seed: SearchedSVC(),
    "MLP": lambda seed: encoded(MLPClassifier(max_iter=400, random_state=seed)),
    "MLP under random search": searched_mlp,
    "Optuna over torch": lambda seed: OptunaOverTorch(seed, encoded("passthrough")),
}
"""From a seed to a model with `fit`, `predict`, `predict_proba` and `classes_`."""
