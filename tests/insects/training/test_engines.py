"""`advance`, the same for both engines."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score

from insects.mlp import Floats, logits
from insects.params import Metric, Recipe, TrialParams
from insects.splits import Splits
from insects.training import ENGINES, Engine, TrainingInterrupted, TrainingState, advance, init
from tests.insects.conftest import MakeSplits
from tests.support.split_cases import uneven
from tests.support.training_oracle import one_epoch

PARAMS = TrialParams(depth=2, width=24, lr=1e-2, batch_size=16)
both_engines = pytest.mark.parametrize("engine", ENGINES)


def start(splits: Splits, params: TrialParams = PARAMS, recipe: Recipe = Recipe(), trial: int = 3) -> TrainingState:  # noqa: B008
    return init(params, recipe, splits.shape, seed=11, trial=trial)


def assert_same(a: TrainingState, b: TrainingState) -> None:
    """Equal bit for bit."""
    assert (a.step, a.best_epoch, a.status) == (b.step, b.best_epoch, b.status)
    for name in ("weights", "first_moment", "second_moment", "best_weights", "history"):
        assert_array_equal(getattr(a, name), getattr(b, name))


@both_engines
def test_adam_follows_the_formula_over_several_steps(make_splits: MakeSplits, engine: Engine) -> None:
    splits = make_splits(50, features=3, classes=4)
    state = start(splits, TrialParams(depth=2, width=9, lr=1e-2, batch_size=7))
    for _ in range(3):
        loss, w, m, v = one_epoch(state, splits)
        state = advance(state, splits, 1, engine=engine)
        assert_allclose(state.history[-1, 0], loss, rtol=1e-5)
        assert_allclose(state.weights, w, rtol=1e-4, atol=1e-5)
        assert_allclose(state.first_moment, m, rtol=1e-4, atol=1e-5 * np.abs(m).max())
        assert_allclose(state.second_moment, v, rtol=1e-4, atol=1e-5 * v.max())


@both_engines
@pytest.mark.parametrize(
    ("rows", "features", "classes", "params"),
    [
        (50, 1, 2, TrialParams(1, 1, 1e-2, 4)),
        (50, 2, 5, TrialParams(6, 5, 1e-2, 16)),
        (37, 3, 3, TrialParams(2, 17, 1e-2, 36)),
        (30, 2, 5, TrialParams(1, 20, 1e-2, 1)),
        (40, 2, 5, TrialParams(2, 30, 1e-2, 1000)),
        (400, 4, 200, TrialParams(1, 33, 1e-2, 32)),
        (40, 3072, 3, TrialParams(2, 12, 1e-3, 8)),
        (33, 7, 16, TrialParams(2, 16, 1e-2, 6)),
        (50, 1, 2, TrialParams(0, 16, 1e-2, 7)),
        (60, 300, 37, TrialParams(0, 1, 1e-2, 9)),
    ],
    ids=[
        "one-of-all",
        "deep",
        "last-batch-of-one",
        "batch-of-one",
        "batch-over-table",
        "200-classes",
        "wide",
        "whole",
        "no-layer",
        "no-layer-wide",
    ],
)
def test_every_shape_trains_as_the_formulas_say(
    make_splits: MakeSplits, engine: Engine, rows: int, features: int, classes: int, params: TrialParams
) -> None:
    splits = make_splits(rows, features, classes)
    state = start(splits, params)
    loss, w, m, v = one_epoch(state, splits)
    trained = advance(state, splits, 1, engine=engine)
    assert_allclose(trained.history[0, 0], loss, rtol=1e-5)
    assert_allclose(trained.weights, w, rtol=1e-4, atol=2e-5)
    assert_allclose(trained.first_moment, m, rtol=1e-4, atol=1e-4 * np.abs(m).max())
    assert_allclose(trained.second_moment, v, rtol=1e-4, atol=1e-4 * v.max())


@both_engines
@pytest.mark.parametrize("depth", [0, 2])
def test_balanced_rows_count_the_inverse_of_their_classs_frequency(
    make_splits: MakeSplits, engine: Engine, depth: int
) -> None:
    splits = uneven(make_splits(90, features=3, classes=4))
    counts = np.bincount(splits.train_y)
    assert counts.max() > 2 * counts.min()
    params = TrialParams(depth=depth, width=9, lr=1e-2, batch_size=7)
    state = start(splits, params, Recipe(class_weight="balanced"))
    for _ in range(3):
        loss, w, m, v = one_epoch(state, splits)
        state = advance(state, splits, 1, engine=engine)
        assert_allclose(state.history[-1, 0], loss, rtol=1e-5)
        assert_allclose(state.weights, w, rtol=1e-4, atol=1e-5)
        assert_allclose(state.first_moment, m, rtol=1e-4, atol=1e-5 * np.abs(m).max())
        assert_allclose(state.second_moment, v, rtol=1e-4, atol=1e-5 * v.max())
    logits_VC = logits(state.weights, state.params, state.shape, splits.valid_x).astype(np.float64)
    loss_V = np.log(np.exp(logits_VC).sum(1)) - logits_VC[np.arange(len(logits_VC)), splits.valid_y]
    weight_V = (len(splits.train_y) / (4 * counts))[splits.valid_y]
    assert_allclose(state.history[-1, 2], (weight_V * loss_V).mean(), rtol=1e-5)
    assert state.history[-1, 3] == (logits_VC.argmax(1) == splits.valid_y).mean()


@both_engines
def test_balancing_classes_of_equal_size_changes_no_bit(make_splits: MakeSplits, engine: Engine) -> None:
    splits = make_splits(60, classes=4)
    plain, balanced = (start(splits, recipe=Recipe(4, class_weight=name)) for name in ("none", "balanced"))
    assert_same(advance(plain, splits, 4, engine=engine), advance(balanced, splits, 4, engine=engine))


def scores_of(state: TrainingState, splits: Splits) -> dict[Metric, float]:
    """Scores of the state's weights on the validation rows, by scikit-learn."""
    logits_VC = logits(state.weights, state.params, state.shape, splits.valid_x).astype(np.float64)
    found_V = logits_VC.argmax(axis=1)
    shares_VC = np.exp(logits_VC) / np.exp(logits_VC).sum(axis=1, keepdims=True)
    return {
        "accuracy": accuracy_score(splits.valid_y, found_V),
        "balanced-accuracy": balanced_accuracy_score(splits.valid_y, found_V),
        "roc-auc": roc_auc_score(splits.valid_y, shares_VC, average="macro", multi_class="ovr"),
    }


