"""How far a training is, as another thread sees it."""

from __future__ import annotations

import threading
import time
from typing import cast

import numpy as np
import pytest

from insects.params import Metric, Recipe, TrialParams
from insects.training import ENGINES, Engine, Progress, TrainingInterrupted, advance, init
from tests.support.studies import builtin_splits

SPLITS = builtin_splits()[0]
ROWS = len(SPLITS.train_y)
PARAMS = TrialParams(depth=1, width=8, lr=0.01, batch_size=50)


@pytest.mark.parametrize("metric", ["loss", "roc-auc"])
@pytest.mark.parametrize("engine", ENGINES)
def test_progress_holds_the_epochs_of_the_training(engine: Engine, metric: str) -> None:
    recipe = Recipe(epochs=4, metric=cast(Metric, metric))
    progress = Progress(recipe.epochs, ROWS)
    assert (progress.epochs, progress.last) == (0.0, None)
    state = init(PARAMS, recipe, SPLITS.shape, 0, 0)
    done = advance(state, SPLITS, 3, engine=engine, progress=progress)
    assert progress.row_count[0] == 3 * ROWS
    np.testing.assert_array_equal(progress.history[:3], done.history[:, :4])
    assert np.isnan(progress.history[3]).all()
    assert progress.last == tuple(done.history[2, 2:4])
    done = advance(done, SPLITS, 1, engine=engine, progress=progress)
    assert (progress.epochs, progress.last) == (4.0, tuple(done.history[3, 2:4]))


def test_last_epoch_is_the_one_before_while_validation_rows_are_evaluated() -> None:
    progress = Progress(epochs=3, rows=10)
    progress.row_count[0] = 20
    progress.history[0] = 0.5, 0.8, 0.25, 0.9
    progress.history[1, :2] = 0.4, 0.9
    assert progress.last == (0.25, 0.9)


@pytest.mark.parametrize("engine", ENGINES)
def test_progress_moves_within_an_epoch(engine: Engine) -> None:
    params, interrupt = TrialParams(depth=4, width=256, lr=1e-3, batch_size=1), np.zeros(1, np.uint8)
    progress = Progress(1, ROWS)
    seen: list[float] = []

    def watch() -> None:
        while len(seen) < 3:
            epochs = progress.epochs
            if epochs > (seen[-1] if seen else 0.0):
                seen.append(epochs)
            time.sleep(0.001)
        interrupt[0] = 1

    watcher = threading.Thread(target=watch)
    watcher.start()
    state = init(params, Recipe(epochs=1), SPLITS.shape, 0, 0)
    with pytest.raises(TrainingInterrupted):
        advance(state, SPLITS, 1, engine=engine, interrupt=interrupt, progress=progress)
    watcher.join()
    assert 0 < seen[0] < seen[1] < seen[2] < 1
