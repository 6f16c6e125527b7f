"""The compiled engine: its numbers, its calls of the kernel, and what it loads."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from insects import mlp
from insects.params import Recipe, Schedule, TrialParams
from insects.splits import Splits
from insects.training import advance, compiled, init, kernel
from tests.support.small_training import small_training

PROJECT = Path(__file__).parents[3]


def test_history_equals_the_golden_one(spiral_splits: Splits) -> None:
    """A refactor gives the same numbers; other processors differ in the last digits."""
    state = init(TrialParams(2, 24, 1e-2, 16), Recipe(4), spiral_splits.shape, seed=42, trial=7)
    assert_allclose(advance(state, spiral_splits, 4).history, GOLDEN, rtol=2e-2, atol=2e-2)
    first = init(TrialParams(2, 24, 1e-4, 64), Recipe(4), spiral_splits.shape, seed=42, trial=7)
    assert_allclose(advance(first, spiral_splits, 1).history, GOLDEN_FIRST, rtol=1e-5)


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_step_constants_are_the_recipes_rates_and_adams_corrections(schedule: Schedule) -> None:
    recipe = Recipe(7, schedule)
    constants = compiled.step_constants(0.03, recipe, first_step=20, count=50, steps_an_epoch=10)
    for index, step in enumerate(range(20, 70)):
        rate = recipe.learning_rate(0.03, step, 70)
        root = np.sqrt(1 - 0.999 ** (step + 1))
        assert_allclose(constants.step_size[index], rate * root / (1 - 0.9 ** (step + 1)), rtol=1e-6)
        assert_allclose(constants.epsilon[index], 1e-8 * root, rtol=1e-6)


def test_epochs_in_several_calls_of_the_kernel_equal_one_call(
    spiral_splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = init(TrialParams(1, 16, 1e-2, 32), Recipe(5), spiral_splits.shape, seed=0, trial=0)
    at_once = advance(state, spiral_splits, 5)
    monkeypatch.setattr(compiled, "_ROWS_AT_ONCE", 2 * 960)
    in_parts = advance(state, spiral_splits, 5)
    assert_array_equal(in_parts.history, at_once.history)
    assert_array_equal(in_parts.weights, at_once.weights)
    assert in_parts.best_epoch == at_once.best_epoch


def test_units_that_died_cost_no_accuracy_and_their_moments_reach_zero(spiral_splits: Splits) -> None:
    state = init(TrialParams(1, 16, 1e-3, 4), Recipe(8), spiral_splits.shape, seed=0, trial=0)
    weight, bias = mlp.unflatten(state.weights, state.params, state.shape)[0]
    weight[3], bias[3] = 0, -100
    state.first_moment[:] = 1e-5
    trained = advance(state, spiral_splits, 8)
    moment, _ = mlp.unflatten(trained.first_moment, state.params, state.shape)[0]
    assert_array_equal(moment[3], [0, 0])
    assert trained.history[-1, 0] < 1.5


PROCESSORS = {
    "AVX2": {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+sse4.1,+avx,+avx2,+fma"},
    "SSE2": {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": ""},
    "this one, two BLAS threads": {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"},
}


@pytest.mark.slow
def test_every_kind_of_processor_trains_the_same_network(tmp_path: Path) -> None:
    if sys.platform == "darwin" or os.uname().machine != "x86_64":
        pytest.skip("the kinds are those of x86-64")
    script = "import sys; from tests.support.small_training import *; save_small_training(sys.argv[1])"
    outcomes = {}
    for number, (name, environment) in enumerate(PROCESSORS.items()):
        file = tmp_path / f"{number}.npz"
        command = [sys.executable, "-W", "error", "-c", script, str(file)]
        subprocess.run(command, env=os.environ | environment, cwd=PROJECT, check=True, timeout=300)
        outcomes[name] = np.load(file)
    expected = small_training()
    assert (outcomes["AVX2"]["lanes"], outcomes["SSE2"]["lanes"]) == (8, 4)
    for outcome in outcomes.values():
        assert_allclose(outcome["history"], expected.history, rtol=1e-4)
        assert_allclose(outcome["weights"], expected.weights, rtol=1e-3, atol=1e-4)
    assert_array_equal(outcomes["this one, two BLAS threads"]["weights"], expected.weights)


def test_warm_up_compiles_all_that_training_needs(spiral_splits: Splits) -> None:
    compiled.warm_up()
    frozen = replace(spiral_splits, train_x=spiral_splits.train_x.copy(), valid_y=spiral_splits.valid_y.copy())
    for array in (frozen.train_x, frozen.valid_y):
        array.flags.writeable = False
    for splits in (spiral_splits, frozen):
        advance(init(TrialParams(2, 24, 1e-2, 16), Recipe(1), splits.shape, seed=0, trial=0), splits, 1)
    assert len(kernel.train.signatures) == 1


def test_importing_and_running_the_engine_loads_no_framework() -> None:
    script = (
        "import sys; from insects.training import compiled; compiled.warm_up();"
        "print(sorted({'torch', 'pandas', 'sklearn', 'matplotlib', 'optuna', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


GOLDEN = [
    [1.3973695, 0.2552083, 1.2101947, 0.3416667],
    [1.0853173, 0.5145833, 0.9213358, 0.6916667],
    [0.8229489, 0.7312500, 0.7436518, 0.8000000],
    [0.7267136, 0.7895833, 0.7189834, 0.8208333],
]
GOLDEN_FIRST = [
    [1.6237938, 0.1895833, 1.6139879, 0.2000000],
]
