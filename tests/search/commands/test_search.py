"""A search of a finished study: what it asks MLflow for, what it imports, what it prints."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result

from insects.baselines import Score
from search.store.study_folder import StudyFolder
from tests.support.commands import BIN, Finished, RefusingProcess, invoke, own
from tests.support.studies import optuna_trials


@pytest.fixture
def uploaded(finished: Finished, tmp_path: Path) -> StudyFolder:
    """The finished study in a store of its own, with nothing left to upload."""
    store = Path(shutil.copytree(finished.store, tmp_path / "store"))
    folder = StudyFolder(store / "trials" / finished.folder.name)
    record = folder.upload_record()
    assert record is not None
    folder.save_upload_record(replace(record, tracking_uri=own(store).shown_uri))
    return folder


def store_of(folder: StudyFolder) -> Path:
    return folder.path.parents[1]


def search_again(monkeypatch: pytest.MonkeyPatch, finished: Finished, folder: StudyFolder, *arguments: str) -> Result:
    """Run the search of the finished study again, without a connection to MLflow."""
    again = (*finished.arguments, "--store", str(store_of(folder)), *arguments)
    return invoke(monkeypatch, "search", *again, workers=RefusingProcess)


SCRIPT = """
import json, sys
from search import cli
try:
    cli.search(sys.argv[1:])
finally:
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""


def test_search_with_nothing_left_imports_neither_mlflow_nor_torch_nor_optuna(finished: Finished) -> None:
    arguments = [*finished.arguments, "--store", str(finished.store), "--json"]
    done = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert answer["model"]["uri"] == "models:/insects-mlp/1"
    assert (answer["model"]["version"], answer["model"]["alias"]) == ("1", "")
    for key in ("study", "study_digest", "trials", "best", "upload_error"):
        assert answer[key] == finished.answer[key]
    loaded = json.loads(done.stderr.splitlines()[-1])
    assert {"click", "numpy"} <= set(loaded)
    assert {"mlflow", "torch", "optuna"} & set(loaded) == set()


