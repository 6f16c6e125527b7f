"""Training in other processes: what they check, the rows as files, and the way out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from insects.devices import Choice
from insects.machine import DeviceRequest, canary_digest, machine_of, report
from insects.params import Recipe
from insects.remote import Admission, NotAdmittedError, RowFiles, admit, train_from_files
from insects.tasks import StudyRows, run_task
from insects.training import TrainingInterrupted
from insects.trial import TrialTask
from tests.support.studies import PARAMS, builtin_data

CHOICE = Choice("cpu", "compiled", "as asked")
REQUEST = DeviceRequest("cpu", "compiled", 0.0)
TASK = TrialTask(0, PARAMS, Recipe(3), 0, np.full(3, np.inf), "compiled", "cpu")
ENDLESS = TrialTask(0, PARAMS, Recipe(1_000_000), 0, np.full(1_000_000, np.inf), "compiled", "cpu")


def admission() -> Admission:
    return Admission(REQUEST, machine_of(CHOICE), canary_digest(CHOICE))


def test_report_names_what_the_fingerprint_of_a_study_does() -> None:
    machine = report(REQUEST).machine
    assert machine.choice.engine == "compiled"
    assert [name for name, _ in machine.libraries] == ["numba", "numpy", "torch"]
    assert dict(machine.libraries)["numpy"] == np.__version__


def test_machine_of_another_kind_is_not_admitted() -> None:
    machine, cuda = machine_of(CHOICE), Choice("cuda", "torch", "as asked")
    for other, reason in (
        (replace(machine, processor="another"), f"its processor is {machine.processor}, the study's another"),
        (replace(machine, libraries=(("numpy", "0.1"),)), f"its numpy is {np.__version__}, the study's 0.1"),
        (
            replace(machine, choice=cuda),
            "its device is cpu, the study's cuda; its engine is compiled, the study's torch",
        ),
    ):
        with pytest.raises(NotAdmittedError) as error:
            admit(Admission(REQUEST, other, canary_digest(CHOICE)))
        assert str(error.value) == reason


def test_machine_with_another_canary_is_not_admitted() -> None:
    with pytest.raises(NotAdmittedError, match="its canary trial gives other bits"):
        admit(Admission(REQUEST, machine_of(CHOICE), "ab" * 32))
    assert admit(admission()).machine == machine_of(CHOICE)


def test_rows_from_files_are_the_rows_and_give_the_same_bits(tmp_path: Path) -> None:
    rows = StudyRows(builtin_data().splits, builtin_data().fold_rows.draw(3))
    files = RowFiles.write(rows, tmp_path)
    assert files.rows.splits.train_x.shape == (0, 2)
    loaded = files.load()
    np.testing.assert_array_equal(loaded.folds, rows.folds)
    np.testing.assert_array_equal(loaded.splits.train_x, rows.splits.train_x)
    assert loaded.splits.encoder == rows.splits.encoder
    assert loaded.splits.train_x.flags.writeable  # else the engine would copy it for every trial
    result, here = train_from_files(TASK, files, admission()), run_task(TASK, rows, np.zeros(1, np.uint8))
    np.testing.assert_array_equal(result.history, here.history)  # type: ignore[union-attr] # a trial
    np.testing.assert_array_equal(result.weights, here.weights)  # type: ignore[union-attr]


def test_training_ends_when_it_is_not_wanted_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = RowFiles.write(StudyRows(builtin_data().splits), tmp_path)
    looked: list[bool] = []
    exists = Path.exists

    def removed_at_the_second_look(path: Path) -> bool:
        if path == files.wanted:
            looked.append(exists(path))
            path.unlink(missing_ok=True)
            return looked[-1]
        return exists(path)

    monkeypatch.setattr(Path, "exists", removed_at_the_second_look)
    with pytest.raises(TrainingInterrupted):
        train_from_files(ENDLESS, files, admission())
    assert looked[:2] == [True, False]
    with pytest.raises(TrainingInterrupted, match="the search has ended"):
        train_from_files(TASK, files, admission())
