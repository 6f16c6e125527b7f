"""Proposals of Optuna's samplers: a pure function of the seed, the trial's number and the results told before it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from insects.params import TrialParams
from insects.trial import TrialResult
from search.study.space import SearchSpace, as_dict

if TYPE_CHECKING:
    import optuna
    import scipy

SamplerName = Literal["tpe", "random", "gp", "qmc"]
SAMPLERS: tuple[SamplerName, ...] = get_args(SamplerName)

# TPE compares at most the 25 best trials with all others, and its time grows with both. Beyond THINNED + BLOCK told
# trials it sees the BEST ones, an even sample of the rest up to THINNED in all, and those told since the last block.
BEST, THINNED, BLOCK = 25, 128, 128
_LEARNING = ("tpe", "gp")  # the other samplers see no results


STARTUP_TRIALS = 10
"""Trials that TPE and the Gaussian process must know before they propose by them; Optuna's default."""


def ignores_results(sampler: SamplerName, told: int) -> bool:
    """Tell whether a sampler proposes the same whatever the results are, when so many are told."""
    return sampler in ("random", "qmc") or told < STARTUP_TRIALS


class Proposer:
    """Asks Optuna's samplers through a study in memory that holds exactly what the sampler may know.

    Nothing of it outlives the process: told the same results in the same order, it proposes the same parameters.

    Args:
        space: Where it proposes.
        sampler: The name of the sampler.
        seed: The study's seed.
        configs: The parameters of the first trials, which are not proposed.
    """

    def __init__(
        self, space: SearchSpace, sampler: SamplerName, seed: int, configs: Sequence[TrialParams] = ()
    ) -> None:
        import optuna

        self._space, self._sampler, self._seed, self._configs = space, sampler, seed, tuple(configs)
        self._told: list[TrialResult] = []
        self._running: dict[int, TrialParams] = {}
        self._ids: dict[int, int] = {}
        self._seen = 0
        self._sobol: tuple[int, scipy.stats.qmc.Sobol] | None = None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._storage, self._study = _empty_study()

    @property
    def told(self) -> Sequence[TrialResult]:
        """The results told so far, in order."""
        return self._told

    def ask(self, number: int) -> TrialParams:
        """Return the parameters of trial `number`, which is running from then on."""
        if number < len(self._configs):
            return self.assume(number, self._configs[number])
        if self._sampler == "qmc":
            return self.assume(number, self._space.from_unit_cube(*self._quasi_random(number)))
        self._thin()
        self._study.sampler = self._rebuilt_sampler(number)
        with self._one_order_of_sums():
            trial = self._study.ask()
            params = self._space.suggest(trial)
        self._running[number] = params
        if self._sampler in _LEARNING:
            self._ids[number] = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, trial.number)
        return params

    def assume(self, number: int, params: TrialParams) -> TrialParams:
        """Let trial `number` run with given parameters; the sampler never sees parameters outside the space."""
        self._running[number] = params
        if self._sampler in _LEARNING and params in self._space:
            self._ids[number] = self._add(params, None)
        return params

    def tell(self, result: TrialResult) -> None:
        """Tell the sampler how a running trial ended."""
        del self._running[result.number]
        self._told.append(result)
        if (trial_id := self._ids.pop(result.number, None)) is not None:
            _finish(self._storage, trial_id, result)

    def _one_order_of_sums(self) -> AbstractContextManager[None]:
        """Run torch on one thread: the order of its sums, and so a Gaussian process's proposals, depend on threads."""
        if self._sampler != "gp":
            return nullcontext()
        from insects.training.threads import one_thread

        return one_thread()

    def _rebuilt_sampler(self, number: int) -> optuna.samplers.BaseSampler:
        import optuna

        seed = int(np.random.SeedSequence(self._seed, spawn_key=(number,)).generate_state(1)[0])
        if self._sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        sampler: optuna.samplers.BaseSampler
        if self._sampler == "gp":
            # It takes the infinite loss of a diverged trial for the worst finite one, which is right.
            warnings.filterwarnings("ignore", "Clip non-finite values", UserWarning)
            sampler = optuna.samplers.GPSampler(seed=seed, n_startup_trials=STARTUP_TRIALS)
        else:
            sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS)
        # All trials share one space. Optuna would find that out from every trial, which is half of TPE's time.
        distributions = {name: d for name, d in self._space.distributions().items() if not d.single()}
        sampler.infer_relative_search_space = lambda study, trial: distributions  # type: ignore[method-assign]
        return sampler

    def _thin(self) -> None:
        block = len(self._told) // BLOCK * BLOCK
        if block == self._seen or block < THINNED + BLOCK:
            return
        self._seen = block
        self._storage, self._study = _empty_study()
        if self._sampler not in _LEARNING:
            return
        known = [result for result in self._told[:block] if result.params in self._space]
        chosen = _even_sample(known) + [result for result in self._told[block:] if result.params in self._space]
        for result in chosen:
            self._add(result.params, result)
        running = {number: params for number, params in self._running.items() if params in self._space}
        self._ids = {number: self._add(params, None) for number, params in running.items()}

    def _quasi_random(self, number: int) -> NDArray[np.float64]:
        """Return point `number` of the scrambled sequence, in the unit cube."""
        from scipy.stats import qmc

        if self._sobol is None or self._sobol[0] != number:
            sobol = qmc.Sobol(d=4, scramble=True, rng=self._seed)
            if number:  # SciPy cannot skip nothing
                sobol.fast_forward(number)
        else:
            sobol = self._sobol[1]
        point: NDArray[np.float64] = sobol.random()[0]
        self._sobol = number + 1, sobol
        return point

    @property
    def _study_id(self) -> int:
        return self._storage.get_study_id_from_name(self._study.study_name)

    def _add(self, params: TrialParams, result: TrialResult | None) -> int:
        import optuna

        trial = optuna.trial.create_trial(
            state=optuna.trial.TrialState.RUNNING,
            params=as_dict(params),
            distributions=self._space.distributions(),
        )
        trial_id = self._storage.create_new_trial(self._study_id, template_trial=trial)
        if result is not None:
            _finish(self._storage, trial_id, result)
        return trial_id


def _empty_study() -> tuple[optuna.storages.BaseStorage, optuna.Study]:
    import optuna

    storage = optuna.storages.InMemoryStorage()
    return storage, optuna.create_study(storage=storage)


def _finish(storage: optuna.storages.BaseStorage, trial_id: int, result: TrialResult) -> None:
    from optuna.trial import TrialState

    if result.state == "complete":
        storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [result.objective])
    elif result.state == "pruned":
        for epoch, value in enumerate(result.objectives, start=1):
            storage.set_trial_intermediate_value(trial_id, epoch, float(value))
        storage.set_trial_state_values(trial_id, TrialState.PRUNED, [float(result.objectives[-1])])
    else:
        storage.set_trial_state_values(trial_id, TrialState.FAIL)


def _even_sample(results: Sequence[TrialResult]) -> list[TrialResult]:
    ranked = sorted(results, key=lambda result: (result.objective, result.number))
    rest = sorted(ranked[BEST:], key=lambda result: result.number)
    places = np.linspace(0, len(rest) - 1, min(len(rest), THINNED - BEST)).round().astype(int)
    chosen = ranked[:BEST] + [rest[place] for place in places]
    return sorted(chosen, key=lambda result: result.number)
