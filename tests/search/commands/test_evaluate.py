"""`insects-evaluate` on rows: figures that numpy confirms, in MLflow beside the model."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax
from sklearn.metrics import balanced_accuracy_score, log_loss, roc_auc_score

from insects import mlp
from insects.baselines import BASELINES, baseline_scores
from insects.splits import Table
from search.store.study_folder import StudyFolder
from tests.support.commands import Finished, client_of, command, digests, invoke
from tests.support.studies import builtin_data, builtin_splits, model_of

KEYS = {
    "seen_in_training",
    "accuracy",
    "correct",
    "total",
    "interval",
    "groups",
    "balanced_accuracy",
    "roc_auc",
    "loss",
    "calibration_error",
    "baselines",
    "per_class",
    "confusion",
    "model",
    "test",
    "test_looks",
}


@pytest.fixture(scope="session")
def evaluated(finished: Finished) -> dict[str, Any]:
    """The output of the installed command on the test rows of the finished study."""
    done = command("insects-evaluate", "--best", "--store", str(finished.store), "--json")
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def logits_of(finished: Finished, rows: Table) -> np.ndarray:
    splits, _ = builtin_splits()
    model, x_NF = model_of(finished.folder, finished.answer), (rows.x - splits.encoder.mean) / splits.encoder.std
    return mlp.mean_logits(model.weights, model.params, splits.shape, x_NF)


def predicted(finished: Finished, rows: Table) -> np.ndarray:
    classes: np.ndarray = logits_of(finished, rows).argmax(axis=1)
    return classes


def write_csv(path: Path, rows: Table, header: str = "labels,feature1,feature2") -> Path:
    lines = [f"{rows.classes[label]},{a!r},{b!r}" for label, (a, b) in zip(rows.y, rows.x.tolist(), strict=True)]
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def evaluation_folder(finished: Finished) -> Path:
    """The files of the first evaluation."""
    client = client_of(finished.store)
    experiment = client.get_experiment_by_name(finished.answer["study"])
    assert experiment is not None
    (run, *_) = client.search_runs(
        [experiment.experiment_id], "tags.insects.role = 'evaluation'", order_by=["attributes.start_time ASC"]
    )
    return Path(run.info.artifact_uri.removeprefix("file://"))


def test_report_equals_a_recomputation(finished: Finished, evaluated: dict[str, Any]) -> None:
    rows = builtin_splits()[1]
    found = predicted(finished, rows)
    confusion = np.zeros((5, 5), int)
    np.add.at(confusion, (rows.y, found), 1)
    assert set(evaluated) == KEYS
    assert evaluated["confusion"] == confusion.tolist()
    assert evaluated["correct"] == int(np.trace(confusion))
    assert evaluated["total"] == 300
    assert evaluated["accuracy"] == np.trace(confusion) / 300
    assert evaluated["interval"][0] < evaluated["accuracy"] < evaluated["interval"][1]
    assert [row["support"] for row in evaluated["per_class"]] == np.bincount(rows.y).tolist()
    assert evaluated["test"] == "built-in insects_test.csv"
    assert evaluated["model"] == {"name": "insects-mlp", "version": "1", "uri": "models:/insects-mlp@best"}


def test_metrics_of_probabilities_equal_a_recomputation(finished: Finished, evaluated: dict[str, Any]) -> None:
    rows = builtin_splits()[1]
    probability = softmax(logits_of(finished, rows).astype(np.float64), axis=1)
    found = probability.argmax(axis=1)
    assert evaluated["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(rows.y, found))
    assert evaluated["roc_auc"] == pytest.approx(roc_auc_score(rows.y, probability, multi_class="ovr"), abs=1e-5)
    assert evaluated["loss"] == pytest.approx(log_loss(rows.y, probability), rel=1e-4)
    bins = np.ceil(15 * probability.max(axis=1)).astype(int)
    gap = np.bincount(bins, weights=probability.max(axis=1) - (found == rows.y))
    assert evaluated["calibration_error"] == pytest.approx(np.abs(gap).sum() / 300, abs=1e-5)


def test_baselines_are_fitted_on_the_studys_rows_and_scored_on_the_same_test_rows(
    finished: Finished, evaluated: dict[str, Any]
) -> None:
    splits, rows = builtin_splits()
    x, y = np.concatenate([splits.train_x, splits.valid_x]), np.concatenate([splits.train_y, splits.valid_y])
    expected = baseline_scores(x, y, splits.encoder.transform(rows.x), rows.y, 5)
    assert [entry["name"] for entry in evaluated["baselines"]] == list(BASELINES)
    for entry, score in zip(evaluated["baselines"], expected, strict=True):
        assert entry == {"name": score.name, "accuracy": score.accuracy, "loss": pytest.approx(score.loss)}


def test_text_has_the_model_above_the_baselines(finished: Finished, evaluated: dict[str, Any]) -> None:
    report = (evaluation_folder(finished) / "report.txt").read_text()
    majority, regression, boosting = ((entry["accuracy"], entry["loss"]) for entry in evaluated["baselines"])
    own = evaluated["accuracy"], evaluated["loss"]
    assert report.splitlines()[-6:] == [
        "Beside simple models, fitted on 1,200 rows of the study's training and validation data:",
        "model                  accuracy  log loss",
        "insects-mlp version 1  {:>8.4f}  {:>8.4f}".format(*own),
        "gradient boosting      {:>8.4f}  {:>8.4f}".format(*boosting),
        "logistic regression    {:>8.4f}  {:>8.4f}".format(*regression),
        "majority               {:>8.4f}  {:>8.4f}".format(*majority),
    ]


def test_figures_and_metrics_are_beside_the_model(finished: Finished, evaluated: dict[str, Any]) -> None:
    client = client_of(finished.store)
    version = client.get_model_version_by_alias("insects-mlp", "best")
    experiment = client.get_experiment_by_name(finished.answer["study"])
    assert experiment is not None
    (run, *_) = client.search_runs(
        [experiment.experiment_id], "tags.insects.role = 'evaluation'", order_by=["attributes.start_time ASC"]
    )
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.parentRunId"] == version.run_id
    assert run.data.metrics["test_accuracy"] == evaluated["accuracy"]
    assert run.data.metrics["test_loss"] == pytest.approx(evaluated["loss"])
    for key in ("balanced_accuracy", "roc_auc", "calibration_error"):
        assert run.data.metrics[f"test_{key}"] == pytest.approx(evaluated[key])
    assert run.data.params["version"] == "1"
    assert run.inputs is not None
    (entry,) = run.inputs.dataset_inputs
    assert entry.dataset.name == "built-in insects_test.csv"
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    assert set(digests(folder)) == {"calibration.png", "confusion_matrix.png", "decision_boundary.png", "report.txt"}
    for path in folder.glob("*.png"):
        with Image.open(io.BytesIO(path.read_bytes())) as picture:
            picture.load()
    assert f"{evaluated['correct']} of 300" in (folder / "report.txt").read_text()
    model = client.get_logged_model(str(version.source).rpartition("/")[2])
    assert {metric.key: metric.value for metric in model.metrics or []}["test_accuracy"] == evaluated["accuracy"]
    assert version.tags["test_accuracy"] == f"{evaluated['accuracy']:.4f}"


def test_looks_at_the_same_rows_are_counted_and_others_are_not(
    finished: Finished, evaluated: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert evaluated["test_looks"] == 1
    place = ("--store", str(finished.store))
    second = invoke(monkeypatch, "evaluate", "--best", *place, "--json")
    assert json.loads(second.stdout) == {**evaluated, "test_looks": 2}
    third = invoke(monkeypatch, "evaluate", "--model", "models:/insects-mlp/1", *place)
    assert "Evaluation 3 on these rows: " in third.stdout
    assert evaluated["seen_in_training"] == 0  # the row at the origin has another class in the training table
    assert "of the model's training" not in third.stdout
    assert f"\naccuracy           {evaluated['accuracy']:.4f}  {evaluated['correct']} of 300 right, " in third.stdout
    rows, trained = builtin_splits()[1], builtin_data()
    x = np.concatenate([rows.x[:49], trained.train_raw[:1]])
    some = Table(rows.features, rows.classes, x, np.append(rows.y[:49], trained.splits.train_y[:1]), "some.csv")
    path = write_csv(tmp_path / "some.csv", some)
    other = json.loads(invoke(monkeypatch, "evaluate", "--best", *place, "--test", str(path), "--json").stdout)
    assert (other["test_looks"], other["seen_in_training"]) == (1, 1)
    assert other["correct"] == int(np.sum(predicted(finished, some) == some.y))
    assert other["total"] == 50
    assert other["test"] == str(path)


def test_evaluation_that_is_interrupted_at_each_step_is_completed_in_one_run(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = builtin_splits()[1]
    path = write_csv(tmp_path / "some.csv", Table(rows.features, rows.classes, rows.x[:60], rows.y[:60], ""))
    evaluation = ("evaluate", "--best", "--store", str(finished.store), "--test", str(path), "--json")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for step in ("log_inputs", "log_batch", "log_artifacts", "set_terminated"):
        with monkeypatch.context() as patch:
            patch.setattr(f"mlflow.MlflowClient.{step}", interrupted)
            assert invoke(monkeypatch, *evaluation).exit_code == 130
    assert json.loads(invoke(monkeypatch, *evaluation).stdout)["test_looks"] == 1
    client = client_of(finished.store)
    experiment = client.get_experiment_by_name(finished.answer["study"])
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], "params.`rows` = '60'")
    assert run.info.status == "FINISHED"
    assert len(client.get_metric_history(run.info.run_id, "test_accuracy")) == 1
    assert run.inputs is not None
    assert len(run.inputs.dataset_inputs) == 1


def other_data(study: StudyFolder) -> None:
    """Another study of the same name."""
    content = json.loads((study.path / "study.json").read_text())
    content["fingerprint"]["data"]["rows"] = "0" * 64
    (study.path / "study.json").write_text(json.dumps(content))


WITHOUT_ROWS: dict[str, tuple[Callable[[StudyFolder], object], str]] = {
    "no study": (lambda study: shutil.rmtree(study.path), "the study of the model is not in {store}"),
    "other data": (other_data, "the study of the model is not in {store}"),
    "damaged": (
        lambda study: (study.path / "data.npz").write_bytes(b"no"),
        "the files of the model's study cannot be read",
    ),
}


@pytest.mark.parametrize("kind", WITHOUT_ROWS)
def test_without_the_rows_of_the_study_there_are_no_baselines_and_the_text_says_why(
    kind: str, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil, reason = WITHOUT_ROWS[kind]
    store = tmp_path / "store"
    shutil.copytree(finished.store / "trials", store / "trials")
    spoil(StudyFolder(store / "trials" / finished.folder.name))
    rows = builtin_splits()[1]
    some = Table(rows.features, rows.classes, rows.x[:40], rows.y[:40], "")
    model = ("--model", "models:/insects-mlp/1", "--test", str(write_csv(tmp_path / "some.csv", some)))
    place = ("--store", str(store), "--tracking-uri", f"sqlite:///{finished.store / 'mlflow.db'}")
    done = invoke(monkeypatch, "evaluate", *model, *place)
    assert done.exit_code == 0, done.stderr
    assert f"\n\nNo baselines: {reason.format(store=store)}\n\n" in done.stdout
    assert json.loads(invoke(monkeypatch, "evaluate", *model, *place, "--json").stdout)["baselines"] is None


def test_loss_that_is_not_finite_is_null_in_json(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tmp_path / "far.csv"
    rows.write_text("labels,feature1,feature2\n0,3e38,-3e38\n1,-3e38,3e38\n2,0.1,0.2\n")
    done = invoke(monkeypatch, "evaluate", "--best", "--store", str(finished.store), "--test", str(rows), "--json")
    assert done.exit_code == 0, done.stderr

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is not JSON")

    answer = json.loads(done.stdout, parse_constant=refuse)
    assert (answer["loss"], answer["total"]) == (None, 3)
    assert (answer["roc_auc"], answer["calibration_error"]) == (None, None)
    client = client_of(finished.store)
    experiment = client.get_experiment_by_name(finished.answer["study"])
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], "params.`rows` = '3'")
    assert not {"test_roc_auc", "test_calibration_error"} & set(run.data.metrics)
    assert run.data.metrics["test_balanced_accuracy"] == answer["balanced_accuracy"]
    assert "calibration.png" not in digests(Path(run.info.artifact_uri.removeprefix("file://")))


def test_model_of_two_classes_has_its_two_curves_where_both_have_rows(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    y = np.arange(120) % 2
    x = (np.stack([y, -y], axis=1) + generator.normal(size=(120, 2))).astype(np.float32)
    table = write_csv(tmp_path / "two.csv", Table(("feature1", "feature2"), ("no", "yes"), x, y.astype(np.int32), ""))
    place = ("--store", str(store))
    search = ("--train", str(table), "--target", "labels", "--trials", "1", "--epochs", "3", "--test-fraction", "0.3")
    assert invoke(monkeypatch, "search", *search, *place).exit_code == 0
    answer = json.loads(invoke(monkeypatch, "evaluate", "--best", *place, "--figures", "svg", "--json").stdout)
    assert answer["roc_auc"] > 0.6
    one = write_csv(tmp_path / "one.csv", Table(("feature1", "feature2"), ("no",), x[::2], np.zeros(60, np.int32), ""))
    other = json.loads(invoke(monkeypatch, "evaluate", "--best", *place, "--test", str(one), "--json").stdout)
    assert (other["roc_auc"], other["balanced_accuracy"]) == (None, other["accuracy"])
    client = client_of(store)
    model = client.get_model_version_by_alias("two-mlp", "best")
    experiment_id = client.get_run(str(model.run_id)).info.experiment_id
    curves = {"precision_recall_curve.png", "roc_curve.png"}
    for rows, drawn in ((36, curves), (60, set())):
        (run,) = client.search_runs([experiment_id], f"params.`rows` = '{rows}'")
        files = set(digests(Path(run.info.artifact_uri.removeprefix("file://"))))
        assert curves & files == drawn
        vectors = {name for name in files if name.endswith(".svg")}
        of_png = {name.replace(".png", ".svg") for name in files if name.endswith(".png")}
        assert vectors == (of_png if rows == 36 else set())


def test_figures_that_cannot_be_written_are_one_line_and_leave_no_run(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, _: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    def runs() -> list[tuple[str, str]]:
        experiment = client.get_experiment_by_name(finished.answer["study"])
        assert experiment is not None
        return [(run.info.run_id, run.info.status) for run in client.search_runs([experiment.experiment_id])]

    client = client_of(finished.store)
    before = runs()
    monkeypatch.setattr("search.commands.evaluate.Path.write_bytes", refused)
    done = invoke(monkeypatch, "evaluate", "--best", "--store", str(finished.store))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: temporary files cannot be written ([Errno 28] No space left on device: ")
    assert done.stderr.endswith(": make room, or set TMPDIR to a folder that has some\n")
    assert runs() == before


BAD_ROWS = {
    "no such file": (None, "there is no file .*; check the path"),
    "unseen label": ("labels,feature1,feature2\n9,0.1,0.2\n", "a label must be one of the classes trained on"),
    "missing feature": ("labels,feature1\n1,0.1\n", "lacks column 'feature2' of the model"),
    "missing label column": ("species,feature1,feature2\n1,0.1,0.2\n", "has no label column 'labels'"),
    "empty": ("", "empty"),
}


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_rows_that_do_not_fit_the_model_are_refused_in_one_line(
    kind: str, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, message = BAD_ROWS[kind]
    path = tmp_path / "rows.csv"
    if content is not None:
        path.write_text(content)
    done = invoke(monkeypatch, "evaluate", "--best", "--store", str(finished.store), "--test", str(path))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert re.search(message, done.stderr)


def test_nothing_registered_is_one_line(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = invoke(monkeypatch, "evaluate", "--best", "--store", str(store))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        f"Error: there is no model models:/insects-mlp@best in sqlite:///{store / 'mlflow.db'}: "
        "run insects-search first, or name its --store\n"
    )


@pytest.mark.parametrize("option", [("--image-dir", "d"), ("--skip-bad-images",)])
def test_option_about_images_is_refused_by_a_model_of_a_table(
    option: tuple[str, ...], finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = invoke(monkeypatch, "evaluate", "--best", "--store", str(finished.store), *option)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "Error: insects-mlp version 1 takes a table, not images: give one with --test\n"
