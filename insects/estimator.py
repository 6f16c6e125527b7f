"""The compiled engine as a scikit-learn estimator.

Shapes: N rows, F features, C classes, L layers of weights.
"""

# mypy: allow-untyped-calls
# (scikit-learn ships no types)

from __future__ import annotations

import warnings
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from insects.estimator_parameters import check_parameters, hidden_units
from insects.mlp import Floats
from insects.training.fit import FitRun, FitSettings, Layers, WeightedRows, begin

_ROWS_AT_ONCE = 1 << 14
"""Rows trained (epochs times rows) between two returns to Python, which cost as much as an epoch of a small table."""


class MLPClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn ships no types
    """A multi-layer perceptron with ReLU, trained by Adam on the compiled engine, in the place of scikit-learn's.

    Parameters, attributes and results are those of `sklearn.neural_network.MLPClassifier`: with the same
    `random_state` it starts with the same weights, draws the same batches and follows the same loss curve up to
    float32 rounding, many times as fast. What only other solvers or activations use is no parameter. Inputs should be
    standardized. One fit takes one thread and holds no interpreter lock, so that fits in threads run side by side.

    Args:
        hidden_layer_sizes: Units of each hidden layer; a number for one layer, `()` for softmax regression.
        activation: Only `"relu"`.
        solver: Only `"adam"`.
        alpha: Factor of the L2 penalty on the weights, at least 0. As in scikit-learn it is divided by the number of
            rows of a batch, or by the sum of their weights.
        batch_size: Rows of a step; `"auto"`: 200. At most all rows.
        learning_rate: `"constant"`, or `"cosine"`, which scikit-learn does not have: it falls to 0 at `max_iter`.
        learning_rate_init: Adam's learning rate at the first step, above 0.
        max_iter: Most epochs.
        shuffle: Whether each epoch has another order of the rows.
        random_state: Seed, `numpy.random.RandomState` or None, for the initial weights, the validation rows and the
            order of the rows.
        tol: By how much the training loss must fall, or the validation accuracy rise.
        verbose: Print the loss of each epoch.
        warm_start: Let `fit` begin with the weights of the `fit` before.
        early_stopping: Set validation rows aside, stop by their accuracy and keep the weights of the best epoch.
        validation_fraction: Share of these rows, in (0, 1); of two classes the same share each.
        beta_1: Decay of Adam's first moment, in [0, 1).
        beta_2: Decay of Adam's second moment, in [0, 1).
        epsilon: What Adam adds to the root of the second moment, above 0.
        n_iter_no_change: Epochs in a row that may be worse than `tol` asks before training ends; may be `numpy.inf`.

    Attributes:
        classes_: `(C,)` class labels, sorted.
        coefs_: L float32 arrays `(units, units of the next layer)`.
        intercepts_: L float32 arrays `(units of the next layer,)`.
        loss_: Training loss of the last epoch in nats, penalty included.
        best_loss_: The lowest loss of an epoch; None with early stopping.
        loss_curve_: Loss of each epoch.
        validation_scores_: Accuracy on the validation rows after each epoch; None without early stopping.
        best_validation_score_: The highest of them; None without early stopping.
        n_iter_: Epochs of the last `fit` or `partial_fit`.
        n_layers_: Number of layers, the input included: L + 1.
        n_outputs_: Units of the last layer: C, or 1 for two classes.
        out_activation_: `"softmax"`, or `"logistic"` for two classes.
        t_: Training rows seen, over all epochs.
        n_features_in_: F.
        feature_names_in_: `(F,)` column names, if `X` was a data frame.

    Examples:
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.model_selection import cross_val_score
        >>> from sklearn.pipeline import make_pipeline
        >>> from sklearn.preprocessing import StandardScaler
        >>> X, y = load_iris(return_X_y=True)
        >>> model = make_pipeline(
        ...     StandardScaler(), MLPClassifier(hidden_layer_sizes=(32, 16), max_iter=500, random_state=0)
        ... )
        >>> model.fit(X, y).predict(X[:2]).tolist()
        [0, 0]
        >>> bool(cross_val_score(model, X, y).mean() > 0.9)
        True
    """

    def __init__(
        self,
        hidden_layer_sizes: int | Iterable[int] = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> MLPClassifier:
        """Train up to `max_iter` epochs.

        Ctrl-C ends the training after the epoch; the network is kept.

        Args:
            X: `(N, F)` finite numbers.
            y: `(N,)` class labels, of at least two classes.
            sample_weight: `(N,)` what each row counts, at least 0; None: all the same.

        Returns:
            The estimator.

        Raises:
            ValueError: A parameter is out of its bounds, or the data cannot be used.
        """
        check_parameters(self)
        continues = self.warm_start and hasattr(self, "coefs_")
        x_NF, label_N, weight_N = self._validated(X, y, sample_weight, reset=not continues)
        if not continues:
            self._set_classes(label_N)
        elif not np.array_equal(np.unique(label_N), self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {np.unique(label_N)}"
            )
        return self._train(self._rows(x_NF, label_N, weight_N), continues, self.max_iter)

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> MLPClassifier:
        """Train one epoch, beginning with the network and the optimizer of the call before.

        Args:
            X: `(N, F)` finite numbers.
            y: `(N,)` class labels.
            sample_weight: `(N,)` what each row counts, at least 0; None: all the same.
            classes: `(C,)` all class labels, needed by the first call only.

        Returns:
            The estimator.

        Raises:
            ValueError: A parameter is out of its bounds, the data cannot be used, or a label is not among the classes.
        """
        check_parameters(self)
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        if self.learning_rate == "cosine":
            raise ValueError('partial_fit cannot know the last epoch: set learning_rate="constant"')
        continues = hasattr(self, "coefs_")
        if not continues and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        x_NF, label_N, weight_N = self._validated(X, y, sample_weight, reset=not continues)
        if classes is not None:
            all_labels = np.unique(column_or_1d(classes))
            if continues and not np.array_equal(all_labels, self.classes_):
                raise ValueError(
                    f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {self.classes_!r}"
                )
            if not continues:
                self._set_classes(all_labels)
        if unknown := np.setdiff1d(label_N, self.classes_).tolist():
            raise ValueError(f"`y` has classes not in `self.classes_`: {unknown}; name all classes at the first call")
        return self._train(self._rows(x_NF, label_N, weight_N), continues, 1, incremental=True)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict the most probable class of each row; of equal ones the first.

        Args:
            X: `(N, F)` finite numbers.

        Returns:
            `(N,)` class labels.

        Raises:
            NotFittedError: There was no `fit` before.
            ValueError: The rows do not have the features of `fit`.
        """
        check_is_fitted(self, "coefs_")
        labels: NDArray[Any] = self.classes_[self._logits(X).argmax(axis=1)]
        return labels

    def predict_proba(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """Predict the probability of each class.

        Args:
            X: `(N, F)` finite numbers.

        Returns:
            `(N, C)` in the order of `classes_`, float32 for float32 rows and float64 for others.

        Raises:
            NotFittedError: There was no `fit` before.
            ValueError: The rows do not have the features of `fit`.
        """
        probability_NC: NDArray[np.floating[Any]] = np.exp(self.predict_log_proba(X))
        return probability_NC

    def predict_log_proba(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """Predict the logarithm of the probability of each class; see `predict_proba`."""
        check_is_fitted(self, "coefs_")
        log_NC: NDArray[np.floating[Any]] = log_softmax(self._logits(X), axis=1)
        return log_NC

    def _logits(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """Logits `(N, C)`; of two classes the first is 0."""
        hidden: Any = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        layers = list(zip(self.coefs_, self.intercepts_, strict=True))
        for coef, intercept in layers[:-1]:
            hidden = np.maximum(hidden @ coef + intercept, 0)
        coef, intercept = layers[-1]
        logits_NC: NDArray[np.floating[Any]] = hidden @ coef + intercept
        return np.column_stack([np.zeros_like(logits_NC), logits_NC]) if self.n_outputs_ == 1 else logits_NC

    def _validated(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, reset: bool
    ) -> tuple[Floats, NDArray[Any], Floats]:
        """The rows in float32, their labels and their weights, all checked."""
        with np.errstate(over="ignore", invalid="ignore"):  # infinite numbers are refused
            x_NF, y_N = validate_data(self, X, y, dtype=np.float32, order="C", reset=reset)
        check_classification_targets(y_N)
        if sample_weight is None:
            return x_NF, y_N, np.ones(len(x_NF), np.float32)
        weight_N = check_array(sample_weight, ensure_2d=False, dtype=np.float32, input_name="sample_weight")
        if weight_N.ndim != 1:
            raise ValueError(f"sample_weight must be 1D, one number for each row, found shape {weight_N.shape}")
        check_consistent_length(x_NF, weight_N)
        if weight_N.min() < 0 or weight_N.max() == 0:
            raise ValueError("sample_weight must have no number below zero, and at least one that is not zero")
        return x_NF, y_N, weight_N

    def _set_classes(self, labels: NDArray[Any]) -> None:
        classes = np.unique(labels)
        if len(classes) < 2:
            raise ValueError(f"y must have at least two classes, found one class: {classes.tolist()[0]!r}")
        self.classes_: NDArray[Any] = classes

    def _rows(self, x_NF: Floats, label_N: NDArray[Any], weight_N: Floats) -> WeightedRows:
        return WeightedRows(x_NF, np.searchsorted(self.classes_, label_N).astype(np.int32), weight_N)

    def _begin(self, random: np.random.RandomState) -> None:
        """Draw the weights of a new network, as scikit-learn does: Glorot and Bengio, AISTATS 2010, eq. 16."""
        is_binary = len(self.classes_) == 2
        self.n_outputs_ = 1 if is_binary else len(self.classes_)
        self.out_activation_ = "logistic" if is_binary else "softmax"
        layers: Layers = []
        for inputs, outputs in pairwise([self.n_features_in_, *hidden_units(self.hidden_layer_sizes), self.n_outputs_]):
            bound = np.sqrt(6 / (inputs + outputs))
            coef, intercept = (random.uniform(-bound, bound, shape) for shape in ((inputs, outputs), outputs))
            layers.append((coef.astype(np.float32), intercept.astype(np.float32)))
        self._state = begin(layers)
        self.n_layers_, self.t_ = len(layers) + 1, 0
        self.loss_curve_: list[float] = []
        self.validation_scores_: list[float] | None = [] if self.early_stopping else None

    def _continue(self, incremental: bool) -> None:
        self._state.layers = list(zip(self.coefs_, self.intercepts_, strict=True))
        if not incremental:
            self._state.forget_moments()
        if self.early_stopping != (self.validation_scores_ is not None):  # it was set since the last call
            self._state.forget_progress()
            self.validation_scores_ = [] if self.early_stopping else None

    def _train(self, rows: WeightedRows, continues: bool, epochs: int, incremental: bool = False) -> MLPClassifier:
        random = check_random_state(self.random_state)
        if continues:
            self._continue(incremental)
        else:
            self._begin(random)
        train, valid = self._split(rows, random)
        run = FitRun(self._state, self._settings(len(train.y)), train, valid)
        order_N = np.arange(len(train.y), dtype=np.int32)
        at_once = max(1, _ROWS_AT_ONCE // len(train.y))
        self.n_iter_, is_over = 0, False
        try:
            while self.n_iter_ < epochs and not is_over:
                orders = []
                for _ in range(min(at_once, epochs - self.n_iter_)):
                    if self.shuffle:
                        order_N = order_N[_permutation(len(order_N), random)]
                    orders.append(order_N)
                history, is_over = run.epochs(orders)
                self._record(history, len(train.y))
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=3)
        else:
            self._report_end(is_over, incremental)
        run.write_back(best=self.early_stopping)
        self._publish()
        return self

    def _split(self, rows: WeightedRows, random: np.random.RandomState) -> tuple[WeightedRows, WeightedRows]:
        """Training and validation rows; the same as scikit-learn's, which is stratified for two classes only."""
        if not self.early_stopping:
            return rows, rows.take(slice(0))
        train_N, valid_N = train_test_split(
            np.arange(len(rows.y)),
            random_state=random,
            test_size=self.validation_fraction,
            stratify=rows.y if self.n_outputs_ == 1 else None,
        )
        train, valid = rows.take(train_N), rows.take(valid_N)
        if len(valid_N) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        if not (train.weights.any() and valid.weights.any()):
            raise ValueError(
                "sample_weight is zero for all training rows or all validation rows; use another random_state"
            )
        return train, valid

    def _settings(self, rows: int) -> FitSettings:
        batch_size = min(200, rows) if isinstance(self.batch_size, str) else int(self.batch_size)
        if batch_size > rows:
            warnings.warn(f"batch_size {batch_size} is clipped to the {rows} rows", stacklevel=4)
        return FitSettings(
            learning_rate=self.learning_rate_init,
            decay_epochs=self.max_iter if self.learning_rate == "cosine" else None,
            batch_size=min(batch_size, rows),
            alpha=self.alpha,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
            tol=self.tol,
            patience=self.n_iter_no_change,
        )

    def _record(self, history: NDArray[np.float64], rows: int) -> None:
        """Take account of epochs: their losses, and their accuracies on the validation rows."""
        for loss, score in history.tolist():
            self.n_iter_ += 1
            self.t_ += rows
            self.loss_curve_.append(loss)
            if self.validation_scores_ is not None:
                self.validation_scores_.append(score)
            if self.verbose:
                print(f"Iteration {self.n_iter_}, loss = {loss:.8f}")
                if self.validation_scores_ is not None:
                    print(f"Validation score: {score:f}")

    def _report_end(self, is_over: bool, incremental: bool) -> None:
        if is_over and self.verbose:
            what = "Validation score" if self.early_stopping else "Training loss"
            print(
                f"{what} did not improve more than tol={self.tol:f} for {self.n_iter_no_change} consecutive epochs. "
                "Stopping."
            )
        if not (is_over or incremental):
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't "
                "converged yet.",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _publish(self) -> None:
        """Set the attributes of the network that was trained."""
        self.coefs_: list[Floats] = [coef for coef, _ in self._state.layers]
        self.intercepts_: list[Floats] = [intercept for _, intercept in self._state.layers]
        arrays = np.array(self.loss_curve_[-1:]), *self.coefs_, *self.intercepts_
        if not all(np.isfinite(array).all() for array in arrays):
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
                "preprocessed."
            )
        if self.loss_curve_:
            self.loss_ = self.loss_curve_[-1]
        best = float(self._state.progress[0])
        self.best_loss_ = None if self.early_stopping else best
        self.best_validation_score_ = -best if self.early_stopping else None


def _permutation(rows: int, random: np.random.RandomState) -> NDArray[np.int32]:
    """A random order, with the numbers that `sklearn.utils.shuffle` takes."""
    order_N = np.arange(rows, dtype=np.int32)
    random.shuffle(order_N)
    return order_N
