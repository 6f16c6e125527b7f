"""Optuna's journal: finished trials only, in order, whatever the file held before."""

from __future__ import annotations

import errno
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from insects.errors import StoreError
from insects.params import TrialParams
from search.study.journal import OptunaJournal, _JournalFile
from tests.support.studies import PARAMS, SPACE, a_failure, a_result, optuna_trials

UNREADABLE = (
    r"^cannot read .*/optuna\.journal: .*; move the file away and run the same command again, "
    "which writes it anew from the results$"
)


def a_journal(
    path: Path, study: str = "s", configs: tuple[TrialParams, ...] = (), fingerprint: str = "ab", finished: int = 100
) -> OptunaJournal:
    return OptunaJournal(path / "optuna.journal", study, fingerprint, finished, SPACE, configs)


def opened(path: Path) -> JournalStorage:
    return JournalStorage(JournalFileBackend(str(path / "optuna.journal")))


def exported(path: Path) -> optuna.Study:
    """The study as optuna-dashboard reads it."""
    return optuna.load_study(study_name="s", storage=opened(path))


def test_trials_come_back_with_state_params_values_and_curve(tmp_path: Path) -> None:
    journal = a_journal(tmp_path)
    journal.add(a_result(0, losses=(2.0, 1.0, 1.5)))
    journal.add(a_result(1, losses=(3.0, 2.5), state="pruned", reason="pruned: …"))
    journal.add(a_failure(2))
    journal.add(a_result(3, losses=(math.nan,), reason="diverged: …"))
    trials = optuna_trials(tmp_path / "optuna.journal")
    assert [trial["state"] for trial in trials] == ["COMPLETE", "PRUNED", "FAIL", "COMPLETE"]
    assert [trial["values"] for trial in trials] == [[1.0], [2.5], None, [math.inf]]
    assert trials[0]["intermediate"] == {1: 2.0, 2: 1.0, 3: 1.5}
    assert np.isnan(trials[3]["intermediate"][1])
    assert trials[0]["params"] == {"depth": 1, "width": 8, "lr": 0.01, "batch_size": 32}
    assert trials[2]["user"]["reason"] == "RuntimeError: boom"


def test_objective_of_another_metric_is_one_minus_it_under_its_name(tmp_path: Path) -> None:
    for number, losses in enumerate([(0.5, 0.25, 0.375), (0.125, 0.75)]):
        OptunaJournal(tmp_path / "optuna.journal", "s", "ab", 100, SPACE, metric="roc-auc").add(
            a_result(number, losses=losses, metric="roc-auc")
        )
    trials = optuna_trials(tmp_path / "optuna.journal")
    assert [trial["values"] for trial in trials] == [[0.25], [0.125]]
    assert trials[0]["intermediate"] == {1: 0.5, 2: 0.25, 3: 0.375}
    assert trials[0]["user"] == {"best_epoch": 2, "valid_loss": 0.5, "valid_accuracy": 0.5, "reason": ""}
    assert exported(tmp_path).metric_names == ["1 - validation ROC AUC"]
    assert exported(tmp_path).best_trial.number == 1


def test_best_trial_of_optuna_is_the_lowest_loss_with_ties_to_the_lower_number(tmp_path: Path) -> None:
    journal = a_journal(tmp_path)
    for number, loss in enumerate([2.0, 1.0, 1.0, math.nan]):
        journal.add(a_result(number, losses=(loss,)))
    journal.add(a_result(4, losses=(0.5,), state="pruned"))
    assert exported(tmp_path).best_trial.number == 1


def test_configurations_outside_the_space_are_written_like_any_other(tmp_path: Path) -> None:
    outside = TrialParams(depth=7, width=999, lr=3.0, batch_size=5)
    a_journal(tmp_path, configs=(outside,)).add(a_result(0, outside))
    assert optuna_trials(tmp_path / "optuna.journal")[0]["params"]["width"] == 999
    assert a_journal(tmp_path, configs=(outside,)).count == 1


