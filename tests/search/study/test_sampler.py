"""Proposals depend on the seed, the trial's number and the results told before, and on nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insects.params import TrialParams
from insects.trial import TrialResult
from search.cli.options import SAMPLERS as OPTION_SAMPLERS
from search.study.sampler import BEST, BLOCK, SAMPLERS, THINNED, Proposer, SamplerName
from search.study.space import SearchSpace
from tests.support.studies import SPACE, a_failure, a_result, loss_of

WINDOW = 4
EACH_SAMPLER = [*[name for name in SAMPLERS if name != "gp"], pytest.param("gp", marks=pytest.mark.slow)]


def ended(number: int, params: TrialParams) -> TrialResult:
    """A result that is complete, failed, pruned or diverged, by its number."""
    loss = loss_of(params)
    if number % 7 == 3:
        return a_failure(number, params)
    if number % 7 == 5:
        return a_result(number, params, (loss + 1, loss), "pruned", "pruned: …")
    if number % 11 == 6:
        return a_result(number, params, (math.nan,), "complete", "diverged: …")
    return a_result(number, params, (loss + 1, loss, loss + 0.5))


def proposals(
    sampler: SamplerName, count: int, known: int = 0, configs: tuple[TrialParams, ...] = (), seed: int = 0
) -> list[TrialParams]:
    """The parameters of `count` trials in a window; the first `known` have results already, as after a restart."""
    told_before = proposals(sampler, known, configs=configs, seed=seed) if known else []
    proposer = Proposer(SPACE, sampler, seed, configs)
    asked: list[TrialParams] = []
    for number in range(count):
        if number >= WINDOW:
            proposer.tell(ended(number - WINDOW, asked[number - WINDOW]))
        asked.append(proposer.assume(number, told_before[number]) if number < known else proposer.ask(number))
    return asked


@pytest.mark.parametrize("sampler", EACH_SAMPLER)
@pytest.mark.parametrize("known", [3, 15])
def test_proposals_after_a_restart_equal_those_without_one(sampler: SamplerName, known: int) -> None:
    assert proposals(sampler, 18, known) == proposals(sampler, 18)


def test_proposals_after_a_restart_beyond_the_thinning_equal_those_without_one() -> None:
    count = THINNED + BLOCK + WINDOW + 8
    uninterrupted = proposals("tpe", count)
    proposer = Proposer(SPACE, "tpe", 0)
    for number, params in enumerate(uninterrupted[:-3]):
        if number >= WINDOW:
            proposer.tell(ended(number - WINDOW, uninterrupted[number - WINDOW]))
        proposer.assume(number, params)
    for number in range(count - 3, count):
        proposer.tell(ended(number - WINDOW, uninterrupted[number - WINDOW]))
        assert proposer.ask(number) == uninterrupted[number]


@pytest.mark.parametrize("sampler", EACH_SAMPLER)
def test_other_seed_gives_other_proposals(sampler: SamplerName) -> None:
    assert proposals(sampler, 6, seed=1) != proposals(sampler, 6)


def test_tpe_learns_from_the_results() -> None:
    tail = [loss_of(params) for params in proposals("tpe", 60)[40:]]
    random = [loss_of(params) for params in proposals("random", 60)[40:]]
    assert np.mean(tail) < 0.7 * np.mean(random)


def test_thinning_keeps_the_best_results_and_bounds_their_number() -> None:
    proposer = Proposer(SPACE, "tpe", 0)
    told: list[TrialResult] = []
    sizes = []
    for number in range(THINNED + 3 * BLOCK):
        params = TrialParams(depth=1, width=8 + number % 9, lr=10 ** (-4 + 3 * (number * 0.618 % 1)), batch_size=16)
        proposer.assume(number, params) if number % 10 else proposer.ask(number)
        told.append(ended(number, proposer._running[number]))
        proposer.tell(told[-1])
        sizes.append(len(proposer._study.get_trials(deepcopy=False)))
    assert max(sizes) <= THINNED + 2 * BLOCK + 10
    assert sizes[-1] <= THINNED + BLOCK
    seen = {trial.value for trial in proposer._study.get_trials(deepcopy=False) if trial.values}
    best = sorted(result.valid_loss for result in told)[: BEST - 1]
    assert set(best) <= seen


def test_sampler_is_told_the_objective_whatever_the_metric() -> None:
    asked = []
    for metric in ("loss", "accuracy"):
        proposer = Proposer(SPACE, "tpe", 0)
        for number in range(16):
            params = proposer.ask(number)
            losses = (0.5, round(64 * loss_of(params)) / 512)  # in binary, so that 1 - (1 - loss) is the loss
            proposer.tell(a_result(number, params, losses, metric=metric))
        asked.append([result.params for result in proposer.told])
        told = [trial.value for trial in proposer._study.get_trials(deepcopy=False)]
        assert told == [result.objective for result in proposer.told]
    assert asked[0] == asked[1]


def test_study_whose_configurations_lie_outside_the_space_can_be_thinned() -> None:
    outside = TrialParams(depth=3, width=500, lr=0.5, batch_size=7)
    count = THINNED + BLOCK
    proposer = Proposer(SPACE, "tpe", 0, [outside] * count)
    for number in range(count):
        proposer.tell(a_result(number, proposer.ask(number)))
    assert proposer.ask(count) in SPACE


def test_quasi_random_points_are_those_of_one_scrambled_sobol_sequence() -> None:
    from scipy.stats import qmc

    points = qmc.Sobol(d=4, scramble=True, rng=5).random(16)
    assert proposals("qmc", 16, seed=5) == [SPACE.from_unit_cube(*point) for point in points]


def test_quasi_random_points_do_not_depend_on_the_order_of_asking() -> None:
    forward, backward = Proposer(SPACE, "qmc", 3), Proposer(SPACE, "qmc", 3)
    expected = {number: forward.ask(number) for number in range(9)}
    assert {number: backward.ask(number) for number in reversed(range(9))} == expected


@pytest.mark.parametrize("sampler", EACH_SAMPLER)
def test_configurations_come_first_and_the_sampler_sees_only_those_in_the_space(sampler: SamplerName) -> None:
    outside = TrialParams(depth=3, width=500, lr=0.5, batch_size=7)
    inside = TrialParams(depth=1, width=9, lr=0.05, batch_size=16)
    proposer = Proposer(SPACE, sampler, 0, [outside, inside, inside])
    asked = [proposer.ask(number) for number in range(14)]
    assert asked[:3] == [outside, inside, inside]
    assert all(params in SPACE for params in asked[3:])
    if sampler in ("tpe", "gp"):  # the others learn nothing
        seen = [trial.params for trial in proposer._study.get_trials(deepcopy=False)]
        assert [params["width"] for params in seen] == [params.width for params in asked[1:]]
    for number, params in enumerate(asked):
        proposer.tell(ended(number, params))
    assert proposer.ask(14) in SPACE


@pytest.mark.parametrize("sampler", ["random", "qmc"])
def test_proposals_that_depend_on_no_result_are_the_same_in_any_order(sampler: SamplerName) -> None:
    in_order = proposals(sampler, THINNED + BLOCK + 8)
    for number in (0, 7, len(in_order) - 1):
        proposer = Proposer(SPACE, sampler, 0)
        asked = [proposer.ask(number)] + [proposer.ask(other) for other in (3, 4, 2)]
        assert asked == [in_order[place] for place in (number, 3, 4, 2)]


bounds = st.tuples(st.integers(1, 300), st.integers(0, 300)).map(lambda pair: (pair[0], sum(pair)))
spaces = st.builds(
    SearchSpace,
    depth=st.tuples(st.integers(0, 6), st.integers(0, 4)).map(lambda pair: (pair[0], sum(pair))),
    width=bounds,
    lr=st.tuples(st.floats(1e-8, 10), st.floats(1, 1e4)).map(lambda pair: (pair[0], pair[0] * pair[1])),
    batch_size=st.lists(st.integers(1, 1000), min_size=1, max_size=5, unique=True).map(tuple),
)


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc"])
@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(space=spaces, seed=st.integers(0, 2**32 - 1))
def test_every_proposal_lies_in_the_space(sampler: SamplerName, space: SearchSpace, seed: int) -> None:
    proposer = Proposer(space, sampler, seed)
    for number in range(12):
        params = proposer.ask(number)
        assert params in space
        proposer.tell(ended(number, params))


@pytest.mark.slow
def test_every_gp_proposal_lies_in_the_space_also_at_its_bounds() -> None:
    space = SearchSpace(depth=(2, 2), width=(7, 8), lr=(1e-3, 1e-3), batch_size=(5, 3))
    proposer = Proposer(space, "gp", 1)
    for number in range(13):
        params = proposer.ask(number)
        assert params in space
        proposer.tell(ended(number, params))


def test_options_list_every_sampler() -> None:
    assert OPTION_SAMPLERS == SAMPLERS
