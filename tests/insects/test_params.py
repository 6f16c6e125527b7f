"""Training parameters: values out of bounds are refused by name."""

from __future__ import annotations

import pytest

from insects.params import ParamsError, Recipe, TrialParams


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("depth", -1, "depth must be a whole number of at least 0, found -1"),
        ("width", 0, "width must be a whole number of at least 1, found 0"),
        ("batch_size", True, "batch_size must be a whole number of at least 1, found True"),
        ("width", 1_000_001, "width must be at most 1000000, found 1000001"),
        ("lr", "0.1", "lr must be a number above 0, found 0.1"),
        ("lr", float("inf"), "lr must be finite and above 0, found inf"),
    ],
)
def test_hyperparameter_out_of_bounds_is_named(parameter: str, value: object, message: str) -> None:
    values = {"depth": 1, "width": 1, "lr": 0.1, "batch_size": 1, parameter: value}
    with pytest.raises(ParamsError) as error:
        TrialParams(**values)  # type: ignore[arg-type] # the value may be of a wrong type
    assert (str(error.value), error.value.parameter) == (message, parameter)


def test_impossible_recipe_is_refused() -> None:
    with pytest.raises(ParamsError, match="epochs must be at least 1, found 0") as error:
        Recipe(epochs=0)
    assert error.value.parameter == "epochs"
    with pytest.raises(ParamsError, match="schedule must be one of cosine, constant, found 'linear'") as error:
        Recipe(schedule="linear")  # type: ignore[arg-type]
    assert error.value.parameter == "schedule"
    with pytest.raises(ParamsError, match="class_weight must be one of none, balanced, found 'rare'") as error:
        Recipe(class_weight="rare")  # type: ignore[arg-type]
    assert error.value.parameter == "class_weight"
    with pytest.raises(ParamsError, match="metric must be one of loss, accuracy, balanced-accuracy, roc-auc, found"):
        Recipe(metric="f1")  # type: ignore[arg-type]
