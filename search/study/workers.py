"""How many trials are trained side by side: one a core, or as many as the memory holds."""

from __future__ import annotations

import os

from insects import memory
from insects.errors import StudyError
from insects.params import TrialParams
from insects.splits import Splits
from search.study.config import Plan
from search.system.terminal import say

_OF_FIGURES = 3  # times the rows


def trials_at_once(asked: int | None, plan: Plan, splits: Splits) -> int:
    """`asked`, or one a core, or fewer where the largest trials of the space would not fit into memory together.

    Fewer change no result. What is trained on another device takes that device's memory, and is not looked at.
    Raises: StudyError: not even one of the largest fits.
    """
    wanted = asked or os.cpu_count() or 1
    free = memory.available()
    if free is None or plan.choice.device != "cpu":
        return wanted
    # The process that draws the figures holds the rows too, and computes with them.
    free = max(0, free - _OF_FIGURES * (splits.train_x.nbytes + splits.valid_x.nbytes))
    space, (rows, shape) = plan.space, (len(splits.train_y), splits.shape)
    largest = TrialParams(space.depth[1], space.width[1], space.lr[1], max(space.batch_size))
    needed = memory.training_bytes(largest, shape, rows, plan.choice.engine)
    if needed > free:
        raise StudyError(
            f"a trial with {largest.depth} hidden layers of {largest.width} units on {shape.features:,} inputs "
            f"must fit into memory: it takes about {memory.gigabytes(needed)}, {memory.gigabytes(free)} are free; "
            "lower --width, give fewer inputs (--image-size, --features), or end other programs"
        )
    given = [memory.training_bytes(config, shape, rows, plan.choice.engine) for config in plan.configs]
    # A configuration that was asked for and does not fit alone is a trial that fails, not the search's end.
    needed = max(needed, *(size for size in given if size <= free), 1)
    fitting = free // needed
    if fitting < wanted:
        say(f"Trials side by side: {fitting}, since one may take {memory.gigabytes(needed)} of memory")
    return min(wanted, fitting)
