"""`insects-describe`: on the terminal, in a folder and in MLflow."""

from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from search.commands.describe import EXPERIMENT, DescribeRequest, read_described
from search.tracking.tags import TABLE_DIGEST_TAG
from tests.support.commands import client_of, command, invoke
from tests.support.image_search import Searched

FLOWERS = "species,width,colour\nrose,1.5,red\niris,,blue\nrose,2.5,\niris,3.5,blue\n"


def described_runs(client: MlflowClient) -> list[Run]:
    experiment = client.get_experiment_by_name("insects-describe")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    path = tmp_path / "flowers.csv"
    path.write_text(FLOWERS)
    return path


def test_installed_command_describes_the_built_in_table_and_writes_nothing(tmp_path: Path) -> None:
    done = command("insects-describe", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[:2] == ["built-in insects_train.csv", "1,200 rows, 2 features, 5 classes"]
    assert "count 1200 1200 1200" in lines
    assert list(tmp_path.iterdir()) == []


def test_help_has_an_example_and_the_version_is_the_projects() -> None:
    assert "    insects-describe --train" in command("insects-describe", "--help").stdout
    version = command("insects-describe", "--version").stdout
    assert version == f"insects-describe, version {metadata.version('insects-search')}\n"


def test_table_with_missing_values_and_text_is_described(monkeypatch: pytest.MonkeyPatch, flowers: Path) -> None:
    result = invoke(monkeypatch, "describe", "--train", str(flowers), "--target", "species")
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    for line in ("rose 2 50.0 %", "missing values: 2 in 2 columns", "columns: 1 number, 1 category"):
        assert line in lines


def test_out_holds_the_text_as_printed_and_the_figures(
    monkeypatch: pytest.MonkeyPatch, flowers: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "folder"
    result = invoke(monkeypatch, "describe", "--train", str(flowers), "--target", "species", "--out", str(out))
    assert (out / "description.txt").read_text() == result.stdout
    names = {"description.txt", "description.json", "histograms.png"}  # one feature with numbers
    assert {path.name for path in out.iterdir()} == names


def test_svg_is_beside_each_figure_of_the_folder_and_needs_one(
    monkeypatch: pytest.MonkeyPatch, flowers: Path, tmp_path: Path
) -> None:
    arguments = ["describe", "--train", str(flowers), "--target", "species", "--figures", "svg"]
    assert invoke(monkeypatch, *arguments, "--out", str(tmp_path / "out")).exit_code == 0
    names = {"description.txt", "description.json", "histograms.png", "histograms.svg"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    assert ">width</text>" in (tmp_path / "out" / "histograms.svg").read_text()
    refused = invoke(monkeypatch, *arguments)
    assert refused.exit_code == 2
    assert "--figures svg is about the files of a folder: add --out." in refused.stderr


def test_table_that_is_logged_twice_has_one_run_and_another_table_another(
    monkeypatch: pytest.MonkeyPatch, flowers: Path, store: Path
) -> None:
    arguments = ["describe", "--log", "--store", str(store), "--train", str(flowers), "--target", "species"]
    for _ in range(2):
        assert invoke(monkeypatch, *arguments).exit_code == 0
    client = client_of(store)
    (run,) = described_runs(client)
    assert run.info.status == "FINISHED"
    assert run.data.tags["insects.role"] == "table"
    assert run.data.params == {"rows": "4", "features": "2", "classes": "2", "missing": "2", "not_numeric": "0"}
    assert run.inputs is not None
    assert run.inputs.dataset_inputs[0].dataset.name == str(flowers)
    names = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert names == {"description.txt", "description.json", "histograms.png"}

    flowers.write_text(FLOWERS.replace("1.5", "1.6"))
    invoke(monkeypatch, *arguments)
    assert len(described_runs(client)) == 2


def test_description_that_is_interrupted_at_each_step_is_completed_in_one_run(
    monkeypatch: pytest.MonkeyPatch, flowers: Path, store: Path
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    arguments = ["describe", "--log", "--store", str(store), "--train", str(flowers), "--target", "species"]
    client, found = client_of(store), set()
    for step in ("log_inputs", "log_batch", "log_artifacts", "set_terminated"):
        with monkeypatch.context() as patch:
            patch.setattr(f"mlflow.MlflowClient.{step}", interrupted)
            assert invoke(monkeypatch, *arguments).exit_code == 130
        (half,) = described_runs(client)
        found.add((half.info.run_id, half.info.status))
    ((run_id, status),) = found
    assert status == "RUNNING"
    for _ in range(2):
        assert invoke(monkeypatch, *arguments).exit_code == 0
    (run,) = described_runs(client)
    assert (run.info.run_id, run.info.status) == (run_id, "FINISHED")
    assert run.data.params == {"rows": "4", "features": "2", "classes": "2", "missing": "2", "not_numeric": "0"}
    assert run.inputs is not None
    assert [entry.dataset.name for entry in run.inputs.dataset_inputs] == [str(flowers)]
    assert len(client.list_artifacts(run.info.run_id)) == 3


def test_run_with_tags_alone_is_completed(monkeypatch: pytest.MonkeyPatch, flowers: Path, store: Path) -> None:
    client = client_of(store)
    experiment_id = client.create_experiment(EXPERIMENT)
    digest = read_described(
        DescribeRequest(flowers, "species", None, (), (), (), None, None, None), store / "images"
    ).digest
    half = client.create_run(experiment_id, tags={TABLE_DIGEST_TAG: digest})
    done = invoke(
        monkeypatch, "describe", "--log", "--store", str(store), "--train", str(flowers), "--target", "species"
    )
    assert done.exit_code == 0, done.stderr
    (run,) = described_runs(client)
    assert (run.info.run_id, run.info.status, run.data.params["rows"]) == (half.info.run_id, "FINISHED", "4")


def test_tables_that_differ_in_missing_and_non_numeric_cells_have_a_run_each(
    monkeypatch: pytest.MonkeyPatch, flowers: Path, store: Path
) -> None:
    arguments = ["describe", "--log", "--store", str(store), "--train", str(flowers), "--target", "species"]
    for content in (FLOWERS, FLOWERS.replace("red", "NA")):
        flowers.write_text(content)
        assert invoke(monkeypatch, *arguments).exit_code == 0
    assert sorted(run.data.params["missing"] for run in described_runs(client_of(store))) == ["2", "3"]


def test_images_are_described_with_a_grid_of_samples_and_logged_once(
    monkeypatch: pytest.MonkeyPatch, store: Path, searched: Searched, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(searched.store / "images", store / "images")  # the demo set is drawn already
    arguments = ["describe", "--images", "demo", "--store", str(store), "--out", str(out), "--log"]
    for _ in range(2):
        result = invoke(monkeypatch, *arguments)
        assert result.exit_code == 0, result.stderr
    assert "288 images, 4 classes, 48 groups" in result.stdout
    names = {"description.txt", "description.json", "sample_images.png"}
    assert {path.name for path in out.iterdir()} == names
    assert (out / "description.txt").read_text() == result.stdout
    client = client_of(store)
    (run,) = described_runs(client)
    assert run.data.params == {"images": "288", "classes": "4", "groups": "48", "bad": "0"}
    assert {artifact.path for artifact in client.list_artifacts(run.info.run_id)} == names


def test_mistakes_are_one_line(monkeypatch: pytest.MonkeyPatch, flowers: Path, tmp_path: Path) -> None:
    for arguments, message in (
        (["--train", str(tmp_path / "absent.csv")], "there is no file"),
        (["--train", str(flowers)], "has no label column 'labels'"),
        (["--out", str(flowers / "below")], "choose another --out"),
    ):
        result = invoke(monkeypatch, "describe", *arguments)
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: ")
        assert message in result.stderr
        assert result.stderr.count("\n") == 1
