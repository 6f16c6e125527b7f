"""What people see while a search trains."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from insects.params import Metric, Recipe, TrialParams
from insects.training import Progress
from insects.trial import TrialState, TrialTask
from search.commands.progress import LiveTable, SearchProgress
from search.study.config import FinalSettings
from search.workers.in_flight import InFlight
from search.workers.protocol import Workers
from tests.support.trial_cases import a_trial

PARAMS = TrialParams(depth=3, width=201, lr=0.0024, batch_size=32)
ROWS, EPOCHS = 100, 20


class Trainings:
    """What two workers train, made up."""

    count = 2

    def __init__(self, *in_flight: InFlight, seconds: float = 10.0) -> None:
        self.in_flight = list(in_flight)
        self.began: float | None = time.monotonic() - seconds
        self.watched = self


def training(number: int, epochs: float = 0.0, fold: int | None = None, is_running: bool = True) -> InFlight:
    """A training that has done so many epochs; the last whole one has a loss of 0.25 and an accuracy of 0.9."""
    task = TrialTask(number, PARAMS, Recipe(EPOCHS), 0, np.full(EPOCHS, np.inf), "compiled", "cpu")
    progress = Progress(EPOCHS, ROWS)
    progress.row_count[0] = int(epochs * ROWS)
    progress.history[: int(epochs)] = 0.5, 0.8, 0.25, 0.9
    return InFlight(task, fold, is_followed=True, progress=progress if is_running else None)


def a_progress(
    trainings: Trainings, *, metric: Metric = "loss", backlog: Callable[[], str] = str, **changed: Any
) -> SearchProgress:
    final = FinalSettings(finalists=2, folds=5)
    settings: dict[str, Any] = {"total": 4, "done": [], "metric": metric, "final": final, **changed}
    return SearchProgress(**settings, workers=cast("Workers", trainings), backlog=backlog)


def lines_at(progress: SearchProgress, columns: int, height: int = 24) -> list[str]:
    """The lines of the live table on a terminal."""
    return [line.rstrip() for line, _ in LiveTable(progress).lines(columns, height)]


def test_without_a_terminal_each_trial_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    progress = a_progress(Trainings(), done=[0], final=FinalSettings(finalists=0, folds=5))
    progress.known(a_trial(0, PARAMS, 0.5))
    for result in (
        a_trial(2, PARAMS, 0.75),
        a_trial(1, PARAMS, np.inf, "failed"),
        a_trial(3, PARAMS, 0.25),
    ):
        progress.trained(result)
    out, err = capsys.readouterr()
    assert out == ""
    # Ten seconds have passed, for one of three trials, for two of three, and for all.
    assert err.splitlines() == [
        "trial 2 complete: validation loss 0.7500, accuracy 0.5000; 2 of 4 done, best loss 0.5000 (trial 0), "
        "20 s of training left",
        "trial 1 failed: no figures; 3 of 4 done, best loss 0.5000 (trial 0), 5 s of training left",
        "trial 3 complete: validation loss 0.2500, accuracy 0.5000; 4 of 4 done, best loss 0.2500 (trial 3), "
        "0 s of training left",
    ]


def test_best_trial_is_the_one_with_the_lowest_rank(capsys: pytest.CaptureFixture[str]) -> None:
    progress = a_progress(Trainings(), metric="accuracy")
    for number, parameters, best in ((1, 9, 1), (0, 9, 0), (2, 8, 2)):
        progress.trained(replace(a_trial(number, PARAMS, 0.125, metric="accuracy"), parameters=parameters))
        assert f"best accuracy 0.8750 (trial {best})" in capsys.readouterr().err


@pytest.mark.parametrize("state", ["failed", "complete"])
def test_search_without_a_finite_loss_has_no_best_yet(state: TrialState, capsys: pytest.CaptureFixture[str]) -> None:
    a_progress(Trainings()).trained(a_trial(0, PARAMS, np.inf, state))
    assert "no best yet" in capsys.readouterr().err


def test_time_left_counts_parts_of_trials_and_the_final() -> None:
    trainings = Trainings(training(1, epochs=10), training(2, epochs=0, is_running=False))
    progress = a_progress(trainings, done=[0])
    progress.known(replace(a_trial(0, PARAMS, 0.5), seconds=8.0))
    status = progress.status()
    # In ten seconds half a trial was trained, and two and a half are left. A network of the final sees as many rows as
    # a trial for twice the epochs: ten networks of 16 s, two at a time.
    assert status.seconds_left == pytest.approx(50 + 80, rel=0.01)
    assert (status.text, status.done) == ("Trials: 1 of 4 done", 1 - 2.5 / 4)


def test_time_of_the_final_is_guessed_before_a_trial_has_ended() -> None:
    progress = a_progress(Trainings(training(0, epochs=10)))
    assert progress.status().seconds_left == pytest.approx(70 + 10 * 2 * 40 / 2, rel=0.01)


def test_there_is_no_estimate_before_the_engine_is_loaded() -> None:
    trainings = Trainings(training(0, is_running=False))
    trainings.began = None
    assert a_progress(trainings).status().seconds_left is None


def test_there_is_no_estimate_from_the_first_seconds() -> None:
    assert a_progress(Trainings(training(0, epochs=1), seconds=1.0)).status().seconds_left is None


def test_no_trial_begins_after_the_deadline() -> None:
    progress = a_progress(Trainings(training(0, epochs=1)), final=FinalSettings(finalists=0, folds=5))
    progress.deadline = time.monotonic() + 30
    assert progress.status().seconds_left == pytest.approx(30, rel=0.01)


def test_final_counts_networks_by_the_time_of_their_trial() -> None:
    trainings = Trainings()
    progress = a_progress(trainings)
    for number, seconds in ((0, 1.0), (1, 3.0)):
        progress.known(replace(a_trial(number, PARAMS, 0.1 + number), seconds=seconds))
    progress.begin_final()
    trainings.in_flight = [training(0, epochs=10, fold=1), training(1, fold=0, is_running=False)]
    assert progress.status().text == "Final: 0 of 2 networks"
    progress.fold_trained(0, left=3)  # one of which is trained and not stored
    status = progress.status()
    assert (status.text, status.done) == ("Final: 1 of 4 networks", 1.5 / 5)
    trainings.in_flight = []
    assert progress.status().text == "Final: choosing"


def shown_progress() -> SearchProgress:
    trainings = Trainings(
        training(7, epochs=3.5), training(8, epochs=0.5), training(9, is_running=False), training(10, is_running=False)
    )
    progress = a_progress(trainings, total=50, done=range(7), backlog=lambda: "uploading 3 runs, about 2 s")
    for number in range(7):
        progress.known(a_trial(number, PARAMS, 0.1 * (7 - number)))
    return progress


def test_wide_terminal_shows_best_trials_those_in_flight_and_what_is_left() -> None:
    head, *rows = lines_at(shown_progress(), 100)
    assert head.split() == ["trial", "depth", "width", "lr", "batch", "epoch", "loss", "accuracy"]
    assert [row.split() for row in rows[:5]] == [
        [str(number), "3", "201", "0.0024", "32", "1", f"{loss:.4f}", "0.5000", *note]
        for number, loss, note in ((6, 0.1, ["best"]), (5, 0.2, []), (4, 0.3, []), (3, 0.4, []), (2, 0.5, []))
    ]
    assert rows[5].split()[:8] == ["7", "3", "201", "0.0024", "32", "3/20", "0.2500", "0.9000"]
    assert rows[5].endswith("  ━─────────")
    assert rows[6].split()[:6] == ["8", "3", "201", "0.0024", "32", "0/20"]  # it has no loss yet
    assert [row.split()[-2:] for row in rows[7:9]] == [["-/20", "waits"]] * 2
    assert re.fullmatch(r"Trials: 7 of 50 done  ━+─+  about \d+ min left", rows[9])
    assert rows[10:] == [
        "Best so far: trial 6, loss 0.1000, accuracy 0.5000",
        "MLflow: uploading 3 runs, about 2 s",
    ]


@pytest.mark.parametrize("columns", [50, 80, 160])
def test_no_line_is_cut_or_broken(columns: int) -> None:
    rows = lines_at(shown_progress(), columns)
    assert len(rows) == 13
    assert max(map(len, rows)) <= columns
    assert not [row for row in rows if "…" in row]
    assert re.search(r"about \d+ min left$", rows[10])
    assert rows[1].split()[:8] == ["6", "3", "201", "0.0024", "32", "1", "0.1000", "0.5000"]


def test_long_epoch_is_shown_with_its_parts() -> None:
    long = training(0)
    long.progress = Progress(EPOCHS, rows=100_000)
    long.progress.row_count[0] = 123_456
    assert [lines_at(a_progress(Trainings(long)), columns)[1].split()[5] for columns in (100, 50)] == [
        "1.23/20",
        "1.2/20",
    ]


def test_low_terminal_shows_fewer_trials() -> None:
    rows = lines_at(shown_progress(), 80, height=10)
    assert len(rows) <= 9
    assert rows[1].split()[0] == "6"
    assert rows[2].split()[0] == "7"


def test_metric_of_the_study_has_a_column_for_trials_that_have_ended() -> None:
    progress = a_progress(Trainings(training(1, epochs=2)), metric="roc-auc", done=[0])
    progress.known(a_trial(0, PARAMS, 0.1, metric="roc-auc"))
    head, best, running, *_ = lines_at(progress, 100)
    assert head.endswith("accuracy  ROC AUC")
    assert best.split()[-2:] == ["0.9000", "best"]
    assert running.split()[6:8] == ["0.2500", "0.9000"]


def test_final_shows_the_networks_that_are_trained() -> None:
    trainings = Trainings(training(0, epochs=10, fold=2), training(0, fold=3, is_running=False))
    progress = a_progress(trainings, done=range(4))
    progress.begin_final()
    rows = lines_at(progress, 100)
    assert "fold 3" in rows[1]
    assert rows[2].startswith("Final: 0 of 2 networks")
