"""A registered model labels data frames, as `insects-predict` labels files."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import mlflow
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from insects.errors import DataError, StoreError
from insects.spiral import builtin_tables
from search import load_best
from search.api import BestModel
from search.registry.load import LoadedModel
from tests.support.commands import Finished, command


@pytest.fixture(scope="module")
def model(finished: Finished) -> BestModel:
    """The best model of the finished study."""
    return load_best(finished.store, tracking_uri=f"sqlite:///{finished.store}/mlflow.db")


def points() -> pd.DataFrame:
    table = builtin_tables()[1]
    return pd.DataFrame(table.x, columns=list(table.features))


def test_predictions_are_those_of_the_command(model: BestModel, finished: Finished, tmp_path: Path) -> None:
    frame = points()
    frame.to_csv(tmp_path / "points.csv", index=False)
    done = command("insects-predict", "--best", str(tmp_path / "points.csv"), "--store", str(finished.store))
    expected = pd.read_csv(io.StringIO(done.stdout))
    assert_array_equal(model.predict(frame), expected["predicted_labels"])
    probabilities = expected[[f"probability_{name}" for name in model.classes_]]
    assert_allclose(model.predict_proba(frame), probabilities, atol=1e-6)
    assert (model.name, model.target, model.features) == ("insects-mlp", "labels", ("feature1", "feature2"))
    assert model.classes_.tolist() == [0, 1, 2, 3, 4]
    assert repr(model) == f"<insects-mlp version {model.version}: labels from feature1, feature2>"


def test_columns_are_found_by_name(model: BestModel) -> None:
    frame = points().head(5)
    other = frame[["feature2", "feature1"]].assign(note="x").set_index(pd.Index(list("abcde")))
    assert_array_equal(model.predict_proba(other), model.predict_proba(frame))
    assert_array_equal(model.predict_proba(frame.astype("Float64")), model.predict_proba(frame))
    assert np.isfinite(model.predict_proba(frame.assign(feature1=np.nan))).all()
    assert model.predict(frame.head(0)).shape == (0,)
    assert model.predict_proba(frame.head(0)).shape == (0, 5)


def test_rows_that_do_not_fit_are_refused(model: BestModel) -> None:
    with pytest.raises(DataError, match="the data frame lacks column 'feature1' of the model"):
        model.predict(points().drop(columns="feature1"))
    with pytest.raises(DataError, match="a pandas DataFrame with named columns, found ndarray"):
        model.predict_proba(points().to_numpy())  # type: ignore[arg-type]


def test_loading_leaves_mlflow_as_it_was(finished: Finished, tmp_path: Path) -> None:
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    environment = dict(os.environ)
    load_best(str(finished.store), "insects-mlp", tracking_uri=f"sqlite:///{finished.store}/mlflow.db")
    assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri()) == before
    assert dict(os.environ) == environment


def test_model_that_is_not_there_is_refused(finished: Finished, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="run insects-search first, or name its store"):
        load_best(tmp_path, tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    with pytest.raises(StoreError, match="there is no model models:/other@best"):
        load_best(finished.store, "other", tracking_uri=f"sqlite:///{finished.store}/mlflow.db")


def test_model_of_images_is_refused() -> None:
    loaded = LoadedModel(
        classes=("a", "b"),
        table=None,
        images={"target": "species", "size": 32, "backbone": None},
        program=cast("Any", None),
        name="photos-mlp",
        version="2",
        model_id="",
        run="",
        search_run="",
        study="",
        data_digest="",
        files=Path("photos"),
    )
    with pytest.raises(DataError, match="photos-mlp version 2 takes images: label them with insects-predict"):
        BestModel(loaded)


def test_model_of_a_local_store_is_loaded_without_torch_and_mlflow(finished: Finished) -> None:
    store = str(finished.store)
    script = (
        "import sys; from search import load_best; "
        f"model = load_best({store!r}, tracking_uri={f'sqlite:///{store}/mlflow.db'!r}); "
        "print(model.name, model.version, {'torch', 'mlflow'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "insects-mlp 1 set()\n"