def test_search_with_nothing_left_asks_mlflow_for_nothing(
    finished: Finished, uploaded: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    own(store_of(uploaded)).record_search("another")
    done = search_again(monkeypatch, finished, uploaded)
    assert done.exit_code == 0, done.stderr
    assert done.stderr == ""
    last = own(store_of(uploaded)).last_study()
    assert last is not None
    assert last.name == uploaded.name
    assert "Model insects-mlp: version 1 was registered before; load it as models:/insects-mlp/1\n" in done.stdout
    assert "All 14 trials were done already; go on with a larger --trials." in done.stdout
    assert "Not all is in MLflow yet" not in done.stdout


def test_end_says_how_good_the_model_is_and_where_to_look(
    finished: Finished, uploaded: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = search_again(monkeypatch, finished, uploaded).stdout.splitlines()
    final = finished.answer["final"]
    best = max(final["baselines"], key=lambda score: score["accuracy"])
    low, high = final["interval"]
    assert (
        f"Expected accuracy on new rows: {final['expected_accuracy']:.4f} (95 % interval {low:.4f}–{high:.4f}), "
        f"against {best['accuracy']:.4f} of the best simple model ({best['name']})"
    ) in lines
    store = f"--store {store_of(uploaded)}"
    assert lines[-4:] == [
        "Where to look next:",
        f"  {uploaded.report}",
        f"  insects-evaluate --best {store}",
        f"  insects-ui {store}",
    ]
    assert not [line for line in lines if line.startswith("Time ")]


@pytest.mark.parametrize("above", [0.0, -0.001])
def test_end_warns_if_the_most_frequent_class_is_as_good_as_the_model(
    above: float, finished: Finished, uploaded: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    majority = finished.answer["final"]["expected_accuracy"] + above
    uploaded.save_baselines([Score("majority", majority, 0.1)])
    shown = " ".join(search_again(monkeypatch, finished, uploaded).stdout.split())
    warning = (
        f"Always answering the most frequent class is at least as often right ({majority:.4f}): where a rarer class "
        "matters, search with --class-weight balanced --metric balanced-accuracy."
    )
    assert (warning in shown) == (above == 0)
    assert ("Always answering" in shown) == (above == 0)


def test_verbose_says_where_the_time_went(
    finished: Finished, uploaded: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = search_again(monkeypatch, finished, uploaded, "--verbose").stdout
    assert re.search(r"\nTime \d+\.\d s: imports \d+\.\d, .*; meanwhile: training 0\.0, ", shown)


def test_narrow_terminal_has_narrow_tables(
    finished: Finished, uploaded: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.system.terminal.columns", lambda stream: 50)
    lines = search_again(monkeypatch, finished, uploaded).stdout.splitlines()
    assert max(len(line) for line in lines if not line.startswith(("  insects-", "  /"))) <= 50
    best, params = finished.answer["best"], finished.answer["best"]["params"]
    head = lines.index("  # depth width      lr batch  epoch   loss   acc.")
    assert lines[head + 1].split() == [
        str(best["number"]),
        str(params["depth"]),
        str(params["width"]),
        f"{params['lr']:.2g}",
        str(params["batch_size"]),
        str(best["best_epoch"]),
        f"{best['valid_loss']:.4f}",
        f"{best['valid_accuracy']:.4f}",
    ]
    assert [line[-34:] for line in lines if "majority" in line] == [
        f"{'majority':>20}{majority(finished)['loss']:>7.4f}{majority(finished)['accuracy']:>7.4f}"
    ]


def majority(finished: Finished) -> dict[str, float]:
    """The scores of the majority class."""
    scores: dict[str, float] = finished.answer["final"]["baselines"][0]
    return scores


def test_search_with_nothing_left_knows_that_the_model_was_deleted_in_mlflow(
    finished: Finished, uploaded: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = uploaded.upload_record()
    assert record is not None
    uploaded.save_upload_record(replace(record, version=None))
    done = search_again(monkeypatch, finished, uploaded)
    chosen = finished.answer["final"]["chosen"]
    assert f"The model of finalist {chosen} was deleted in MLflow and is not registered again.\n" in done.stdout


def test_reader_that_leaves_does_not_end_the_search(finished: Finished, uploaded: StudyFolder) -> None:
    record = uploaded.upload_record()
    (uploaded.path / "uploaded.json").unlink()
    words = [str(BIN / "insects-search"), *finished.arguments, "--store", str(store_of(uploaded))]
    line = f"{shlex.join(words)} 2>&1 | head -n 1"
    shown = subprocess.run(["bash", "-c", line], check=True, capture_output=True, text=True)
    assert shown.stdout.startswith("Demo: ")
    assert shown.stdout.count("\n") == 1
    assert uploaded.upload_record() == record


def other_result(folder: StudyFolder) -> None:
    result = folder.load(0)
    assert result is not None
    folder.save(replace(result, best_epoch=1 + result.best_epoch % result.epochs))


LEFT: dict[str, Callable[[StudyFolder], object]] = {
    "no database": lambda folder: (store_of(folder) / "mlflow.db").unlink(),
    "no journal": lambda folder: (store_of(folder) / "optuna.journal").unlink(),
    "no record": lambda folder: (folder.path / "uploaded.json").unlink(),
    "damaged record": lambda folder: (folder.path / "uploaded.json").write_bytes(b"{"),
    "another result": other_result,
}


@pytest.mark.parametrize("change", LEFT)
def test_search_asks_mlflow_again_when_the_store_has_changed(
    change: str, finished: Finished, uploaded: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    LEFT[change](uploaded)
    done = search_again(monkeypatch, finished, uploaded)
    assert done.exit_code == 0, done.stderr
    assert f"Not all is in MLflow yet: {RefusingProcess.REASON}\n" in done.stdout


def test_search_asks_mlflow_for_another_model_name(
    finished: Finished, uploaded: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = search_again(monkeypatch, finished, uploaded, "--model-name", "moths")
    assert f"Not all is in MLflow yet: {RefusingProcess.REASON}\n" in done.stdout


def test_search_asks_another_mlflow(finished: Finished, uploaded: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    other = shutil.copy(store_of(uploaded) / "mlflow.db", store_of(uploaded) / "other.db")
    done = search_again(monkeypatch, finished, uploaded, "--tracking-uri", f"sqlite:///{other}")
    assert f"Not all is in MLflow yet: {RefusingProcess.REASON}\n" in done.stdout


def begin_anew(monkeypatch: pytest.MonkeyPatch, finished: Finished, folder: StudyFolder, *arguments: str) -> list[str]:
    """Begin a study beside the finished one, which is renamed to `old`, and return its messages."""
    folder.path.rename(folder.path.with_name("old"))
    done = search_again(monkeypatch, finished, folder, "--timeout", "1e-9", *arguments)
    assert done.exit_code == 0, done.stderr
    return done.stderr.splitlines()


def set_version(folder: StudyFolder, version: int) -> None:
    path = folder.path / "study.json"
    study = json.loads(path.read_bytes())
    study["fingerprint"]["results_version"] = version
    path.write_text(json.dumps(study))


def test_new_study_that_differs_in_versions_only_says_so(
    finished: Finished, uploaded: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_version(uploaded, 0)
    (uploaded.path.with_name("damaged")).mkdir()
    (uploaded.path.with_name("damaged") / "study.json").write_bytes(b"{")
    note = "Study old has these settings under other versions, this is a new one: results_version was 0, now 2"
    assert begin_anew(monkeypatch, finished, uploaded)[0] == note


@pytest.mark.parametrize(("version", "arguments"), [(0, ("--seed", "1")), (2, ())], ids=["other seed", "no difference"])
def test_new_study_that_differs_otherwise_or_not_at_all_says_nothing(
    version: int,
    arguments: tuple[str, ...],
    finished: Finished,
    uploaded: StudyFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_version(uploaded, version)
    messages = begin_anew(monkeypatch, finished, uploaded, *arguments)
    assert not [line for line in messages if "versions" in line]


def test_optuna_mlflow_and_the_best_agree_on_the_trials_when_fewer_are_asked_for(
    finished: Finished, uploaded: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(uploaded)
    (store / "optuna.journal").unlink()
    uploaded.file(11).unlink()  # a trial that did not end, below others that did
    done = search_again(monkeypatch, finished, uploaded, "--trials", "1", "--json")
    assert done.exit_code == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["study_digest"] == finished.answer["study_digest"]
    assert answer["best"]["number"] == finished.answer["best"]["number"]
    trials = (optuna_trials(path / "optuna.journal", uploaded.name) for path in (store, finished.store))
    assert next(trials) == next(trials)
