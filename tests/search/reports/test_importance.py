"""Importances of the parameters: those of Optuna, for the parameters that are not fixed."""

from __future__ import annotations

import numpy as np
import pytest

from insects.params import TrialParams
from search.reports.importance import importances
from search.study.space import SearchSpace, as_dict

SPACES = {
    "default": SearchSpace(),
    "some fixed": SearchSpace(depth=(2, 2), batch_size=(32,)),
    "wide": SearchSpace(width=(1, 2048), lr=(1e-6, 1.0)),
    "two values": SearchSpace(depth=(1, 2), width=(8, 9), batch_size=(4, 8)),
}


def drawn(space: SearchSpace, count: int) -> tuple[list[TrialParams], list[float]]:
    generator = np.random.default_rng(count)
    params = [space.from_unit_cube(*generator.random(4)) for _ in range(count)]
    losses = [abs(np.log10(p.lr) + 2) + 0.1 * p.depth + 0.1 * float(generator.normal()) for p in params]
    return params, losses


@pytest.mark.parametrize("count", [2, 11, 50, 300])
@pytest.mark.parametrize("name", SPACES)
def test_importances_equal_those_of_optuna(name: str, count: int) -> None:
    import optuna

    space = SPACES[name]
    params, losses = drawn(space, count)
    study = optuna.create_study()
    for point, loss in zip(params, losses, strict=True):
        study.add_trial(
            optuna.trial.create_trial(params=as_dict(point), distributions=space.distributions(), value=loss)
        )
    expected = optuna.importance.get_param_importances(study)
    found = importances(space, params, losses)
    assert found == pytest.approx({key: share for key, share in expected.items() if key in found}, abs=1e-12)
    assert sum(found.values()) == pytest.approx(1)
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_parameter_that_decides_comes_first() -> None:
    params, losses = drawn(SearchSpace(), 300)
    assert next(iter(importances(SearchSpace(), params, losses))) == "lr"


def test_too_few_or_equal_trials_have_no_importances() -> None:
    space = SearchSpace()
    params, losses = drawn(space, 20)
    assert importances(space, [], []) == {}
    assert importances(space, params[:1], losses[:1]) == {}
    assert importances(space, params, [0.5] * 20) == {}
    assert importances(space, params, [np.inf] * 20) == {}
    fixed = SearchSpace(depth=(1, 1), width=(8, 8), lr=(0.1, 0.1), batch_size=(4,))
    assert importances(fixed, [TrialParams(1, 8, 0.1, 4)] * 20, losses) == {}


def test_trials_without_a_finite_loss_do_not_count() -> None:
    space = SearchSpace()
    params, losses = drawn(space, 40)
    worse = [np.inf if number % 4 == 0 else loss for number, loss in enumerate(losses)]
    kept = [number for number in range(40) if number % 4]
    assert importances(space, params, worse) == importances(space, [params[n] for n in kept], [losses[n] for n in kept])