@both_engines
@pytest.mark.parametrize("metric", ["accuracy", "balanced-accuracy", "roc-auc"])
def test_metric_chooses_the_best_epoch_and_changes_no_step(
    spiral_splits: Splits, engine: Engine, metric: Metric
) -> None:
    splits, epochs = uneven(spiral_splits), 12
    params = replace(PARAMS, lr=0.05)  # so large that scores fall again
    by_loss = advance(start(splits, params, Recipe(epochs)), splits, epochs, engine=engine)
    state = start(splits, params, Recipe(epochs, metric=metric))
    weights = []
    for epoch in range(epochs):
        state = advance(state, splits, 1, engine=engine)
        weights.append(state.weights)
        # Logits are rounded otherwise here: two nearly equal rows may change places.
        off = 5e-4 if metric == "roc-auc" else 1e-12
        assert_allclose(state.history[epoch, -1], scores_of(state, splits)[metric], rtol=0, atol=off)
    assert (state.status, state.step) == ("finished", by_loss.step)
    assert_array_equal(state.history[:, :4], by_loss.history)
    assert_array_equal(state.weights, by_loss.weights)
    best = min(range(epochs), key=lambda epoch: (-state.history[epoch, -1], state.history[epoch, 2], epoch))
    assert state.best_epoch == best + 1
    assert_array_equal(state.best_weights, weights[best])
    at_once = advance(start(splits, params, Recipe(epochs, metric=metric)), splits, 100, engine=engine)
    assert_same(at_once, state)


@both_engines
def test_engines_write_the_score_behind_the_four_columns(make_splits: MakeSplits, engine: Engine) -> None:
    splits = make_splits(60, features=3, classes=3)
    for metric, columns in (("loss", 4), ("accuracy", 4), ("balanced-accuracy", 5), ("roc-auc", 5)):
        recipe = Recipe(2, metric=metric)  # type: ignore[arg-type] # one of the literals
        assert advance(start(splits, recipe=recipe), splits, 2, engine=engine).history.shape == (2, columns)


@both_engines
def test_trial_is_pruned_by_its_metric(spiral_splits: Splits, engine: Engine) -> None:
    recipe = Recipe(6, metric="accuracy")
    full = advance(start(spiral_splits, recipe=recipe), spiral_splits, 6, engine=engine)
    lowest = np.minimum.accumulate(1 - full.history[:, 3])
    prune_above = np.full(6, np.inf)
    prune_above[1], prune_above[3] = lowest[1], np.nextafter(lowest[3], 0)
    pruned = advance(start(spiral_splits, recipe=recipe), spiral_splits, 6, prune_above, engine=engine)
    assert (pruned.status, pruned.epoch) == ("pruned", 4)
    assert_array_equal(pruned.history, full.history[:4])


