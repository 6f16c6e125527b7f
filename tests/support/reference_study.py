"""A study that was never interrupted, for others to be equal to."""

from __future__ import annotations

from pathlib import Path

from insects.trial import TrialResult
from search.store.study_folder import StudyFolder
from tests.support.studies import DIVERGING, PARAMS, UNTRAINABLE, a_config, optuna_trials, same

TRIALS = 12
CONFIG = a_config(percentile=50.0, configs=[PARAMS, DIVERGING, UNTRAINABLE, PARAMS])

Reference = tuple[Path, list[TrialResult]]
"""A store with the study of one worker, and its results."""


def assert_equals_reference(store: Path, results: list[TrialResult], reference: Reference) -> None:
    assert same(results, reference[1])
    assert optuna_trials(store / "optuna.journal") == optuna_trials(reference[0] / "optuna.journal")
    assert StudyFolder(store / "trials" / "s").numbers() == list(range(len(results)))


def folder_of(store: Path) -> StudyFolder:
    return StudyFolder(store / "trials" / "s")
