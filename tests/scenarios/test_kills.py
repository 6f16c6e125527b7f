"""A search that is killed at any instant and started again equals one that was never killed."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import kills

# Module, function, before or after its call, which call in its process; see `tests/support/faults/sitecustomize.py`.
# Each search finds what those above it have left.
TRAINING = {
    "data read": "search.commands.search:load_data:before:1",
    "trial trained": "insects.trial:run_trial:before:3",
    "result not on the disk": "search.store.study_folder:StudyFolder.save:before:2",
    "result not in the journal": "search.study.journal:OptunaJournal.add:before:3",
    "result on the disk": "search.store.study_folder:StudyFolder.save:after:1",
    "result in the journal": "search.study.journal:OptunaJournal.add:after:5",
    "trial proposed": "search.study.sampler:Proposer.ask:before:2",
    "between the parameters of a proposal": "optuna.trial:Trial.suggest_float:before:2",
    "pruning thresholds taken": "search.study.pruner:PercentilePruner.prune_above:after:2",
    "network of the final not on the disk": "search.store.study_folder:StudyFolder.save_fold:before:2",
    "network of the final on the disk": "search.store.study_folder:StudyFolder.save_fold:after:2",
    "final without its outcome": "search.store.study_folder:StudyFolder.save_final:before:1",
}
UPLOADING = {
    "trial's run created": "search.tracking.trial_runs:TrialRunLogger._create:after:1",
    "finalist's run created": "search.tracking.trial_runs:TrialRunLogger._create:after:1",  # it precedes other trials
    "model logged": "search.registry.logged_models:log_model:after:1",
    "version created": "search.registry.versions:_create_version:after:1",
    "search's run finished": "search.tracking.trial_runs:TrialRunLogger.finish:after:1",
}


@pytest.mark.parametrize("instants", [TRAINING, UPLOADING], ids=["training", "uploading"])
def test_search_killed_at_named_instants_in_turn_ends_equal(
    instants: dict[str, str],
    undisturbed: tuple[dict[str, Any], dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each killed search goes on with the one before, and the last is completed."""
    for instant, fault in instants.items():
        assert kills.run_into_fault(tmp_path, fault), f"not reached: {instant}"
    answer = kills.complete(monkeypatch, tmp_path)
    assert answer["study_digest"] == undisturbed[0]["study_digest"]
    assert kills.contents(tmp_path) == undisturbed[1]


def test_search_killed_again_and_again_ends_equal(
    undisturbed: tuple[dict[str, Any], dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any time, with its worker processes or without, which then go on beside the next search."""
    instants = np.random.default_rng(7).uniform(0.5, undisturbed[0]["seconds"]["total"], 2).tolist()
    for seconds, everything in zip(instants, (False, True), strict=True):
        kills.kill_after(tmp_path, seconds, everything)
    answer = kills.complete(monkeypatch, tmp_path)
    assert answer["study_digest"] == undisturbed[0]["study_digest"]
    assert kills.contents(tmp_path) == undisturbed[1]


def test_undisturbed_search_is_complete_in_mlflow(undisturbed: tuple[dict[str, Any], dict[str, Any]]) -> None:
    answer, contents = undisturbed
    assert {trial["state"] for trial in answer["trials"]} == {"complete", "pruned"}
    assert [run["name"] for run in contents["mlflow"]] == [
        *sorted(f"final-{finalist['number']:04d}" for finalist in answer["final"]["finalists"]),
        "search survivor",
        *[f"trial-{number:04d}" for number in range(12)],
    ]
    for run, trial in zip(contents["mlflow"][4:], answer["trials"], strict=True):
        assert run["status"] == {"complete": "FINISHED", "pruned": "KILLED"}[trial["state"]]
        assert len(run["metrics"]["valid_loss"]) == trial["epochs"]
    assert contents["registry"][:2] == [[{"best": "1"}], ["1"]]


@pytest.mark.slow
def test_search_killed_at_random_instants_ends_equal(tmp_path: Path) -> None:
    """`python -m benchmarks.chaos` runs this with many rounds."""
    rounds = int(os.environ.get("KILL_ROUNDS", "0"))
    if rounds == 0:
        pytest.skip("set KILL_ROUNDS: a round takes about a minute")
    generator = np.random.default_rng(int(os.environ.get("KILL_SEED", "0")))
    started, struck = time.monotonic(), 0
    kills.run_to_the_end(tmp_path / "reference")
    length = time.monotonic() - started
    expected = kills.contents(tmp_path / "reference")
    for number in range(1, rounds + 1):
        store = tmp_path / f"round{number}"
        instants = generator.uniform(0, length, generator.integers(1, 4)).tolist()
        hits = [kills.kill_after(store, seconds, bool(generator.integers(2))) for seconds in instants]
        kills.run_to_the_end(store)
        assert kills.contents(store) == expected, f"round {number}: killed after {instants}"
        struck += sum(hits)
        shown = [round(seconds, 1) for seconds in instants]
        print(f"round {number} of {rounds}: killed {sum(hits)} times, after {shown} s: equal")
    print(f"{struck} kills in {rounds} rounds")
    assert struck > 0
