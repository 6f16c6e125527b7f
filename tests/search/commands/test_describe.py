"""`insects-describe`: to the terminal, to a folder, to MLflow."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from search.commands import describe
from tests.support.commands import command, invoke, own

FLOWERS = "species,width,colour\nrose,1.5,red\niris,,blue\nrose,2.5,\niris,3.5,blue\n"


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
    for line in ("rose 2 50.0 %", "missing values: 2 in 2 columns", "cells that are no numbers: 3 in 1 column"):
        assert line in lines


def test_out_holds_the_text_as_printed_and_the_figures(
    monkeypatch: pytest.MonkeyPatch, flowers: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "folder"
    result = invoke(monkeypatch, "describe", "--train", str(flowers), "--target", "species", "--out", str(out))
    assert (out / "description.txt").read_text() == result.stdout
    names = {"description.txt", "description.json", "histograms.png"}  # one feature with numbers
    assert {path.name for path in out.iterdir()} == names


def test_logging_twice_makes_one_run_and_another_table_another(
    monkeypatch: pytest.MonkeyPatch, flowers: Path, store: Path
) -> None:
    arguments = ["describe", "--log", "--store", str(store), "--train", str(flowers), "--target", "species"]
    for _ in range(2):
        assert invoke(monkeypatch, *arguments).exit_code == 0
    client = own(store).client()
    experiment = client.get_experiment_by_name("insects-describe")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.tags["insects.role"] == "table"
    assert run.data.params == {"rows": "4", "features": "2", "classes": "2", "missing": "2", "not_numeric": "3"}
    assert run.inputs is not None
    assert run.inputs.dataset_inputs[0].dataset.name == str(flowers)
    names = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert names == {"description.txt", "description.json", "histograms.png"}

    flowers.write_text(FLOWERS.replace("1.5", "1.6"))
    invoke(monkeypatch, *arguments)
    assert len(client.search_runs([experiment.experiment_id])) == 2


@pytest.mark.parametrize("steps", range(4))
def test_run_of_a_description_that_was_killed_is_completed(
    steps: int, monkeypatch: pytest.MonkeyPatch, flowers: Path, store: Path
) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object, **__: object) -> None:
        raise Killed

    arguments = ["describe", "--log", "--store", str(store), "--train", str(flowers), "--target", "species"]
    with monkeypatch.context() as patch:
        name = ("log_inputs", "log_batch", "log_artifacts", "set_terminated")[steps]
        patch.setattr(f"mlflow.MlflowClient.{name}", kill)
        with pytest.raises(Killed):
            invoke(monkeypatch, *arguments)
    client = own(store).client()
    experiment = client.get_experiment_by_name("insects-describe")
    assert experiment is not None
    (half,) = client.search_runs([experiment.experiment_id])
    assert (half.info.status, bool(half.data.params)) == ("RUNNING", steps >= 2)
    for _ in range(2):
        assert invoke(monkeypatch, *arguments).exit_code == 0
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_id, run.info.status) == (half.info.run_id, "FINISHED")
    assert run.data.params == {"rows": "4", "features": "2", "classes": "2", "missing": "2", "not_numeric": "3"}
    assert run.inputs is not None
    assert [entry.dataset.name for entry in run.inputs.dataset_inputs] == [str(flowers)]
    assert len(client.list_artifacts(run.info.run_id)) == 3


def test_run_with_tags_alone_is_completed(monkeypatch: pytest.MonkeyPatch, flowers: Path, store: Path) -> None:
    client = own(store).client()
    experiment_id = client.create_experiment(describe.EXPERIMENT)
    digest = describe.read(flowers, None, "species", None, store).digest
    half = client.create_run(experiment_id, tags={describe.DIGEST_TAG["table"]: digest})
    done = invoke(
        monkeypatch, "describe", "--log", "--store", str(store), "--train", str(flowers), "--target", "species"
    )
    assert done.exit_code == 0, done.stderr
    (run,) = client.search_runs([experiment_id])
    assert (run.info.run_id, run.info.status, run.data.params["rows"]) == (half.info.run_id, "FINISHED", "4")


def test_tables_that_differ_in_what_is_no_number_are_described_apart(
    monkeypatch: pytest.MonkeyPatch, flowers: Path, store: Path
) -> None:
    arguments = ["describe", "--log", "--store", str(store), "--train", str(flowers), "--target", "species"]
    for content in (FLOWERS, FLOWERS.replace("red", "NA")):
        flowers.write_text(content)
        assert invoke(monkeypatch, *arguments).exit_code == 0
    client = own(store).client()
    experiment = client.get_experiment_by_name("insects-describe")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.data.params["missing"] for run in runs) == ["2", "3"]


def test_images_are_described_with_a_grid_of_samples_and_logged_once(
    monkeypatch: pytest.MonkeyPatch, store: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ["describe", "--images", "demo", "--store", str(store), "--out", str(out), "--log"]
    for _ in range(2):
        result = invoke(monkeypatch, *arguments)
        assert result.exit_code == 0, result.stderr
    assert "288 images, 4 classes, 48 groups" in result.stdout
    names = {"description.txt", "description.json", "sample_images.png"}
    assert {path.name for path in out.iterdir()} == names
    assert (out / "description.txt").read_text() == result.stdout
    client = own(store).client()
    experiment = client.get_experiment_by_name("insects-describe")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.params == {"images": "288", "classes": "4", "groups": "48", "bad": "0"}
    assert {artifact.path for artifact in client.list_artifacts(run.info.run_id)} == names


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--features", "feature1"], "--features is about your own table: add --train."),
        (["--target", "species"], "--target is about your own table: add --train."),
        (["--images", "a.csv"], "add --image-dir"),
        (["--images", "demo", "--train", "a.csv"], "leave one out"),
        (["--group", "sample"], "--group is about images: add --images."),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(
    arguments: list[str], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = invoke(monkeypatch, "describe", *arguments)
    assert result.exit_code == 2
    assert complaint in result.stderr


def test_where_to_log_without_log_is_wrong_usage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for option in (["--store", str(tmp_path)], ["--tracking-uri", "sqlite:///x.db"]):
        result = invoke(monkeypatch, "describe", *option)
        assert result.exit_code == 2
        assert "add --log" in result.stderr


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
