"""Optuna's storage: finished trials only, each in one write, in order."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from insects.errors import StoreError, StudyError
from insects.params import TrialParams
from search.study.journal import OptunaJournal
from tests.support.studies import PARAMS, SPACE, a_failure, a_result, optuna_trials


def a_ledger(
    path: Path, study: str = "s", configs: tuple[TrialParams, ...] = (), identity: str = "ab"
) -> OptunaJournal:
    return OptunaJournal(path / "optuna.journal", study, identity, SPACE, configs)


def opened(path: Path) -> JournalStorage:
    return JournalStorage(JournalFileBackend(str(path / "optuna.journal")))


def test_trials_come_back_with_state_params_values_and_curve(tmp_path: Path) -> None:
    ledger = a_ledger(tmp_path)
    ledger.tell(a_result(0, losses=(2.0, 1.0, 1.5)))
    ledger.tell(a_result(1, losses=(3.0, 2.5), state="pruned", reason="pruned: …"))
    ledger.tell(a_failure(2))
    ledger.tell(a_result(3, losses=(math.nan,), reason="diverged: …"))
    trials = optuna_trials(tmp_path / "optuna.journal")
    assert [trial["state"] for trial in trials] == ["COMPLETE", "PRUNED", "FAIL", "COMPLETE"]
    assert [trial["values"] for trial in trials] == [[1.0], [2.5], None, [math.inf]]
    assert trials[0]["intermediate"] == {1: 2.0, 2: 1.0, 3: 1.5}
    assert np.isnan(trials[3]["intermediate"][1])
    assert trials[0]["params"] == {"depth": 1, "width": 8, "lr": 0.01, "batch_size": 32}
    assert trials[2]["user"]["reason"] == "RuntimeError: boom"


def test_best_trial_of_optuna_is_the_lowest_loss_with_ties_to_the_lower_number(tmp_path: Path) -> None:
    ledger = a_ledger(tmp_path)
    for number, loss in enumerate([2.0, 1.0, 1.0, math.nan]):
        ledger.tell(a_result(number, losses=(loss,)))
    ledger.tell(a_result(4, losses=(0.5,), state="pruned"))
    assert optuna.load_study(study_name="s", storage=opened(tmp_path)).best_trial.number == 1


def test_configurations_outside_the_space_are_told_like_any_other(tmp_path: Path) -> None:
    outside = TrialParams(depth=7, width=999, lr=3.0, batch_size=5)
    a_ledger(tmp_path, configs=(outside,)).tell(a_result(0, outside))
    assert optuna_trials(tmp_path / "optuna.journal")[0]["params"]["width"] == 999
    assert a_ledger(tmp_path, configs=(outside,)).told == 1


def test_only_the_next_trial_can_be_told(tmp_path: Path) -> None:
    ledger = a_ledger(tmp_path)
    with pytest.raises(ValueError, match="trial 0 is next, found 1"):
        ledger.tell(a_result(1))
    assert ledger.told == 0


def test_studies_share_a_journal(tmp_path: Path) -> None:
    one, other = a_ledger(tmp_path, "one"), a_ledger(tmp_path, "other")
    one.tell(a_result(0))
    other.tell(a_result(0, losses=(7.0,)))
    one.tell(a_result(1))
    assert (a_ledger(tmp_path, "one").told, a_ledger(tmp_path, "other").told) == (2, 1)


def test_other_study_of_that_name_is_refused(tmp_path: Path) -> None:
    a_ledger(tmp_path, identity="ab").tell(a_result(0))
    assert a_ledger(tmp_path, identity="ab").told == 1
    message = (
        r"study s in .*optuna\.journal began with other data or settings, .* is gone: restore it, or choose another"
    )
    with pytest.raises(StudyError, match=message):
        a_ledger(tmp_path, identity="cd")


def test_study_without_a_trial_is_begun_anew(tmp_path: Path) -> None:
    a_ledger(tmp_path, identity="ab")  # killed before it had a folder
    a_ledger(tmp_path, identity="cd").tell(a_result(0))
    assert a_ledger(tmp_path, identity="cd").told == 1


def test_study_that_another_program_began_is_refused(tmp_path: Path) -> None:
    optuna.create_study(study_name="s", storage=opened(tmp_path)).add_trial(
        optuna.trial.create_trial(value=1.0, params={}, distributions={})
    )
    with pytest.raises(StudyError, match="choose another --study"):
        a_ledger(tmp_path)


def test_study_that_was_begun_without_its_identity_is_completed(tmp_path: Path) -> None:
    optuna.create_study(study_name="s", storage=opened(tmp_path))  # killed between the two writes
    a_ledger(tmp_path, identity="ab").tell(a_result(0))
    with pytest.raises(StudyError, match="choose another --study"):
        a_ledger(tmp_path, identity="cd")


def test_another_program_that_tells_meanwhile_is_noticed(tmp_path: Path) -> None:
    one, other = a_ledger(tmp_path), a_ledger(tmp_path)
    other.tell(a_result(0))
    with pytest.raises(StudyError, match=r"another program told trial 0 in .*: choose another --study"):
        one.tell(a_result(0))


def test_running_trial_of_another_program_is_refused(tmp_path: Path) -> None:
    a_ledger(tmp_path).tell(a_result(0))
    optuna.load_study(study_name="s", storage=opened(tmp_path)).ask()
    with pytest.raises(StudyError, match=r"trial 1 of study s in .* is not finished, so another program is writing"):
        a_ledger(tmp_path)


@pytest.mark.parametrize("torn", [b"{", b'{"op_code": 4, "worker_', b"\x00\x00\x00"])
def test_torn_tail_is_cut_and_the_journal_goes_on(tmp_path: Path, torn: bytes) -> None:
    a_ledger(tmp_path).tell(a_result(0))
    with open(tmp_path / "optuna.journal", "ab") as file:
        file.write(torn)
    ledger = a_ledger(tmp_path)
    assert ledger.told == 1
    ledger.tell(a_result(1))
    assert [trial["number"] for trial in optuna_trials(tmp_path / "optuna.journal")] == [0, 1]


@pytest.mark.parametrize("torn", [b"{", b'{"op_code": 4, "worker_', b"\x00\x00\x00"])
def test_tail_that_another_studys_process_tears_meanwhile_is_cut_too(tmp_path: Path, torn: bytes) -> None:
    ledger = a_ledger(tmp_path)
    ledger.tell(a_result(0))
    with open(tmp_path / "optuna.journal", "ab") as file:  # it had no room for more
        file.write(torn)
    ledger.tell(a_result(1))
    ledger.tell(a_result(2))
    assert [trial["number"] for trial in optuna_trials(tmp_path / "optuna.journal")] == [0, 1, 2]
    assert a_ledger(tmp_path).told == 3


@pytest.mark.parametrize("damage", [b"garbage\n", b'{"op_code": 99, "worker_id": "x"}\n', b"[]\n", b"{}\n", b"3\n"])
def test_damage_that_is_done_to_the_journal_meanwhile_is_an_error_with_a_way_out(tmp_path: Path, damage: bytes) -> None:
    ledger = a_ledger(tmp_path)
    ledger.tell(a_result(0))
    with open(tmp_path / "optuna.journal", "ab") as file:
        file.write(damage)
    with pytest.raises(StoreError, match=r"cannot read .*optuna\.journal: .* written anew from the results"):
        ledger.tell(a_result(1))


@pytest.mark.parametrize(
    "damage", [b"garbage\n", b'{"op_code": 99, "worker_id": "x"}\n', b"[]\n", b"{}\n", b"\xff\xfe\n", b"3\n"]
)
def test_damaged_journal_is_an_error_with_a_way_out(tmp_path: Path, damage: bytes) -> None:
    a_ledger(tmp_path).tell(a_result(0))
    journal = tmp_path / "optuna.journal"
    journal.write_bytes(damage + journal.read_bytes())
    with pytest.raises(StoreError, match=r"cannot read .*optuna\.journal: .* written anew from the results"):
        a_ledger(tmp_path)


def test_journal_that_is_a_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "optuna.journal").mkdir()
    with pytest.raises(StoreError, match=r"cannot read .*optuna\.journal"):
        a_ledger(tmp_path)


def test_lock_of_a_killed_process_does_not_stall(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from search import ledger\n"
        "ledger._FileLock(Path(sys.argv[1])).acquire(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tmp_path / "optuna.journal"
    assert subprocess.run([sys.executable, "-c", script, str(path)], check=False).returncode == -9
    ledger = a_ledger(tmp_path)
    ledger.tell(a_result(0, PARAMS))
    assert ledger.told == 1
