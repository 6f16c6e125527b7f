"""The loader of `mlflow.pyfunc` for registered models of tables: a data frame in, labels and probabilities out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from insects.errors import DataError
from search.registry.load import read_model
from search.registry.predictor import RowPredictor
from search.tracking.mlflow_internals import accept_data_frames_as_json

if TYPE_CHECKING:
    import pandas as pd


class TableModel:
    """A registered model of a table as `mlflow.pyfunc` uses it.

    Args:
        predictor: The model.
    """

    def __init__(self, predictor: RowPredictor) -> None:
        self._predictor = predictor

    def predict(self, rows: Any) -> pd.DataFrame:
        """Return the label and the probability of each class.

        Args:
            rows: A data frame with the columns of the model, in any order, among others; or a list of records, or a
                dictionary of columns or of the cells of one row, as they come in JSON.

        Returns:
            A row for each row.

        Raises:
            MlflowException: A column of the model is missing, or the rows have no column names.
        """
        from mlflow.exceptions import MlflowException

        try:
            return self._predictor.predict(_frame(rows))
        except DataError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error


def _load_pyfunc(path: str) -> TableModel:
    """Load a model; `mlflow.pyfunc` calls this function by its name.

    Args:
        path: The folder of the model.
    """
    model = read_model(path, Path(path))
    assert model.table is not None, "only a model of a table has this loader"
    accept_data_frames_as_json(__name__)
    return TableModel(RowPredictor(model.program, model.classes, model.table))


def _frame(rows: Any) -> pd.DataFrame:
    import pandas as pd

    if isinstance(rows, pd.DataFrame):
        return rows
    if isinstance(rows, dict):
        is_one_row = not any(isinstance(value, (list, tuple)) for value in rows.values())
        return pd.DataFrame([rows] if is_one_row else rows)
    if isinstance(rows, list) and all(isinstance(record, dict) for record in rows):
        return pd.DataFrame.from_records(rows)
    raise DataError(
        f"rows must have column names, found {type(rows).__name__}; give a data frame, or a list of records"
    )
