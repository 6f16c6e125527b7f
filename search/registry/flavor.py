"""The files of a logged model: a program for `mlflow.pytorch`, and for tables a loader for `mlflow.pyfunc`.

`mlflow.pytorch` exports a program only with a signature of tensors. Its own `pyfunc` would take the columns of a data
frame by position, whatever their names; so a model of a table gets a signature of named columns, and a loader that
finds them by name.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from insects.tables.names import are_whole_numbers
from search.registry.predictor import prediction_columns
from search.tracking.mlflow_internals import leave_checks_to_model

if TYPE_CHECKING:
    from mlflow.models import Model, ModelSignature

    from search.registry.model_table import ModelTable

LOADER = "search.registry.pyfunc"


def save_model(
    path: str,
    mlflow_model: Model,
    *,
    classes: tuple[str, ...],
    table: ModelTable | None,
    **options: Any,
) -> None:
    """Write the files of a model. `mlflow.models.Model.log` calls this function by its name.

    Args:
        path: The folder to write to.
        mlflow_model: What MLflow keeps of the model.
        classes: Class names.
        table: The columns of a model of a table; None: it is a model of images.
        options: Those of `mlflow.pytorch.save_model`.
    """
    import mlflow.pytorch

    mlflow.pytorch.save_model(path=path, mlflow_model=mlflow_model, serialization_format="pt2", **options)
    if table is None:
        return
    mlflow_model.signature = _signature(classes, table)
    pyfunc = mlflow_model.flavors["python_function"]
    for name in ("data", "pickle_module_name", "config"):
        pyfunc.pop(name, None)
    pyfunc["loader_module"] = LOADER
    # The example holds coded rows: it shows nobody what to send to the model.
    mlflow_model.saved_input_example_info = None  # type: ignore[assignment]  # as in a new model
    for name in ("input_example.json", "serving_input_example.json"):
        (Path(path) / name).unlink(missing_ok=True)
    mlflow_model.save(str(Path(path) / "MLmodel"))


def _signature(classes: tuple[str, ...], table: ModelTable) -> ModelSignature:
    """The columns of the user's table, and those of a prediction."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec

    label, *probabilities = prediction_columns(table.target, classes)
    label_type = DataType.long if are_whole_numbers(classes) else DataType.string
    # A date is a text: MLflow's server cannot parse dates in CSV.
    inputs: list[ColSpec | TensorSpec] = [
        ColSpec(DataType.double if column.kind == "number" else DataType.string, column.name)
        for column in table.columns.columns
    ]
    outputs: list[ColSpec | TensorSpec] = [ColSpec(label_type, label)]
    outputs += [ColSpec(DataType.double, name) for name in probabilities]
    signature = ModelSignature(Schema(inputs), Schema(outputs))
    leave_checks_to_model(signature)
    return signature
