"""The scikit-learn estimator: it is scikit-learn's own, in every number, on another engine."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import joblib  # type: ignore[import-untyped] # it ships no types
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier as SklearnMLP
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import insects
from insects import MLPClassifier
from insects.training import fit_kernel

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

Rows = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
TABLES: dict[str, Callable[..., Rows]] = {
    "iris": load_iris,
    "wine": load_wine,
    "breast_cancer": load_breast_cancer,
    "digits": load_digits,
}


def table(name: str) -> Rows:
    x, y = TABLES[name](return_X_y=True)
    return StandardScaler().fit_transform(x), y


FLOAT32 = {
    "check_sample_weight_equivalence_on_dense_data": "rows that are summed in another order in float32 differ by more "
    "than the check's 1e-7; see test_weight_of_a_row_is_as_many_rows"
}


@parametrize_with_checks(  # type: ignore[untyped-decorator] # scikit-learn ships no types
    [MLPClassifier(max_iter=100)], expected_failed_checks=lambda _: FLOAT32
)
def test_estimator_keeps_scikit_learns_contract(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"hidden_layer_sizes": (30, 17, 5), "batch_size": 16},
        {"hidden_layer_sizes": (), "alpha": 1.0},
        {"hidden_layer_sizes": 8, "shuffle": False, "alpha": 0.0, "batch_size": 7},
        {"early_stopping": True, "validation_fraction": 0.3, "batch_size": 10, "learning_rate_init": 0.01},
        {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3, "alpha": 0.1},
        {"beta_1": 0.0, "beta_2": 0.0, "learning_rate_init": 1e-4},
        {"tol": 0.01, "n_iter_no_change": 3},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["iris", "breast_cancer"])
def test_network_and_curves_are_those_of_scikit_learn(name: str, settings: dict[str, Any]) -> None:
    x, y = table(name)
    settings = {"random_state": 3, "max_iter": 40, **settings}
    mine, theirs = MLPClassifier(**settings).fit(x, y), SklearnMLP(**settings).fit(x, y)
    assert mine.n_iter_ == theirs.n_iter_
    assert_allclose(mine.loss_curve_, theirs.loss_curve_, rtol=1e-3)
    for own, other in zip(mine.coefs_ + mine.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
        assert own.dtype == np.float32
        assert own.shape == other.shape
        assert_allclose(own, other, rtol=1e-3, atol=1e-3)
    assert_allclose(mine.predict_proba(x), theirs.predict_proba(x), atol=1e-3)
    assert_allclose(np.exp(mine.predict_log_proba(x)), mine.predict_proba(x))
    assert_array_equal(mine.validation_scores_, theirs.validation_scores_)
    for attribute in ("loss_", "best_loss_", "best_validation_score_"):
        expected = getattr(theirs, attribute)
        assert getattr(mine, attribute) == (None if expected is None else pytest.approx(expected, rel=1e-3))
    for attribute in ("t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(mine, attribute) == getattr(theirs, attribute)
    assert_array_equal(mine.classes_, theirs.classes_)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_sample_weights_are_those_of_scikit_learn(early_stopping: bool) -> None:
    x, y = table("wine")
    weight = np.random.default_rng(0).uniform(0, 3, len(y))
    settings: dict[str, Any] = {"random_state": 0, "max_iter": 30, "batch_size": 20, "early_stopping": early_stopping}
    mine = MLPClassifier(**settings).fit(x, y, sample_weight=weight)
    theirs = SklearnMLP(**settings).fit(x, y, sample_weight=weight)
    assert_allclose(mine.loss_curve_, theirs.loss_curve_, rtol=1e-4)
    if mine.validation_scores_ is not None:
        assert_allclose(mine.validation_scores_, theirs.validation_scores_, rtol=1e-6)
    assert_allclose(mine.predict_proba(x), theirs.predict_proba(x), atol=1e-4)


def test_weight_of_a_row_is_as_many_rows() -> None:
    x, y = table("iris")
    weight = np.random.default_rng(0).integers(0, 3, len(y))
    settings: dict[str, Any] = {"random_state": 0, "max_iter": 40, "learning_rate_init": 0.01}
    weighted = MLPClassifier(batch_size=150, **settings).fit(x, y, sample_weight=weight)
    repeated = MLPClassifier(batch_size=int(weight.sum()), **settings).fit(x.repeat(weight, 0), y.repeat(weight))
    assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-4)
    assert_allclose(weighted.predict_proba(x), repeated.predict_proba(x), atol=1e-4)


def test_batch_without_weight_is_left_out() -> None:
    x, y = table("wine")
    weight = np.zeros(len(y))
    weight[60:120] = 1
    network = MLPClassifier(random_state=0, max_iter=5, batch_size=30, shuffle=False).fit(x, y, sample_weight=weight)
    assert np.isfinite(network.loss_curve_).all()
    assert np.mean(network.predict(x[60:120]) == y[60:120]) > np.mean(network.predict(x[120:]) == y[120:])


def test_parts_follow_scikit_learns_parts() -> None:
    x, y = table("digits")
    mine = MLPClassifier((20,), random_state=np.random.RandomState(5))
    theirs = SklearnMLP((20,), random_state=np.random.RandomState(5))
    for start in range(0, 1500, 300):
        rows = slice(start, start + 300)
        mine.partial_fit(x[rows], y[rows], classes=np.arange(10))
        theirs.partial_fit(x[rows], y[rows], classes=np.arange(10))
    assert (mine.n_iter_, mine.t_, len(mine.loss_curve_)) == (theirs.n_iter_, theirs.t_, 5) == (1, 1500, 5)
    assert_allclose(mine.loss_curve_, theirs.loss_curve_, rtol=1e-4)
    assert_allclose(mine.predict_proba(x), theirs.predict_proba(x), atol=1e-3)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_warm_start_goes_on_as_scikit_learns_does(early_stopping: bool) -> None:
    x, y = table("breast_cancer")
    settings: dict[str, Any] = {"warm_start": True, "max_iter": 4, "random_state": 1, "early_stopping": early_stopping}
    mine, theirs = MLPClassifier((9,), **settings), SklearnMLP((9,), **settings)
    for _ in range(3):
        mine.fit(x, y)
        theirs.fit(x, y)
    assert len(mine.loss_curve_) == 12
    assert_allclose(mine.loss_curve_, theirs.loss_curve_, rtol=1e-4)
    assert_allclose(mine.predict_proba(x), theirs.predict_proba(x), atol=1e-3)
    with pytest.raises(ValueError, match="the same classes"):
        mine.fit(x, y + 1)


def test_early_stopping_may_be_set_between_warm_starts() -> None:
    x, y = table("wine")
    network = MLPClassifier((9,), warm_start=True, max_iter=5, random_state=1).fit(x, y)
    network.set_params(early_stopping=True).fit(x, y)
    assert network.validation_scores_ is not None
    assert (len(network.loss_curve_), len(network.validation_scores_)) == (10, 5)
    assert network.best_validation_score_ == max(network.validation_scores_)


def test_cosine_takes_the_learning_rate_to_zero() -> None:
    x, y = table("wine")
    settings: dict[str, Any] = {
        "random_state": 0,
        "max_iter": 50,
        "learning_rate_init": 0.1,
        "n_iter_no_change": np.inf,
    }
    cosine = MLPClassifier(learning_rate="cosine", **settings).fit(x, y)
    constant = MLPClassifier(**settings).fit(x, y)
    last = np.abs(np.diff(cosine.loss_curve_))
    assert last[-1] < last[0] / 1000
    assert cosine.loss_curve_[1] == pytest.approx(constant.loss_curve_[1], rel=1e-3)
    with pytest.raises(ValueError, match='set learning_rate="constant"'):
        MLPClassifier(learning_rate="cosine").partial_fit(x, y, classes=np.unique(y))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"activation": "tanh"}, r"activation must be 'relu', found 'tanh'"),
        ({"solver": "lbfgs"}, r"solver must be 'adam', found 'lbfgs'"),
        ({"learning_rate": "adaptive"}, r"learning_rate must be 'constant' or 'cosine', found 'adaptive'"),
        ({"hidden_layer_sizes": (4, 0)}, r"hidden_layer_sizes must be > 0, got \(4, 0\)"),
        ({"hidden_layer_sizes": 2.5}, r"hidden_layer_sizes must be > 0, got 2.5"),
        ({"alpha": -1}, r"alpha must be a number of at least 0, found -1"),
        ({"alpha": np.nan}, r"alpha must be a number of at least 0, found nan"),
        ({"batch_size": 0}, r"batch_size must be 'auto' or a whole number of at least 1, found 0"),
        ({"learning_rate_init": 0.0}, r"learning_rate_init must be a number above 0, found 0.0"),
        ({"max_iter": True}, r"max_iter must be a whole number of at least 1, found True"),
        ({"beta_2": 1.0}, r"beta_2 must be a number of at least 0 and below 1, found 1.0"),
        ({"validation_fraction": 1}, r"validation_fraction must be a number above 0 and below 1, found 1"),
        ({"n_iter_no_change": 2.5}, r"n_iter_no_change must be a whole number of at least 1, or numpy.inf, found 2.5"),
        ({"shuffle": "no"}, r"shuffle must be True or False, found 'no'"),
    ],
    ids=str,
)
def test_parameter_that_cannot_be_used_is_refused(settings: dict[str, Any], message: str) -> None:
    x, y = table("iris")
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**settings).fit(x, y)


@pytest.mark.parametrize(
    ("weight", "message"),
    [(-1.0, "no number below zero"), (0.0, "at least one that is not zero"), (np.inf, "infinity")],
)
def test_weights_that_cannot_be_used_are_refused(weight: float, message: str) -> None:
    x, y = table("iris")
    with pytest.raises(ValueError, match=message):
        MLPClassifier().fit(x, y, sample_weight=np.full(len(y), weight))


def test_labels_that_cannot_be_used_are_refused() -> None:
    x, y = table("iris")
    with pytest.raises(ValueError, match="at least two classes, found one class: 'a'"):
        MLPClassifier().fit(x, np.full(len(y), "a"))
    network = MLPClassifier()
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        network.partial_fit(x, y)
    network.partial_fit(x, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"not in `self.classes_`: \[7\]"):
        network.partial_fit(x, np.where(y == 0, 7, y))
    with pytest.raises(ValueError, match="is not the same as on last call"):
        network.partial_fit(x, y, classes=[0, 1])
    with pytest.raises(ValueError, match="does not support early_stopping"):
        MLPClassifier(early_stopping=True).partial_fit(x, y, classes=[0, 1, 2])


def test_fit_that_failed_leaves_no_network() -> None:
    x, y = table("iris")
    network = MLPClassifier(warm_start=True, early_stopping=True, validation_fraction=0.001)
    with pytest.raises(ValueError, match="The validation set is too small"):
        network.fit(x, y)
    with pytest.raises(NotFittedError):
        network.predict(x)
    network.set_params(validation_fraction=0.1, max_iter=3).fit(x, y)
    assert network.n_iter_ == 3


def test_inputs_that_overflow_are_refused() -> None:
    x, y = table("iris")
    with pytest.raises(ValueError, match=r"value too large for dtype\('float32'\)"):
        MLPClassifier().fit(np.full_like(x, 1e39), y)
    with pytest.raises(ValueError, match="Solver produced non-finite"):
        MLPClassifier((5, 5), random_state=0, learning_rate_init=1e30).fit(x, y)


def test_predictions_before_a_fit_are_refused() -> None:
    for method in ("predict", "predict_proba", "predict_log_proba"):
        with pytest.raises(NotFittedError):
            getattr(MLPClassifier(), method)(np.zeros((1, 2)))


def test_warnings_are_those_of_scikit_learn() -> None:
    x, y = table("iris")
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(3\) reached"):
        MLPClassifier(max_iter=3).fit(x, y)
    with pytest.warns(UserWarning, match="batch_size 200 is clipped to the 150 rows"):
        MLPClassifier(max_iter=3, batch_size=200).fit(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MLPClassifier(tol=1, n_iter_no_change=1).fit(x, y)


def test_verbose_prints_what_scikit_learn_prints(capsys: pytest.CaptureFixture[str]) -> None:
    x, y = table("wine")
    settings: dict[str, Any] = {"verbose": True, "early_stopping": True, "random_state": 0, "n_iter_no_change": 2}
    SklearnMLP(**settings).fit(x, y)
    theirs = capsys.readouterr().out.splitlines()
    MLPClassifier(**settings).fit(x, y)
    mine = capsys.readouterr().out.splitlines()
    assert len(mine) == len(theirs)
    assert mine[1::2] == theirs[1::2]
    assert mine[-1] == theirs[-1]
    assert mine[0][:-3] == theirs[0][:-3]


def test_interrupt_keeps_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = table("digits")
    kernel = fit_kernel.fit
    calls = []

    def interrupted(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return kernel(*arguments)

    monkeypatch.setattr(fit_kernel, "fit", interrupted)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        network = MLPClassifier((20,), random_state=0).fit(x, y)
    assert network.n_iter_ == len(network.loss_curve_) < 200
    assert network.score(x, y) > 0.8


def test_estimator_works_in_pipelines_and_searches() -> None:
    x, y = load_wine(return_X_y=True, as_frame=True)
    y = y.map({0: "a", 1: "b", 2: "c"})
    pipeline = make_pipeline(StandardScaler().set_output(transform="pandas"), MLPClassifier(random_state=0))
    grid = {"mlpclassifier__hidden_layer_sizes": [(), (20,)], "mlpclassifier__alpha": [1e-4, 1.0]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(x, y)
    assert search.best_score_ > 0.9
    network = search.best_estimator_[-1]
    assert network.feature_names_in_.tolist() == x.columns.tolist()
    assert network.classes_.tolist() == ["a", "b", "c"]
    assert isinstance(network.predict(x.iloc[:1])[0], str)
    with pytest.warns(UserWarning, match="valid feature names"):
        network.predict(x.to_numpy())


def test_copies_predict_the_same(tmp_path: Any) -> None:
    x, y = table("iris")
    network = MLPClassifier((7, 3), random_state=0, max_iter=20).fit(x, y)
    joblib.dump(network, tmp_path / "network.joblib")
    for copy in (pickle.loads(pickle.dumps(network)), joblib.load(tmp_path / "network.joblib")):  # noqa: S301
        assert_array_equal(copy.predict_proba(x), network.predict_proba(x))
        copy.partial_fit(x, y)
        assert len(copy.loss_curve_) == 21
    assert len(network.loss_curve_) == 20
    assert clone(network).get_params() == network.get_params()
    assert not hasattr(clone(network), "coefs_")
    assert_array_equal(clone(network).fit(x, y).predict_proba(x), network.predict_proba(x))


def test_predictions_have_the_precision_of_the_rows() -> None:
    x, y = table("iris")
    network = MLPClassifier(max_iter=5).fit(pd.DataFrame(x).to_numpy(), y)
    assert network.predict_proba(x).dtype == np.float64
    assert network.predict_proba(x.astype(np.float32)).dtype == np.float32


def test_importing_the_package_loads_nothing() -> None:
    script = "import sys, insects; print('numpy' in sys.modules); insects.MLPClassifier; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    with pytest.raises(AttributeError, match="no attribute 'Missing'"):
        insects.Missing  # noqa: B018
