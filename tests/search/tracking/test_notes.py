"""Descriptions on MLflow's pages: the best trials first, the test accuracy where it is of the study's model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from insects.params import TrialParams
from search.store.study_folder import StudyFolder, UploadRecord
from search.study.config import study_digest
from search.tracking.notes import markdown, study_note
from search.tracking.run_values import best_so_far_metrics
from tests.search.reports.test_report import a_study, an_evaluation, various
from tests.support.studies import PARAMS, a_result

HEAD = "| trial | depth | width | lr | batch size | loss | accuracy |"


def rows(note: str) -> list[str]:
    return [line for line in note.splitlines() if line.startswith("|")]


def uploaded(folder: StudyFolder, version: str) -> None:
    folder.save_upload_record(UploadRecord("", study_digest(folder.results_without_weights()), "m", version))


def test_the_best_ten_trials_are_listed_best_first(tmp_path: Path) -> None:
    head, _, *trials = rows(study_note(a_study(tmp_path, various(12)[::-1])))
    assert head == HEAD
    assert [line.split(" | ")[0] for line in trials] == [f"| {number}" for number in range(10)]
    assert trials[0].endswith(" | 0.1000 | 0.5000 |")


def test_test_accuracy_is_a_column_of_the_trial_that_the_model_is_of(tmp_path: Path) -> None:
    folder = a_study(tmp_path, various(3))
    folder.save_evaluation(an_evaluation(folder))
    uploaded(folder, "1")
    note = study_note(folder)
    head, _, *trials = rows(note)
    assert head == f"{HEAD} test accuracy |"
    assert [line.split(" | ")[-1] for line in trials] == ["0.9000 |", " |", " |"]
    assert "Best of 3 trials: test accuracy of version 1 **0.9000** (95 % interval 0.5958–0.9821); trial 0: " in note


@pytest.mark.parametrize(("version", "seen"), [("2", 0), ("1", 3)])
def test_test_accuracy_of_another_model_or_of_known_rows_is_no_column(version: str, seen: int, tmp_path: Path) -> None:
    folder = a_study(tmp_path, various(3))
    folder.save_evaluation(an_evaluation(folder, seen=seen))
    uploaded(folder, version)
    note = study_note(folder)
    assert rows(note)[0] == HEAD
    assert ("test accuracy of version 1" in note) == (not seen)


def test_names_are_shown_as_they_are() -> None:
    assert markdown("a_b|<i>*c*") == r"a\_b\|\<i\>\*c\*"
    assert len(markdown("_" * 1000, 40)) == 79


def test_figures_of_the_best_epoch_are_a_curve_that_ends_there() -> None:
    losses = (0.9, 0.5, 0.7, 0.3, 0.4)
    result = replace(a_result(0, PARAMS, losses), best_epoch=4)
    curve = [(metric.step, metric.value) for metric in best_so_far_metrics(result) if metric.key == "best_valid_loss"]
    assert curve == [(1, 0.9), (2, 0.5), (4, 0.3)]
    epochs = [(metric.step, metric.value) for metric in best_so_far_metrics(result) if metric.key == "best_epoch"]
    assert epochs == [(1, 1), (2, 2), (4, 4)]


def test_curve_of_a_long_trial_is_thinned_out() -> None:
    result = a_result(0, TrialParams(1, 8, 0.01, 16), [2 - 0.001 * epoch for epoch in range(1000)])
    steps = [metric.step for metric in best_so_far_metrics(result) if metric.key == "best_valid_loss"]
    assert (len(steps), steps[0], steps[-1]) == (21, 1, 1000)