def test_trial_that_the_journal_has_is_skipped(tmp_path: Path) -> None:
    journal = a_journal(tmp_path)
    journal.add(a_result(0))
    content = (tmp_path / "optuna.journal").read_bytes()
    journal.add(a_result(0, losses=(7.0,)))
    assert (tmp_path / "optuna.journal").read_bytes() == content
    again = a_journal(tmp_path, finished=2)
    again.add(a_result(0))
    again.add(a_result(1))
    assert again.count == 2
    assert [trial["number"] for trial in optuna_trials(tmp_path / "optuna.journal")] == [0, 1]


def test_result_that_cannot_be_written_is_an_error_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    journal = a_journal(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(_JournalFile, "append_logs", full)
        with pytest.raises(StoreError) as error:
            journal.add(a_result(0))
    path = tmp_path / "optuna.journal"
    assert str(error.value) == (
        f"cannot write {path}: No space left on device; finished trials are kept: make room, then run the same command "
        "again"
    )
    journal.add(a_result(0))
    assert [trial["number"] for trial in optuna_trials(path)] == [0]


def test_lines_that_cannot_be_synced_are_an_error_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: int) -> NoReturn:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    journal = a_journal(tmp_path)
    journal.add(a_result(0))
    journal.sync()
    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(
        StoreError, match=r"^cannot write .*/optuna\.journal: Input/output error; finished trials are kept"
    ):
        journal.sync()


def test_opening_a_study_again_writes_nothing(tmp_path: Path) -> None:
    a_journal(tmp_path).add(a_result(0))
    content = (tmp_path / "optuna.journal").read_bytes()
    assert a_journal(tmp_path).count == 1
    assert (tmp_path / "optuna.journal").read_bytes() == content


def test_studies_share_a_journal(tmp_path: Path) -> None:
    one, other = a_journal(tmp_path, "one"), a_journal(tmp_path, "other")
    one.add(a_result(0))
    other.add(a_result(0, losses=(7.0,)))
    one.add(a_result(1))
    assert (a_journal(tmp_path, "one").count, a_journal(tmp_path, "other").count) == (2, 1)


def test_metric_of_the_study_has_a_name(tmp_path: Path) -> None:
    a_journal(tmp_path).add(a_result(0))
    assert exported(tmp_path).metric_names == ["validation loss"]
    assert exported(tmp_path).direction == optuna.study.StudyDirection.MINIMIZE
    assert exported(tmp_path).user_attrs == {"fingerprint": "ab"}


def test_study_of_another_fingerprint_is_replaced(tmp_path: Path) -> None:
    before = a_journal(tmp_path, fingerprint="ab")
    for number in range(3):
        before.add(a_result(number))
    now = a_journal(tmp_path, fingerprint="cd", finished=3)
    assert now.count == 0
    now.add(a_result(0, losses=(7.0,)))
    assert [trial["values"] for trial in optuna_trials(tmp_path / "optuna.journal")] == [[7.0]]
    assert exported(tmp_path).user_attrs == {"fingerprint": "cd"}
    assert exported(tmp_path).metric_names == ["validation loss"]


def test_study_with_more_trials_than_results_is_replaced(tmp_path: Path) -> None:
    before = a_journal(tmp_path)
    for number in range(3):
        before.add(a_result(number))
    assert a_journal(tmp_path, finished=3).count == 3
    assert a_journal(tmp_path, finished=2).count == 0
    assert optuna_trials(tmp_path / "optuna.journal") == []
    assert exported(tmp_path).metric_names == ["validation loss"]


def test_only_the_study_of_that_name_is_replaced(tmp_path: Path) -> None:
    a_journal(tmp_path, "other").add(a_result(0))
    a_journal(tmp_path, fingerprint="ab").add(a_result(0))
    a_journal(tmp_path, fingerprint="cd")
    assert (a_journal(tmp_path, "other").count, a_journal(tmp_path, fingerprint="cd").count) == (1, 0)


def test_study_of_another_fingerprint_without_a_trial_becomes_this_one(tmp_path: Path) -> None:
    a_journal(tmp_path, fingerprint="ab")  # the process was killed before its first trial
    a_journal(tmp_path, fingerprint="cd").add(a_result(0))
    assert a_journal(tmp_path, fingerprint="cd").count == 1


