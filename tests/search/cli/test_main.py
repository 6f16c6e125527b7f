"""`insects-search`: what it prints, how a study goes on, how a search ends, mistakes in its input."""

from __future__ import annotations

import json
import os
import shutil
import signal
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from insects.trial import TrialResult
from search.store.study_folder import StudyFolder
from search.study.config import study_digest
from search.study.final import finalists_in
from tests.support.commands import SMALL, Finished, RefusingProcess, command, contents, invoke, searching
from tests.support.studies import PARAMS, UNTRAINABLE, as_dict, optuna_trials

TRIAL_KEYS = {"number", "state", "params", "valid_accuracy", "valid_loss", "best_epoch", "epochs", "seconds"}
MAIN_THREAD = ("imports", "sampling", "storing", "waiting", "finishing")
MINE = (*SMALL, "--study", "mine", "--workers", "1")


def search_json(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> dict[str, Any]:
    done = invoke(monkeypatch, "search", *arguments, "--json")
    assert done.exit_code == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture(scope="module")
def searched_once(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> tuple[Path, dict[str, Any]]:
    """A store with the study `mine`, and the object that its search printed."""
    store = tmp_path_factory.mktemp("mine") / "store"
    store.mkdir()
    shutil.copy(empty_database, store)
    with pytest.MonkeyPatch.context() as patch:
        return store, search_json(patch, *MINE, "--store", str(store))


@pytest.fixture
def first(searched_once: tuple[Path, dict[str, Any]]) -> dict[str, Any]:
    return searched_once[1]


@pytest.fixture
def mine(searched_once: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    """A copy of the store with the study `mine`."""
    return Path(shutil.copytree(searched_once[0], tmp_path / "store"))


@pytest.mark.parametrize("name", ["insects-search", "insects-evaluate"])
def test_help_and_version_of_the_installed_commands(name: str) -> None:
    shown = command(name, "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert f"    {name}" in shown.stdout
    version = command(name, "--version").stdout
    assert version == f"{name}, version {metadata.version('insects-search')}\n"


@pytest.mark.parametrize("name", ["insects-search", "insects-describe"])
def test_terminal_without_a_character_shows_a_question_mark(name: str) -> None:
    shown = command(name, "--help", PYTHONIOENCODING="latin-1")  # it has no "…"
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "--features A,B,?" in shown.stdout


def test_json_is_one_object_with_the_documented_keys(finished: Finished) -> None:
    answer = finished.answer
    assert finished.stdout.count("\n") == 1
    assert answer.keys() >= {"study", "study_digest", "device", "engine", "trials", "best", "model", "seconds"}
    assert (answer["device"], answer["engine"]) == ("cpu", "compiled")
    assert [trial["number"] for trial in answer["trials"]] == list(range(14))
    assert all(trial.keys() == TRIAL_KEYS for trial in answer["trials"])
    assert answer["best"] in answer["trials"]
    complete = [trial for trial in answer["trials"] if trial["state"] == "complete" and trial["best_epoch"]]
    assert answer["best"] == min(complete, key=lambda trial: (trial["valid_loss"], trial["number"]))
    final = answer["final"]
    ranked = sorted(complete, key=lambda trial: (trial["valid_loss"], trial["number"]))
    assert [finalist["number"] for finalist in final["finalists"]] == [trial["number"] for trial in ranked[:2]]
    chosen = min(final["finalists"], key=lambda finalist: finalist["loss"])
    assert (final["chosen"], final["members"], final["folds"]) == (chosen["number"], 2, 2)
    assert chosen.keys() == {"number", "params", "loss", "accuracy"}
    low, high = final["interval"]
    assert low < final["expected_accuracy"] < high
    assert [score["name"] for score in final["baselines"]] == ["majority", "logistic regression", "gradient boosting"]
    assert final["baselines"][2]["accuracy"] > 0.95
    assert answer["trials"][1]["valid_loss"] is None  # infinite
    results = [finished.folder.load(number) for number in range(14)]
    finalists = finalists_in(finished.folder)
    assert answer["study_digest"] == study_digest([result for result in results if result is not None], finalists)
    assert answer["upload_error"] is None


def test_seconds_of_the_main_thread_add_up(finished: Finished) -> None:
    seconds = finished.answer["seconds"]
    assert sum(seconds[name] for name in MAIN_THREAD) == pytest.approx(seconds["total"], rel=0.05)
    assert all(seconds[name] >= 0 for name in (*MAIN_THREAD, "training", "figures", "tracking"))


def test_progress_is_a_line_a_trial_when_stderr_is_no_terminal(finished: Finished) -> None:
    once_a_machine = ("Creating MLflow's database", "Compiling the training engine")
    first, *lines, final, last = [line for line in finished.stderr.splitlines() if not line.startswith(once_a_machine)]
    study = finished.answer["study"]
    assert first.startswith(f"Study {study}: compiled engine on the cpu (")
    assert last == "Uploading the remaining trials to MLflow and registering the best model"
    assert final == "Training the best trials again on folds"
    assert len(lines) == 14
    assert all(line.startswith("trial ") for line in lines)
    assert "14 of 14 done" in lines[-1]
    best = finished.answer["best"]
    assert f"best loss {best['valid_loss']:.4f} (trial {best['number']})" in lines[-1]
    assert "\r" not in finished.stderr


def test_optunas_best_trial_is_the_best_and_none_is_running(finished: Finished) -> None:
    trials = optuna_trials(finished.store / "optuna.journal", finished.answer["study"])
    assert {trial["state"] for trial in trials} == {"COMPLETE", "PRUNED", "FAIL"}
    complete = [trial for trial in trials if trial["state"] == "COMPLETE"]
    assert min(complete, key=lambda trial: trial["values"])["number"] == finished.answer["best"]["number"]


def strip(trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in trial.items() if key != "seconds"} for trial in trials]


def test_topping_up_keeps_the_first_trials_and_the_same_command_again_trains_none(
    mine: Path, first: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (*MINE, "--store", str(mine))
    more = search_json(monkeypatch, *arguments, "--trials", "8", "--workers", "2")
    assert strip(more["trials"][:6]) == strip(first["trials"])
    assert len(more["trials"]) == 8
    again = invoke(monkeypatch, "search", *arguments, "--trials", "7")
    assert again.exit_code == 0
    assert "Study mine: 8 trials (8 complete), 0 of them in this run" in again.stdout
    assert "All 8 trials were done already; go on with a larger --trials." in again.stdout
    assert f"insects-evaluate --best --store {mine}" in again.stdout
    runs = contents(mine, "mine")["runs"]
    finals = [name for name in runs if name.startswith("final-")]
    assert 2 <= len(finals) <= 4  # the finalists of six trials, and those of eight
    assert [len(found) for found in runs.values()] == [1] * (9 + len(finals))
    assert all(run["status"] == "FINISHED" for (run,) in runs.values())


@pytest.mark.parametrize("lost", ["optuna.journal", "trials/mine/0002.npz"])
def test_search_makes_a_lost_file_again(
    lost: str, mine: Path, first: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (mine / lost).unlink()
    again = search_json(monkeypatch, *MINE, "--store", str(mine), "--trials", "2")
    assert again["study_digest"] == first["study_digest"]
    assert len(optuna_trials(mine / "optuna.journal", "mine")) == 6


def test_progress_counts_no_damaged_result(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (mine / "trials" / "mine" / "0001.npz").write_bytes(b"damaged")
    again = invoke(monkeypatch, "search", *MINE, "--store", str(mine))
    (line,) = [line for line in again.stderr.splitlines() if line.startswith("trial 1 ")]
    assert "; 6 of 6 done, " in line


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--seed", "1"), "seed was 0, now 1"),
        (("--epochs", "4"), "epochs was 3, now 4"),
        (("--split-seed", "3"), "data digest was "),
    ],
    ids=["seed", "epochs", "data"],
)
def test_study_goes_on_with_its_first_settings_only(
    change: tuple[str, ...], message: str, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = invoke(monkeypatch, "search", *MINE, "--store", str(mine), *change, workers=RefusingProcess)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: study mine cannot go on with other settings: {message}")
    assert done.stderr.endswith(
        ": use what it began with, or start a new study with another --study (or without --study)\n"
    )


def test_study_that_is_being_searched_is_refused_with_the_holder_of_its_lock(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from search.system.lock import hold

    with hold(mine / "trials" / "mine" / "lock"):
        done = invoke(monkeypatch, "search", *MINE, "--store", str(mine), workers=RefusingProcess)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: study mine is being searched by process {os.getpid()} on ")
    assert done.stderr.endswith(": wait for it, or choose another --study\n")
    assert search_json(monkeypatch, *MINE, "--store", str(mine))["study"] == "mine"


def test_timeout_keeps_finished_trials_and_says_how_to_go_on(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = (*MINE, "--trials", "2", "--store", str(store), "--timeout", "1e-9")
    done = invoke(monkeypatch, "search", *arguments)
    assert done.exit_code == 0
    assert "Out of time after 0 of 2 trials: the same command goes on." in done.stdout
    assert "No trial ended with a finite loss: no model." in done.stdout
    assert len(search_json(monkeypatch, *arguments, "--timeout", "600")["trials"]) == 2


def test_table_and_store_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"{label},{value % 7},{value * 2}" for label in ("a b", "<i>") for value in range(30)]
    Path("my table #1%20?.csv").write_text("\n".join(["kind,x y,<b>", *rows]))
    arguments = ("--train", "my table #1%20?.csv", "--target", "kind", "--store", "a store #1 é", "--model-name", "m-1")
    done = invoke(monkeypatch, "search", *SMALL, "--trials", "2", *arguments)
    assert done.exit_code == 0, done.stderr
    assert "insects-evaluate --best --store 'a store #1 é'" in done.stdout  # it takes the model of the last search
    shown = invoke(monkeypatch, "evaluate", "--best", "--model-name", "m-1", "--store", "a store #1 é", "--json")
    assert shown.exit_code == 0, shown.stderr
    answer = json.loads(shown.stdout)
    assert answer["total"] == 6
    assert [row["name"] for row in answer["per_class"]] == ["<i>", "a b"]
    assert {path.name for path in tmp_path.iterdir()} == {"my table #1%20?.csv", "a store #1 é"}


INTERRUPTED = "Interrupted: finished trials are kept; the same command goes on from there."


def test_ctrl_c_ends_the_installed_command_and_keeps_finished_trials(store: Path) -> None:
    with searching(*MINE, "--trials", "100000", "--store", str(store), "--json") as process:
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate()
    assert (process.returncode, stdout) == (130, "")
    assert stderr.endswith(f"{INTERRUPTED}\n")
    assert (store / "trials" / "mine" / "0000.npz").exists()
    assert not list((store / "trials" / "mine").glob(".*"))


def test_sigterm_keeps_finished_trials(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = StudyFolder.save

    def save_and_terminate(folder: StudyFolder, *results: TrialResult) -> None:
        save(folder, *results)
        if results[0].number == 0:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(StudyFolder, "save", save_and_terminate)
    done = invoke(monkeypatch, "search", *MINE, "--trials", "100000", "--store", str(store), "--json")
    assert (done.exit_code, done.stdout) == (143, "")
    assert done.stderr.splitlines()[-1] == INTERRUPTED
    assert (store / "trials" / "mine" / "0000.npz").exists()
    assert contents(store, "mine")["runs"]["search mine"][0]["status"] == "KILLED"


def test_search_that_stops_at_ten_failures_uploads_their_tracebacks(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = store / "configs.json"
    configs.write_text(json.dumps([as_dict(UNTRAINABLE)] * 10 + [as_dict(PARAMS)] * 2))
    arguments = (*SMALL, "--trials", "12", "--configs", str(configs), "--store", str(store), "--study", "s")
    done = invoke(monkeypatch, "search", *arguments)
    assert done.exit_code == 1
    assert "Error: 10 trials in a row failed, the last (trial 9) with: " in done.stderr
    runs = contents(store, "s")["runs"]
    assert runs["search s"][0]["status"] == "FAILED"
    assert [list(runs[f"trial-{number:04d}"][0]["artifacts"]) for number in range(10)] == [["traceback.txt"]] * 10
    assert len(search_json(monkeypatch, *arguments)["trials"]) == 12
    assert contents(store, "s")["runs"]["search s"][0]["status"] == "FINISHED"


def test_study_whose_folder_was_deleted_begins_anew(
    mine: Path, first: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.tracking.client._ATTEMPTS", 1)
    shutil.rmtree(mine / "trials" / "mine")
    other = search_json(monkeypatch, *MINE, "--store", str(mine), "--trials", "2", "--epochs", "4")
    assert other["upload_error"].startswith(f"experiment mine at sqlite:///{mine / 'mlflow.db'} is not of this study, ")
    assert len(optuna_trials(mine / "optuna.journal", "mine")) == 2
    shutil.rmtree(mine / "trials" / "mine")
    same = search_json(monkeypatch, *MINE, "--store", str(mine), "--trials", "3")
    assert (same["upload_error"], strip(same["trials"])) == (None, strip(first["trials"][:3]))
    assert len(optuna_trials(mine / "optuna.journal", "mine")) == 3


def test_search_goes_on_without_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.tracking.client._ATTEMPTS", 1)
    away = ("--tracking-uri", "http://127.0.0.1:9")
    done = invoke(monkeypatch, "search", *SMALL, "--trials", "2", "--store", str(tmp_path), *away)
    assert done.exit_code == 0
    assert "Not all is in MLflow yet: MLflow at http://127.0.0.1:9 does not answer as it should" in done.stdout
    assert f"insects-search --sync --store {tmp_path} --tracking-uri http://127.0.0.1:9" in done.stdout
    assert "No model was registered." in done.stdout


def test_sync_of_an_empty_store_says_that_it_is_empty(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = invoke(monkeypatch, "search", "--sync", "--store", str(store))
    assert (done.exit_code, done.stdout) == (0, f"There is no study in {store}.\n")


def test_study_in_another_store_has_the_same_name_and_is_not_trained_again(
    untracked: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    done = invoke(monkeypatch, "search", *finished.arguments, "--store", "store", "--json", workers=RefusingProcess)
    assert done.exit_code == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (tmp_path / "store", answer["study"]) == (untracked, finished.answer["study"])
    assert answer["trials"] == finished.answer["trials"]  # with the seconds that each took
    assert not [line for line in done.stderr.splitlines() if line.startswith("trial ")]


BAD_INPUT = {
    "file missing": ("--train none.csv", "there is no file 'none.csv'; check the path"),
    "file is a folder": ("--train .", "'.' is a folder; give the table file in it"),
    "no label column": (
        "--train t.csv --target species",
        "t.csv has no label column 'species', its columns are 'labels', 'a', 'b'; choose one of them (--target)",
    ),
    "no such feature": (
        "--train t.csv --features a,c",
        "t.csv has no input column 'c', its columns are 'labels', 'a', 'b'; choose one of them (--features)",
    ),
    "feature is text": (
        "--train text.csv",
        "text.csv: a column must hold numbers or up to 100 different texts, found 'a' (288 different texts, 78 % "
        "numbers); correct the cells, or leave out a (--drop)",
    ),
    "one class": (
        "--train one.csv",
        "one.csv: a search needs at least two classes, found only 'x'; choose another label column (--target)",
    ),
    "too few rows": (
        "--train few.csv",
        "few.csv: a class needs at least 3 rows to be split into training, validation and test, 'y' has 1; add rows, "
        "or leave out 1 class with 1 row (--drop-rare-classes)",
    ),
    "test file missing": ("--train t.csv --test none.csv", "there is no file 'none.csv'; check the path"),
    "test file of other columns": (
        "--train t.csv --test one_column.csv",
        "one_column.csv lacks column 'b' of the model; its columns are 'labels', 'a'; add what is missing",
    ),
    "configs missing": (
        "--configs none.json",
        "cannot read none.json: No such file or directory; --configs takes a JSON file",
    ),
    "configs no list": (
        "--configs bad.json",
        'bad.json must hold a list like [{{"depth": 2, "width": 64, "lr": 0.001, "batch_size": 4}}]',
    ),
    "device cuda": (
        "--device cuda",
        "device cuda is not available here (found: cpu); choose one of these, or auto (--device)",
    ),
    "compiled on mps": (
        "--device mps --engine compiled",
        "the compiled engine trains on the cpu only, found device mps; choose the torch engine (--engine)",
    ),
    "store with an escape in its path": (
        "--store a%20b",
        "the path of a store must hold neither % nor ?, found {folder}/a%20b: choose another --store",
    ),
    "store in a file": ("--store t.csv/in", "cannot read {folder}/t.csv/in: Not a directory; choose another --store"),
}


@pytest.mark.parametrize("kind", BAD_INPUT)
def test_bad_input_is_one_line_and_exit_1(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"{label},{value},{value * 2}" for label in "xy" for value in range(20)]
    Path("t.csv").write_text("\n".join(["labels,a,b", *rows]))
    half = [f"{'xy'[n % 2]},{n if n % 5 else f'text {n}'},{n % 7}" for n in range(400)]
    Path("text.csv").write_text("\n".join(["labels,a,b", *half]))
    Path("one.csv").write_text("\n".join(["labels,a,b", *rows[:20]]))
    Path("few.csv").write_text("\n".join(["labels,a,b", *rows[:21]]))
    Path("one_column.csv").write_text("labels,a\nx,1\n")
    Path("bad.json").write_text('{"depth": 1}')
    line, message = BAD_INPUT[kind]
    done = invoke(monkeypatch, "search", *SMALL, *line.split(), workers=RefusingProcess)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == f"Error: {message.format(folder=tmp_path)}\n"
    assert not Path("mlruns").exists()


def test_bad_input_of_the_installed_command_is_one_line_and_exit_1(tmp_path: Path) -> None:
    done = command("insects-search", "--train", "none.csv", cwd=tmp_path)
    expected = (1, "", "Error: there is no file 'none.csv'; check the path\n")
    assert (done.returncode, done.stdout, done.stderr) == expected


def test_read_only_store_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("search.system.files.Path.mkdir", refused)
    done = invoke(monkeypatch, "search", *SMALL, "--store", str(tmp_path / "store"), workers=RefusingProcess)
    monkeypatch.undo()
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: cannot create {tmp_path / 'store' / 'trials'}")
    assert done.stderr.endswith("Permission denied; choose another --store\n")
