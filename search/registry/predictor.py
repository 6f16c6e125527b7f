"""Predictions of a registered model: logits of its program, and labels with probabilities beside the rows of a table.

Shapes: N rows or images, K coded columns, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from insects.mlp import Floats
from insects.program import Program
from insects.tables.names import are_whole_numbers

if TYPE_CHECKING:
    import pandas as pd

    from search.registry.model_table import ModelTable

ROWS_AT_ONCE = 10_000


def program_logits(program: Program, inputs: Floats | NDArray[np.uint8], at_once: int = ROWS_AT_ONCE) -> Floats:
    """Return the logits of a program.

    Args:
        program: The program.
        inputs: Coded rows `(N, K)` or images `(N, 3, H, W)`.
        at_once: Rows or images that are in memory as activations at a time.

    Returns:
        `(N, C)` float32.
    """
    return np.concatenate([program(inputs[start : start + at_once]) for start in range(0, len(inputs), at_once)])


def probabilities(logits_NC: Floats) -> Floats:
    """Return the softmax of logits, `(N, C)` float32."""
    power_NC = np.exp(logits_NC - logits_NC.max(axis=1, keepdims=True))
    share_NC: Floats = power_NC / power_NC.sum(axis=1, keepdims=True)
    return share_NC


def prediction_columns(target: str, classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the columns of a prediction: the label, then the probability of each class."""
    return (f"predicted_{target}", *(f"probability_{name}" for name in classes))


def prediction_frame(target: str, classes: tuple[str, ...], logits_NC: Floats) -> pd.DataFrame:
    """Return a prediction as a data frame with the columns `prediction_columns`.

    Args:
        target: The label column that the model was trained on.
        classes: C class names. The labels are integers if all of them are whole numbers.
        logits_NC: `(N, C)`.
    """
    import pandas as pd

    label, *names = prediction_columns(target, classes)
    values = [int(name) for name in classes] if are_whole_numbers(classes) else list(classes)
    labels = pd.Series(values).array.take(logits_NC.argmax(axis=1))
    share_NC = probabilities(logits_NC)
    return pd.DataFrame({label: labels, **{name: share_NC[:, place] for place, name in enumerate(names)}})


class RowPredictor:
    """Labels rows of a table. Columns are found by name, in any order.

    Args:
        program: From coded rows to logits.
        classes: C class names.
        table: The columns of the model.
    """

    def __init__(self, program: Program, classes: tuple[str, ...], table: ModelTable) -> None:
        self._program, self._classes, self._table = program, classes, table

    def predict(self, frame: pd.DataFrame, source: str = "the data frame", decimal: str = ".") -> pd.DataFrame:
        """Return the label and the probability of each class.

        Args:
            frame: N rows with the columns of the model, among others.
            source: Name of the table, for messages.
            decimal: The decimal mark in texts.

        Returns:
            N rows with the index of `frame`; see `prediction_frame`.

        Raises:
            DataError: A column of the model is missing.
        """
        x_NK = self._table.columns.code(frame, source, decimal)
        logits_NC = program_logits(self._program, x_NK) if len(x_NK) else np.empty((0, len(self._classes)), np.float32)
        return prediction_frame(self._table.target, self._classes, logits_NC).set_axis(frame.index)