def test_study_that_another_program_created_is_replaced(tmp_path: Path) -> None:
    optuna.create_study(study_name="s", storage=opened(tmp_path)).add_trial(
        optuna.trial.create_trial(value=1.0, params={}, distributions={})
    )
    assert a_journal(tmp_path).count == 0
    assert optuna_trials(tmp_path / "optuna.journal") == []


def test_study_without_its_fingerprint_is_completed(tmp_path: Path) -> None:
    optuna.create_study(study_name="s", storage=opened(tmp_path))  # the process was killed between the two writes
    a_journal(tmp_path).add(a_result(0))
    assert a_journal(tmp_path).count == 1
    assert exported(tmp_path).metric_names == ["validation loss"]


def test_study_with_a_running_trial_of_another_program_is_replaced(tmp_path: Path) -> None:
    a_journal(tmp_path).add(a_result(0))
    exported(tmp_path).ask()
    journal = a_journal(tmp_path, finished=1)
    journal.add(a_result(0))
    assert [trial["state"] for trial in optuna_trials(tmp_path / "optuna.journal")] == ["COMPLETE"]


@pytest.mark.parametrize("torn", [b"{", b'{"op_code": 4, "worker_', b"\x00\x00\x00"])
def test_torn_last_line_is_cut_and_the_journal_goes_on(tmp_path: Path, torn: bytes) -> None:
    a_journal(tmp_path).add(a_result(0))
    with open(tmp_path / "optuna.journal", "ab") as file:
        file.write(torn)
    journal = a_journal(tmp_path)
    assert journal.count == 1
    journal.add(a_result(1))
    assert [trial["number"] for trial in optuna_trials(tmp_path / "optuna.journal")] == [0, 1]


@pytest.mark.parametrize("torn", [b"{", b'{"op_code": 4, "worker_', b"\x00\x00\x00"])
def test_last_line_that_another_process_tears_meanwhile_is_cut_too(tmp_path: Path, torn: bytes) -> None:
    journal = a_journal(tmp_path)
    journal.add(a_result(0))
    with open(tmp_path / "optuna.journal", "ab") as file:  # its disk was full
        file.write(torn)
    journal.add(a_result(1))
    journal.add(a_result(2))
    assert [trial["number"] for trial in optuna_trials(tmp_path / "optuna.journal")] == [0, 1, 2]
    assert a_journal(tmp_path).count == 3


@pytest.mark.parametrize("damage", [b"garbage\n", b'{"op_code": 99, "worker_id": "x"}\n', b"[]\n", b"{}\n", b"3\n"])
def test_journal_that_is_damaged_meanwhile_is_an_error_that_says_what_to_do(tmp_path: Path, damage: bytes) -> None:
    journal = a_journal(tmp_path)
    journal.add(a_result(0))
    with open(tmp_path / "optuna.journal", "ab") as file:
        file.write(damage)
    with pytest.raises(StoreError, match=UNREADABLE):
        journal.add(a_result(1))


@pytest.mark.parametrize(
    "damage", [b"garbage\n", b'{"op_code": 99, "worker_id": "x"}\n', b"[]\n", b"{}\n", b"\xff\xfe\n", b"3\n"]
)
def test_damaged_journal_is_an_error_that_says_what_to_do(tmp_path: Path, damage: bytes) -> None:
    a_journal(tmp_path).add(a_result(0))
    journal = tmp_path / "optuna.journal"
    journal.write_bytes(damage + journal.read_bytes())
    with pytest.raises(StoreError, match=UNREADABLE):
        a_journal(tmp_path)


def test_journal_that_is_a_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "optuna.journal").mkdir()
    with pytest.raises(StoreError, match=UNREADABLE):
        a_journal(tmp_path)


def test_lock_of_a_killed_process_does_not_stall(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from search.study.journal import _FlockJournalLock\n"
        "_FlockJournalLock(Path(sys.argv[1])).acquire(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tmp_path / "optuna.journal"
    assert subprocess.run([sys.executable, "-c", script, str(path)], check=False).returncode == -9
    journal = a_journal(tmp_path)
    journal.add(a_result(0, PARAMS))
    assert journal.count == 1
