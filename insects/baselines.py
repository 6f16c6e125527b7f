"""Baselines: simple models that a network is compared with.

Shapes: N training rows, M rows to predict, F inputs, C classes.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from insects.mlp import Floats

BaselineName = Literal["majority", "logistic regression", "gradient boosting"]
BASELINES: tuple[BaselineName, ...] = get_args(BaselineName)
"""Names of all baselines, the simplest first."""

MOST_ROWS = 20_000
"""Training rows that a baseline is fitted on at most: the first ones, a sample since a hash orders the rows."""
MOST_NUMBERS = 10_000_000
"""Inputs of all training rows together at most, 80 MB in float64: of wide rows fewer are used."""
SMALLEST_PROBABILITY = 1e-15
"""Probabilities are clipped here before their logarithm, so that a loss is finite."""
MOST_BOOSTED_PAIRS = 1_000
"""Pairs of an input and a class up to which gradient boosting is worth its time, at most about half a minute."""

MOST_BOOSTED_NUMBERS = 500_000
"""Numbers of a table, times classes, up to which a search fits gradient boosting: some seconds in one thread."""

Probabilities = NDArray[np.float64]

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Score:
    """How well a model does on labelled rows.

    Attributes:
        name: The model.
        accuracy: Share of correct rows.
        loss: Mean log loss in nats.
    """

    name: str
    accuracy: float
    loss: float

    def as_dict(self) -> dict[str, Any]:
        """The score as a dictionary that `json.dumps` accepts."""
        return asdict(self)


def rows_used(rows: int, inputs: int) -> int:
    """Number of training rows that a baseline is fitted on, given those that there are."""
    return min(rows, MOST_ROWS, max(1, MOST_NUMBERS // inputs))


def quick_baselines(inputs: int, classes: int) -> tuple[BaselineName, ...]:
    """Names of the baselines that take at most about half a minute.

    Gradient boosting fits a tree for each class (one tree for two), and a tree takes time in proportion to the inputs.

    Args:
        inputs: Number of inputs, F.
        classes: Number of classes, C.

    Returns:
        All of `BASELINES`, or those without gradient boosting.
    """
    trees = 1 if classes == 2 else classes
    return BASELINES if inputs * trees <= MOST_BOOSTED_PAIRS else BASELINES[:-1]


def baseline_scores(
    train_x: Floats, train_y: NDArray[np.integer], x: Floats, y: NDArray[np.integer], classes: int
) -> tuple[Score, ...]:
    """Fit the quick baselines and score them on other rows.

    Args:
        train_x: `(N, F)` training rows; see `baseline_probabilities`.
        train_y: `(N,)` their classes in `[0, C)`.
        x: `(M, F)` rows to score on.
        y: `(M,)` their classes.
        classes: Number of classes, C.

    Returns:
        A score for each of `quick_baselines`, in that order.

    Raises:
        ValueError: See `baseline_probabilities` and `score`.
    """
    names = quick_baselines(train_x.shape[1], classes)
    return tuple(score(name, baseline_probabilities(name, train_x, train_y, x, classes), y) for name in names)


def out_of_fold_scores(
    x: Floats, y: NDArray[np.integer], folds: NDArray[np.integer], classes: int
) -> tuple[Score, ...]:
    """Fit baselines once for each fold, on the rows of all others, and score what they predict for the fold's rows.

    Gradient boosting is left out where it would take longer than a search, which waits for it.

    Args:
        x: `(N, F)` rows; see `baseline_probabilities`.
        y: `(N,)` their classes in `[0, C)`.
        folds: `(N,)` fold of each row; a row with a negative number is in every fit, and not predicted.
        classes: Number of classes, C.

    Returns:
        A score for each baseline, on all rows that were predicted.
    """
    names = quick_baselines(x.shape[1], classes)
    if len(y) * x.shape[1] * classes > MOST_BOOSTED_NUMBERS:
        names = tuple(name for name in names if name != "gradient boosting")
    predicted_N = folds >= 0
    scores = []
    for name in names:
        probability_NC = np.zeros((len(y), classes))
        for fold in np.unique(folds[predicted_N]):
            out_N = folds == fold
            probability_NC[out_N] = baseline_probabilities(name, x[~out_N], y[~out_N], x[out_N], classes)
        scores.append(score(name, probability_NC[predicted_N], y[predicted_N]))
    return tuple(scores)


def baseline_probabilities(
    name: BaselineName, train_x: Floats, train_y: NDArray[np.integer], x: Floats, classes: int
) -> Probabilities:
    """Fit a baseline and predict the probability of each class.

    `majority` predicts the shares of the classes in the training rows, whatever the row. `logistic regression` and
    `gradient boosting` are scikit-learn's `LogisticRegression(max_iter=1000)` and
    `HistGradientBoostingClassifier(random_state=0)`.

    At most the first `MOST_ROWS` training rows are used, of wide rows fewer; see `rows_used`. The fit runs in one
    thread, so that the result does not depend on the number of processors. A class that no training row has gets
    probability 0.

    Args:
        name: The baseline.
        train_x: `(N, F)` float32 training rows, the standardized inputs of a network, all finite.
        train_y: `(N,)` int32 classes in `[0, C)`.
        x: `(M, F)` float32 rows to predict. An infinite input counts as the largest float32, NaN as 0.
        classes: Number of classes, C.

    Returns:
        `(M, C)` float64 probabilities; each row sums to 1.

    Raises:
        ValueError: N is 0, the shapes disagree, or a class is out of range.

    Examples:
        >>> x = np.array([[-1], [-2], [1]], np.float32)
        >>> baseline_probabilities("majority", x, np.array([0, 0, 2]), x[:1], classes=3).round(2).tolist()
        [[0.67, 0.0, 0.33]]
    """
    if len(train_y) == 0 or len(train_x) != len(train_y) or train_x.shape[1:] != x.shape[1:]:
        raise ValueError(
            f"a baseline needs training rows, as many classes as rows, and rows of as many inputs, found "
            f"{train_x.shape} training inputs, {train_y.shape} classes and {x.shape} inputs"
        )
    if train_y.min() < 0 or train_y.max() >= classes:
        raise ValueError(f"classes must be in [0, {classes}), found {train_y.min()} to {train_y.max()}")
    used = rows_used(*train_x.shape)
    train_x, train_y = train_x[:used], train_y[:used]
    counts_C = np.bincount(train_y, minlength=classes)
    present = np.flatnonzero(counts_C)
    if name == "majority" or len(present) == 1:
        return np.tile(counts_C / len(train_y), (len(x), 1))
    probability_MC = np.zeros((len(x), classes))
    # In float64: the solver of the regression stops early in float32.
    probability_MC[:, present] = _fitted_probabilities(
        name, train_x.astype(np.float64), train_y, x, int(counts_C[present].min())
    )
    return probability_MC


def score(name: str, probability_MC: Probabilities, y_M: NDArray[np.integer]) -> Score:
    """Accuracy and log loss of predicted probabilities.

    Args:
        name: What predicted them.
        probability_MC: `(M, C)` probabilities. The largest one is predicted, on a tie the lower class. They are clipped
            to `[SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY]` before the logarithm, so that the loss is finite.
        y_M: `(M,)` true classes in `[0, C)`.

    Returns:
        The score.

    Raises:
        ValueError: M is 0, or the two disagree on M.
    """
    if len(y_M) == 0 or len(probability_MC) != len(y_M):
        raise ValueError(f"a score needs rows, as many as classes, found {len(probability_MC)} and {len(y_M)}")
    true_M = probability_MC[np.arange(len(y_M)), y_M].clip(SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return Score(name, float(np.mean(probability_MC.argmax(axis=1) == y_M)), float(-np.log(true_M).mean()))


def _fitted_probabilities(
    name: BaselineName, train_x: NDArray[np.float64], train_y: NDArray[np.integer], x: Floats, rarest: int
) -> Probabilities:
    """Probabilities `(M, classes in train_y)`; `rarest` is the number of rows of the rarest class."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # it ships no types

    if name == "logistic regression":
        model: Any = LogisticRegression(max_iter=1000)
    else:
        # scikit-learn stops early above 10,000 rows, by a share of each class, which a class of one row does not have.
        model = HistGradientBoostingClassifier(random_state=0, early_stopping="auto" if rarest > 1 else False)
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a baseline that has not converged is still a baseline
        model.fit(train_x, train_y)
        at_once = max(1, MOST_NUMBERS // x.shape[1])
        parts = [model.predict_proba(_finite(x[start : start + at_once])) for start in range(0, len(x), at_once)]
    return np.concatenate(parts) if parts else np.empty((0, len(model.classes_)))


def _finite(x: Floats) -> NDArray[np.float64]:
    """The rows in float64, every number finite: rows far from the training rows may have infinite inputs."""
    return np.nan_to_num(x.astype(np.float64), nan=0.0, posinf=_LARGEST, neginf=-_LARGEST)
