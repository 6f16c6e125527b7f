"""Where the time of a search goes."""

from __future__ import annotations

from search.commands.timing import covered


def test_time_that_several_trials_trained_in_counts_once() -> None:
    assert covered([]) == 0
    assert covered([(5.0, 6.0), (0.0, 2.0), (1.0, 3.0), (1.5, 2.5)]) == 4.0
    assert covered([(0.0, 1.0), (1.0, 2.0)]) == 2.0
