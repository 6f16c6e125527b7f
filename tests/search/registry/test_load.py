"""Loading a registered model: without a pickle and without code, or an error of one line."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from insects.errors import StoreError
from search.registry.load import load_model
from search.store.store import Store
from tests.support.commands import Finished, client_of, invoke, own
from tests.support.registered_studies import registered, study_of

URI = "models:/insects-mlp@best"

MISSING = {
    "models:/insects-mlp/7": "there is no model models:/insects-mlp/7 in sqlite:",
    "models:/insects-mlp@worst": "there is no model models:/insects-mlp@worst in sqlite:",
    "models:/moths@best": "there is no model models:/moths@best in sqlite:",
    "models:/insects-mlp/99999999999999999999": "int too large",
    "models:/@best": "there is no model models:/@best in sqlite:",
    "models:/insects-mlp": "is not a model: write models:/NAME@ALIAS or models:/NAME/VERSION",
    "models:/insects-mlp/latest": "is not a model: write",
    "runs:/abc/model": "is not a model: write",
    "/etc/passwd": "is not a model: write",
    "": "is not a model: write",
}


@pytest.mark.parametrize(("uri", "message"), MISSING.items(), ids=list(MISSING))
def test_unknown_model_is_one_line(uri: str, message: str, finished: Finished) -> None:
    store = own(finished.store)
    with pytest.raises(StoreError) as caught:
        load_model(store, uri)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_setting_that_mlflow_cannot_read_is_one_line(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.at(finished.store, "http://127.0.0.1:9")
    client_of(store)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "soon")
    with pytest.raises(StoreError, match="MLFLOW_HTTP_REQUEST_TIMEOUT"):
        load_model(store, URI)


@pytest.fixture
def with_foreign_models(store: Path) -> Path:
    """A store whose registry holds a pickled torch model as version 1 and a pyfunc model as version 2."""
    import mlflow
    import torch

    client_of(store)
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("foreign", (store / "artifacts").as_uri()))
    metadata = {"classes": ["0", "1"], "table": {}}
    with mlflow.start_run():
        mlflow.pytorch.log_model(
            torch.nn.Linear(2, 2),
            name="pickled",
            serialization_format="pickle",
            pip_requirements=["torch"],
            registered_model_name="insects-mlp",
            metadata=metadata,
        )
        mlflow.pyfunc.log_model(
            name="code",
            loader_module="os",
            pip_requirements=[],
            registered_model_name="insects-mlp",
            metadata=metadata,
        )
    return store


def test_pickled_model_and_model_with_code_are_refused(
    with_foreign_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
        with pytest.raises(mlflow.MlflowException, match=r"[Pp]ickle"):
            mlflow.pytorch.load_model("models:/insects-mlp/1")
    messages = {"1": "needs pickle or code to load", "2": "is not a model of insects-search: choose another --model"}
    for version, message in messages.items():
        uri = f"models:/insects-mlp/{version}"
        done = invoke(monkeypatch, "evaluate", "--model", uri, "--store", str(with_foreign_models))
        assert done.exit_code == 1
        assert done.stderr.startswith(f"Error: {uri} ")
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
        assert done.stdout == ""


def test_model_with_a_pickle_beside_it_is_refused(store: Path) -> None:
    registered(store, study_of(store, "s", 0))
    (model,) = (store / "artifacts" / "s" / "models").iterdir()
    (model / "artifacts" / "data" / "extra.pth").write_bytes(b"")
    with pytest.raises(StoreError, match=r"needs pickle or code to load \(its data holds extra\.pth, model\.pt2\)"):
        load_model(own(store), URI)


@pytest.mark.parametrize("only_torch", [False, True], ids=["read without torch", "run by torch"])
def test_pickle_inside_of_a_program_is_not_run(only_torch: bool, store: Path, tmp_path: Path) -> None:
    registered(store, study_of(store, "s", 0))
    (program,) = (store / "artifacts" / "s" / "models").rglob("model.pt2")
    with zipfile.ZipFile(program) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    (inputs,) = [name for name in records if "sample_inputs" in name]
    records[inputs] = f"cos\nsystem\n(S'touch {tmp_path / 'run'}'\ntR.".encode()
    if only_torch:
        (weights,) = [name for name in records if "weights_config" in name]
        records[weights] = records[weights].replace(b"networks.0.0.weight", b"networks.0.0.other")
    with zipfile.ZipFile(program, "w") as archive:
        for name, content in records.items():
            archive.writestr(name, content)
    if only_torch:
        with pytest.raises(StoreError, match=r"[Pp]ickle"):
            load_model(own(store), URI)
    else:
        load_model(own(store), URI)
    assert not (tmp_path / "run").exists()
