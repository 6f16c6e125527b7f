"""The options that spell out what their sources hold, so that `--help` need not import them."""

from __future__ import annotations

from search.cli import options


def test_choices_that_the_options_spell_out_are_those_of_their_sources() -> None:
    from insects.devices import DEVICES
    from insects.training import ENGINES
    from search.reports.descriptions import FIGURE_FORMATS
    from search.study.sampler import SAMPLERS

    assert options.FIGURES == FIGURE_FORMATS
    assert (options.SAMPLERS, options.ENGINES, options.DEVICES) == (SAMPLERS, ENGINES, DEVICES)