@both_engines
def test_of_epochs_with_equal_scores_the_one_with_the_lower_loss_is_the_best(
    make_splits: MakeSplits, engine: Engine
) -> None:
    apart = make_splits(40, classes=2)
    x, valid_x = (np.where(y == 0, -9.0, 9.0)[:, None].astype(np.float32) for y in (apart.train_y, apart.valid_y))
    splits = replace(apart, train_x=np.hstack([x, x]), valid_x=np.hstack([valid_x, valid_x]))
    state = advance(start(splits, recipe=Recipe(5, metric="roc-auc")), splits, 5, engine=engine)
    assert_array_equal(state.history[1:, 4], 1.0)
    assert state.best_epoch == int(np.argmin(state.history[:, 2])) + 1 > 2


@both_engines
def test_trial_that_diverges_has_no_best_epoch_by_a_score(spiral_splits: Splits, engine: Engine) -> None:
    for metric in ("accuracy", "roc-auc"):
        recipe = Recipe(3, metric=metric)
        state = start(spiral_splits, TrialParams(depth=4, width=64, lr=1e30, batch_size=4), recipe)
        diverged = advance(state, spiral_splits, 3, engine=engine)
        assert (diverged.status, diverged.epoch, diverged.best_epoch) == ("diverged", 1, 0)


@both_engines
def test_seven_epochs_equal_three_and_then_four(spiral_splits: Splits, engine: Engine) -> None:
    state = start(spiral_splits)
    halfway = advance(state, spiral_splits, 3, engine=engine)
    assert halfway.epoch == 3
    assert_same(advance(halfway, spiral_splits, 4, engine=engine), advance(state, spiral_splits, 7, engine=engine))


@both_engines
def test_the_input_is_not_changed(spiral_splits: Splits, engine: Engine) -> None:
    state, splits = start(spiral_splits), spiral_splits
    watched: list[Floats] = [state.weights, state.first_moment, state.second_moment, splits.train_x, splits.valid_x]
    before = [array.copy() for array in watched]
    trained = advance(state, splits, 2, engine=engine)
    for array, copy in zip(watched, before, strict=True):
        assert_array_equal(array, copy)
        assert not any(np.shares_memory(array, new) for new in (trained.weights, trained.best_weights))


@both_engines
def test_read_only_arrays_train_the_same(spiral_splits: Splits, engine: Engine) -> None:
    splits = replace(spiral_splits, train_x=spiral_splits.train_x.copy(), valid_y=spiral_splits.valid_y.copy())
    for array in (splits.train_x, splits.valid_y):
        array.flags.writeable = False
    state = start(splits)
    assert_same(advance(state, splits, 1, engine=engine), advance(state, spiral_splits, 1, engine=engine))


@both_engines
def test_a_trial_gives_the_same_bits_alone_and_beside_others(spiral_splits: Splits, engine: Engine) -> None:
    states = [start(spiral_splits, trial=trial) for trial in range(4)]
    alone = [advance(state, spiral_splits, 3, engine=engine) for state in states]
    with ThreadPoolExecutor(4) as pool:
        beside = list(pool.map(lambda state: advance(state, spiral_splits, 3, engine=engine), states))
    for a, b in zip(alone, beside, strict=True):
        assert_same(a, b)


@both_engines
def test_history_and_best_weights_belong_to_their_epochs(spiral_splits: Splits, engine: Engine) -> None:
    state = advance(start(spiral_splits, recipe=Recipe(6, "constant")), spiral_splits, 100, engine=engine)
    assert (state.status, state.epoch, state.step) == ("finished", 6, 6 * 60)
    assert state.best_epoch == int(np.argmin(state.history[:, 2])) + 1
    best = start(spiral_splits, recipe=Recipe(6, "constant"))
    best = advance(best, spiral_splits, state.best_epoch, engine=engine)
    assert_array_equal(state.best_weights, best.weights)
    assert advance(state, spiral_splits, 1, engine=engine) is state


