"""How many trials are trained side by side, and the search that does not fit into memory."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from insects import memory
from insects.devices import Choice
from insects.errors import StudyError
from insects.params import TrialParams
from search.study.workers import trials_at_once
from tests.support.commands import SMALL, invoke
from tests.support.studies import SPACE, UNTRAINABLE, a_config, builtin_splits

LARGEST = TrialParams(depth=2, width=16, lr=0.1, batch_size=64)  # of the tests' space


def needed(params: TrialParams) -> int:
    splits = builtin_splits()[0]
    return memory.training_bytes(params, splits.shape, len(splits.train_y), "compiled")


def free(monkeypatch: pytest.MonkeyPatch, count: int | None) -> None:
    """Let so much be free besides what the figures take."""
    splits = builtin_splits()[0]
    figures = 3 * (splits.train_x.nbytes + splits.valid_x.nbytes)
    monkeypatch.setattr(memory, "available", lambda: None if count is None else count + figures)


def test_as_many_trials_as_fit_are_trained_side_by_side(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    splits, one = builtin_splits()[0], needed(LARGEST)
    assert LARGEST in SPACE
    for count, fitting in ((8 * one, 8), (4 * one - 1, 3), (one, 1)):
        free(monkeypatch, count)
        assert trials_at_once(8, a_config(), splits) == fitting
    assert capsys.readouterr().err.splitlines() == [
        f"Trials side by side: {fitting}, since one may take {memory.gigabytes(one)} of memory" for fitting in (3, 1)
    ]
    free(monkeypatch, 10**12)
    assert trials_at_once(None, a_config(), splits) == os.cpu_count()
    assert capsys.readouterr().err == ""


def test_given_configurations_count_where_they_fit_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = TrialParams(depth=1, width=400, lr=0.1, batch_size=4)
    free(monkeypatch, 5 * needed(wide))
    splits = builtin_splits()[0]
    assert trials_at_once(8, a_config(configs=[wide]), splits) == 5
    assert trials_at_once(8, a_config(configs=[UNTRAINABLE]), splits) == 8


def test_memory_is_not_looked_at_where_it_is_unknown_or_not_what_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    splits = builtin_splits()[0]
    free(monkeypatch, None)
    assert trials_at_once(8, a_config(), splits) == 8
    free(monkeypatch, 1)
    assert trials_at_once(8, replace(a_config(), choice=Choice("cuda", "torch", "as asked")), splits) == 8
    with pytest.raises(StudyError, match=r"^a trial with 2 hidden layers of 16 units on 2 inputs must fit into memory"):
        trials_at_once(8, a_config(), splits)


def test_search_that_does_not_fit_ends_in_one_line_and_one_that_is_done_is_shown(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (*SMALL, "--store", str(store), "--study", "s")
    with monkeypatch.context() as patch:
        free(patch, 20)
        refused = invoke(patch, "search", *arguments)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.splitlines()[-1] == (
        "Error: a trial with 2 hidden layers of 16 units on 2 inputs must fit into memory: it takes about 0.0 GB, "
        "0.0 GB are free; lower --width, give fewer inputs (--image-size, --features), or end other programs"
    )
    assert list((store / "trials" / "s").glob("0*.npz")) == []
    assert invoke(monkeypatch, "search", *arguments).exit_code == 0
    free(monkeypatch, 20)
    done = invoke(monkeypatch, "search", *arguments)
    assert done.exit_code == 0
    assert "All 6 trials were done already" in done.stdout
