"""A registered model that labels the rows of a data frame.

Shapes: N rows, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from insects.errors import DataError
from insects.tables.frames import FrameSource, read_frame
from insects.tables.names import are_whole_numbers
from insects.tables.text_files import TableFormat
from search.registry.load import LoadedModel, load_local_model, load_model
from search.registry.predictor import probabilities, program_logits
from search.store.store import Store
from search.tracking.client import configured_mlflow

if TYPE_CHECKING:
    import pandas as pd

    from insects.mlp import Floats


class BestModel:
    """A registered model of a table.

    Args:
        loaded: The model.

    Attributes:
        name: The registered model.
        version: The version's number.
        target: The label column that it was trained on.
        features: The columns that it needs.
        classes_: `(C,)` labels, integers if all of them are whole numbers, else texts.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        if loaded.table is None:
            raise DataError(f"{loaded.name} version {loaded.version} takes images: label them with insects-predict")
        self._program, self._columns = loaded.program, loaded.table.columns
        self.name, self.version, self.target = loaded.name, loaded.version, loaded.target
        self.features = self._columns.names
        are_numbers = are_whole_numbers(loaded.classes)
        self.classes_: NDArray[Any] = np.array([int(name) if are_numbers else name for name in loaded.classes])

    @classmethod
    def load(cls, store: Store, uri: str) -> BestModel:
        """Load a model.

        Args:
            store: The store whose registry it is in.
            uri: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

        Raises:
            StoreError: There is no such model, or MLflow does not answer.
            DataError: It takes images.
        """
        store.check_database()
        local = load_local_model(store, uri)
        if local is not None:
            return cls(local)
        with configured_mlflow(store):
            return cls(load_model(store, uri))

    def __repr__(self) -> str:
        return f"<{self.name} version {self.version}: {self.target} from {', '.join(self.features)}>"

    def predict(self, frame: pd.DataFrame) -> NDArray[Any]:
        """Predict the label of each row: the most probable class.

        Args:
            frame: N rows with the columns `features`, in any order, among others. Missing cells may be missing.

        Returns:
            `(N,)`, of `classes_`.

        Raises:
            DataError: A column is missing, or it is no data frame.
        """
        labels: NDArray[Any] = self.classes_[self._logits(frame).argmax(axis=1)]
        return labels

    def predict_proba(self, frame: pd.DataFrame) -> Floats:
        """Predict the probability of each class.

        Args:
            frame: See `predict`.

        Returns:
            `(N, C)` float32 in the order of `classes_`; each row sums to 1.

        Raises:
            DataError: A column is missing, or it is no data frame.
        """
        return probabilities(self._logits(frame))

    def _logits(self, frame: pd.DataFrame) -> Floats:
        source = FrameSource.of(frame)
        if not len(frame):
            return np.empty((0, len(self.classes_)), np.float32)
        table = read_frame(source, TableFormat())
        return program_logits(self._program, self._columns.code(table.cells, table.source))