@both_engines
def test_validation_metrics_are_of_the_weights_after_the_epoch(spiral_splits: Splits, engine: Engine) -> None:
    state = advance(start(spiral_splits), spiral_splits, 2, engine=engine)
    logits_VC = logits(state.weights, state.params, state.shape, spiral_splits.valid_x).astype(np.float64)
    log_sum = np.log(np.exp(logits_VC).sum(1))
    target = logits_VC[np.arange(len(logits_VC)), spiral_splits.valid_y]
    assert_allclose(state.history[-1, 2], (log_sum - target).mean(), rtol=1e-5)
    assert state.history[-1, 3] == (logits_VC.argmax(1) == spiral_splits.valid_y).mean()


@both_engines
def test_ties_go_to_the_lower_class(make_splits: MakeSplits, engine: Engine) -> None:
    splits = make_splits(60, classes=6)
    state = start(splits, replace(PARAMS, batch_size=60))
    flat = replace(state, weights=np.zeros_like(state.weights))
    trained = advance(flat, splits, 1, engine=engine)
    assert_allclose(trained.history[0, 0], np.log(6), rtol=1e-6)
    assert trained.history[0, 1] == (splits.train_y == 0).mean()


@both_engines
def test_a_trial_is_pruned_after_the_epoch_whose_threshold_it_misses(spiral_splits: Splits, engine: Engine) -> None:
    full = advance(start(spiral_splits), spiral_splits, 20, engine=engine)
    so_far = np.minimum.accumulate(full.history[:, 2])
    prune_above = np.full(20, np.inf)
    prune_above[1], prune_above[4], prune_above[5] = so_far[1], np.nextafter(so_far[4], 0), 0.0
    pruned = advance(start(spiral_splits), spiral_splits, 20, prune_above, engine=engine)
    assert (pruned.status, pruned.epoch, pruned.step) == ("pruned", 5, 5 * 60)
    assert_array_equal(pruned.history, full.history[:5])


@both_engines
def test_a_loss_that_is_not_finite_ends_the_trial_as_diverged(spiral_splits: Splits, engine: Engine) -> None:
    state = start(spiral_splits, TrialParams(depth=4, width=64, lr=1e30, batch_size=4))
    diverged = advance(state, spiral_splits, 20, engine=engine)
    assert (diverged.status, diverged.epoch, diverged.best_epoch) == ("diverged", 1, 0)
    assert not np.isfinite(diverged.history[-1, [0, 2]]).all()
    assert_array_equal(diverged.best_weights, state.weights)


@both_engines
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_one_row_that_is_not_finite_makes_the_trial_diverge(spiral_splits: Splits, engine: Engine, bad: float) -> None:
    splits = replace(spiral_splits, valid_x=spiral_splits.valid_x.copy())
    splits.valid_x[77, 1] = bad
    diverged = advance(start(splits), splits, 20, engine=engine)
    assert (diverged.status, diverged.epoch) == ("diverged", 1)
    assert np.isfinite(diverged.history[0, 0])
    assert not np.isfinite(diverged.history[0, 2])


@both_engines
def test_the_interrupt_flag_ends_a_long_epoch(make_splits: MakeSplits, engine: Engine) -> None:
    splits = make_splits(200_000)
    state = start(splits, TrialParams(depth=4, width=256, lr=1e-3, batch_size=4))
    interrupt = np.zeros(1, np.uint8)
    timer = threading.Timer(0.3, lambda: interrupt.__setitem__(0, 1))
    timer.start()
    # Without the flag this epoch would take ten seconds or more.
    with pytest.raises(TrainingInterrupted, match="interrupted before the asked epochs were done"):
        advance(state, splits, 1, engine=engine, interrupt=interrupt)
    timer.join()
    assert state.epoch == 0


@both_engines
def test_best_epoch_is_the_first_of_equal_ones(make_splits: MakeSplits, engine: Engine) -> None:
    still = replace(PARAMS, lr=1e-30)  # no step is large enough to change a weight
    state = advance(start(make_splits(40), still, Recipe(epochs=4)), make_splits(40), 4, engine=engine)
    assert len(set(state.history[:, 2].tolist())) == 1
    assert state.best_epoch == 1


@both_engines
def test_thresholds_are_by_epoch_of_the_trial_when_training_continues(make_splits: MakeSplits, engine: Engine) -> None:
    splits, prune_above = make_splits(60), np.array([np.inf, np.inf, np.inf, 0.0, np.inf])
    state = start(splits, recipe=Recipe(epochs=5))
    for epoch in range(1, 4):
        state = advance(state, splits, 1, prune_above, engine=engine)
        assert (state.epoch, state.status) == (epoch, "running")
    state = advance(state, splits, 2, prune_above, engine=engine)
    assert (state.epoch, state.status) == (4, "pruned")
