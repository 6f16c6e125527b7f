"""The options of `insects-search`, held against each other, as one request."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from insects.params import Recipe
from search.cli import image_options
from search.commands.search import SearchRequest
from search.study.data import DataRequest
from search.study.pruner import StoppingRule
from search.study.space import SearchSpace


def search_request(options: dict[str, Any]) -> SearchRequest:
    """What the options of `insects-search` ask for. Takes them out of `options`.

    Raises: click.UsageError: options that do not go together, or one that would be ignored.
    """
    images = image_options.pop_request(options)
    if images is None:
        _check_table_options(options)
    options["target"] = options["target"] or ("labels" if images is None else "species")
    data = {name: options.pop(name) for name in ("train", "target", "features", "test", "test_fraction", "split_seed")}
    space = {name: options.pop(name) for name in ("depth", "width", "lr", "batch_size")}
    return SearchRequest(
        data=DataRequest(**data, images=images),
        space=SearchSpace(**space),
        recipe=Recipe(options.pop("epochs"), options.pop("schedule")),
        stopping=StoppingRule(*options.pop("pruner")),
        **options,
    )


def _check_table_options(values: dict[str, Any]) -> None:
    """Raises: click.UsageError: an option that would be ignored."""
    asked = click.get_current_context().get_parameter_source
    fraction_given = asked("test_fraction") != ParameterSource.DEFAULT
    if fraction_given and values["test"] is not None:
        raise click.UsageError("--test-fraction holds rows of the table out, and --test gives them: leave one out.")
    if values["train"] is None:
        given = {"--features": values["features"], "--test-fraction": fraction_given}
        given["--target"] = values["target"] and values["test"] is None
        for name in (name for name, is_given in given.items() if is_given):
            raise click.UsageError(f"{name} is about your own table: add --train.")
