"""The final of a study: the same outcome for any number of workers, after any interruption, and for more trials."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from insects import mlp
from insects.final import FoldResult
from insects.tasks import StudyRows
from insects.trial import TrialResult
from search.store.final_record import FinalRecord
from search.store.study_folder import StudyFolder
from search.study.config import FINAL_EPOCHS, FinalSettings, study_digest
from search.study.final import Final, finalists_in, finalists_of
from search.study.winner import Winner, load_model, winner_of
from search.study.workers import MemoryFit
from search.system.signals import Interrupted, StopFlag
from search.workers.threads import ThreadWorkers
from tests.support.studies import (
    DIVERGING,
    UNTRAINABLE,
    a_config,
    a_failure,
    a_result,
    begun_folder,
    builtin_data,
    run_study,
)

CONFIG = a_config(final=FinalSettings(finalists=3, folds=3), configs=[DIVERGING])
TRIALS = 6


class Heard:
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.networks: list[tuple[int, int]] = []
        self.left: list[int] = []
        self.finalists: list[tuple[int, int]] = []

    def fold_trained(self, result: FoldResult, left: int) -> None:
        self.networks.append((result.trial.number, result.fold))
        self.left.append(left)

    def finalist_trained(self, number: int, folds: int) -> None:
        self.finalists.append((number, folds))


class Stopping(Heard):
    """Sets the flag of a signal after the third network."""

    def __init__(self, stop: StopFlag) -> None:
        super().__init__()
        self._stop = stop

    def fold_trained(self, result: FoldResult, left: int) -> None:
        super().fold_trained(result, left)
        if len(self.networks) == 3:
            self._stop.set(signal.SIGINT)


@contextmanager
def a_final(folder: StudyFolder, heard: Heard, workers: int = 2, stop: StopFlag | None = None) -> Iterator[Final]:
    rows, stop = builtin_data().fold_rows, stop or StopFlag()
    fold_N = rows.draw(CONFIG.final.folds)
    with closing(ThreadWorkers(workers, stop)) as threads:
        threads.open(StudyRows(rows.splits, fold_N), MemoryFit(CONFIG, rows.splits), folder.path)
        yield Final(
            config=CONFIG,
            folds=int(fold_N.max()) + 1,
            units=rows.independent_units,
            folder=folder,
            workers=threads,
            stop=stop,
            listeners=[heard],
        )


def hold(folder: StudyFolder, results: list[TrialResult], workers: int = 2) -> tuple[FinalRecord, Heard]:
    heard = Heard()
    with a_final(folder, heard, workers) as final:
        return final.run(results), heard


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[TrialResult], FinalRecord, Heard]:
    store = tmp_path_factory.mktemp("held")
    results = run_study(store, CONFIG, TRIALS)
    record, heard = hold(begun_folder(store, CONFIG), results)
    return store, results, record, heard


def digest(folder: StudyFolder, results: list[TrialResult]) -> str:
    return study_digest(results, finalists_in(folder))


def test_finalists_are_the_best_complete_trials() -> None:
    results = [
        a_result(0, losses=(0.5,)),
        a_result(1, losses=(0.1,), state="pruned"),
        a_failure(2),
        a_result(3, losses=(np.nan,)),
        a_result(4, losses=(0.3,)),
        a_result(5, losses=(0.4,)),
    ]
    assert [result.number for result in finalists_of(results, 2)] == [4, 5]
    assert [result.number for result in finalists_of(results, 9)] == [4, 5, 0]


def test_every_finalist_has_a_network_for_each_fold(
    held: tuple[Path, list[TrialResult], FinalRecord, Heard],
) -> None:
    store, results, record, heard = held
    assert record.finalists == [result.number for result in finalists_of(results, 3)]
    assert sorted(heard.networks) == [(number, fold) for number in sorted(record.finalists) for fold in range(3)]
    assert heard.left == list(range(8, -1, -1))
    assert sorted(heard.finalists) == [(number, 3) for number in sorted(record.finalists)]
    folder = begun_folder(store, CONFIG)
    finalists = finalists_in(folder)
    assert all(fold.trial.epochs == FINAL_EPOCHS * 3 for finalist in finalists for fold in finalist.folds)
    assert record.chosen == min(finalists, key=lambda finalist: finalist.objective).number
    assert record.accuracy is not None
    low, high = record.interval
    assert low < record.accuracy < high
    assert folder.final() == record
    assert folder.numbers() == list(range(TRIALS))  # networks of the final are no trials


@pytest.mark.parametrize("workers", [1, 4])
def test_outcome_does_not_depend_on_the_number_of_workers(
    workers: int, held: tuple[Path, list[TrialResult], FinalRecord, Heard], tmp_path: Path
) -> None:
    results = run_study(tmp_path, CONFIG, TRIALS, workers=workers)
    folder = begun_folder(tmp_path, CONFIG)
    record, _ = hold(folder, results, workers)
    assert record == held[2]
    assert digest(folder, results) == digest(begun_folder(held[0], CONFIG), held[1])
    assert digest(folder, results) != study_digest(results)


def test_interrupted_final_goes_on_where_it_was(
    held: tuple[Path, list[TrialResult], FinalRecord, Heard], tmp_path: Path
) -> None:
    results = run_study(tmp_path, CONFIG, TRIALS)
    folder, stop = begun_folder(tmp_path, CONFIG), StopFlag()
    stop.polled = True
    with a_final(folder, Stopping(stop), 1, stop) as final, pytest.raises(Interrupted):
        final.run(results)
    assert folder.final() is None
    kept = {path.name: path.read_bytes() for path in folder.path.glob("final-*.npz")}
    assert len(kept) >= 3
    record, heard = hold(folder, results)
    assert record == held[2]
    assert len(heard.networks) == 9 - len(kept)
    assert all((folder.path / name).read_bytes() == content for name, content in kept.items())
    assert digest(folder, results) == digest(begun_folder(held[0], CONFIG), held[1])


def test_damaged_network_is_trained_again(tmp_path: Path) -> None:
    results = run_study(tmp_path, CONFIG, TRIALS)
    folder = begun_folder(tmp_path, CONFIG)
    record, _ = hold(folder, results)
    before = digest(folder, results)
    path = folder.fold_file(record.finalists[1], 2)
    path.write_bytes(path.read_bytes()[:-40])
    again, heard = hold(folder, results)
    assert (again, heard.networks) == (record, [(record.finalists[1], 2)])
    assert digest(folder, results) == before
    assert path.with_name(f"{path.name}.damaged").exists()


def test_more_trials_train_only_new_finalists(tmp_path: Path) -> None:
    results = run_study(tmp_path, CONFIG, 4)
    folder = begun_folder(tmp_path, CONFIG)
    first, _ = hold(folder, results)
    assert winner_of(folder, results) == Winner(first.chosen or 0, 3)
    more = run_study(tmp_path, CONFIG, 12)
    # The final of the first trials says nothing of the later ones.
    assert winner_of(folder, more) == Winner(finalists_of(more, 1)[0].number, 0)
    second, heard = hold(folder, more)
    new = set(second.finalists) - set(first.finalists)
    assert {number for number, _ in heard.networks} == new
    assert winner_of(folder, more) == Winner(second.chosen or 0, 3)


def test_model_is_the_mean_of_the_chosen_finalists_networks(
    held: tuple[Path, list[TrialResult], FinalRecord, Heard],
) -> None:
    store, results, record, _ = held
    folder = begun_folder(store, CONFIG)
    winner = winner_of(folder, results)
    assert winner is not None
    model = load_model(folder, winner.number, winner.folds)
    assert model is not None
    assert (model.number, model.judged_by, len(model.weights)) == (record.chosen, "out of fold", 3)
    shape, x = builtin_data().splits.shape, builtin_data().splits.valid_x
    shares = []
    for weights in model.weights:
        power = np.exp(mlp.logits(weights, model.params, shape, x).astype(np.float64))
        shares.append(power / power.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(
        np.exp(mlp.mean_logits(model.weights, model.params, shape, x)), np.mean(shares, axis=0), rtol=1e-4, atol=1e-7
    )


def test_final_in_which_every_training_fails_chooses_nothing(tmp_path: Path) -> None:
    results = run_study(tmp_path, CONFIG, TRIALS)
    folder = begun_folder(tmp_path, CONFIG)
    claimed = [a_result(9, UNTRAINABLE, losses=(0.1,))]
    record, _ = hold(folder, claimed)
    assert (record.chosen, record.accuracy, record.interval, record.finalists) == (None, None, [], [9])
    assert winner_of(folder, claimed) == Winner(9, 0)
    nothing, heard = hold(folder, [a_failure(0)])
    assert (nothing.finalists, heard.networks) == ([], [])
    assert winner_of(folder, results) == Winner(finalists_of(results, 1)[0].number, 0)
