"""Options as one frozen request a command. Options that contradict each other are refused here, and only here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from search.cli.options import DEMO

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from insects.tables.text_files import TableFormat
    from search.commands.describe import DescribeRequest
    from search.commands.evaluation_data import EvaluationRequest
    from search.commands.prediction_data import PredictionRequest
    from search.commands.search_request import SearchRequest
    from search.study.data import ImageRequest

_Request = TypeVar("_Request", bound="DataclassInstance")

Options = Mapping[str, Any]
"""The values of a command's options, by the names of its parameters."""

_ARGUMENTS = {"table": "TABLE", "label": "TARGET"}
_OF_SYNC = ("sync", "study", "store", "tracking_uri", "storage", "quiet", "as_json")
_OF_IMAGES = ("image_dir", "filename", "image_size", "backbone", "weights", "skip_bad_images")
_FORMAT = ("separator", "decimal", "encoding")
_OF_OWN_TABLE = ("features", "categorical", "numeric", "drop", "drop_rare_classes")
_OF_TABLES = ("train", *_OF_OWN_TABLE, *_FORMAT, "test")


def search_request(options: Options) -> SearchRequest:
    """Return what the options of `insects-search` ask for.

    Raises:
        click.UsageError: Options contradict each other, or one would be ignored.
    """
    options = _with_positional(options)
    if options["quiet"] and options["verbose"]:
        raise click.UsageError("--quiet shows less and --verbose more: leave one out.")
    if options["check"] and options["verbose"]:
        raise click.UsageError("--verbose says where the time of a search went, and --check is none: leave one out.")
    images = _image_request(options)
    if images is None:
        _check_table(options)
    _check_final(options)
    _check_workers(options)
    from search.commands.search_request import RecipeRequest, SearchRequest
    from search.study.config import FinalSettings
    from search.study.data import IMAGE_TARGET, TABLE_TARGET, DataRequest
    from search.study.pruner import PercentilePruner
    from search.study.space import SearchSpace

    target = options["target"] or (TABLE_TARGET if images is None else IMAGE_TARGET)
    groups = {
        "data": _build(DataRequest, {**_column_options(options), "images": images, "target": target}),
        "space": _build(SearchSpace, options),
        "recipe": _build(RecipeRequest, options),
        "pruner": PercentilePruner(*options["pruner"]),
        "final": _build(FinalSettings, options),
    }
    return _build(SearchRequest, {**options, **groups})


def _with_positional(options: Options) -> Options:
    """Return the options with TABLE and TARGET as `--train` and `--target`."""
    merged = dict(options)
    for argument, name in (("table", "train"), ("label", "target")):
        if options[argument] is None:
            continue
        if _source(name) == ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{_option(argument)} and {_option(name)} say the same: leave one out.")
        merged[name] = options[argument]
    if options["table"] is not None and options["images"] is not None:
        raise click.UsageError("TABLE is a table, and --images takes the place of one: leave one out.")
    return merged


def check_sync(options: Iterable[str]) -> None:
    """Check that `insects-search --sync` has no options of a search.

    Raises:
        click.UsageError: It has.
    """
    for name in options:
        if name not in _OF_SYNC and _source(name) == ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--sync searches nothing: leave out {_option(name)}.")


def check_ui(dashboard: bool, study: str | None) -> None:
    """Check that `insects-ui --dashboard` has no options of MLflow's pages.

    Raises:
        click.UsageError: It has.
    """
    if dashboard and study is not None:
        raise click.UsageError("--dashboard lists all studies of the store: leave out --study.")
    if dashboard and _source("tracking_uri") == ParameterSource.COMMANDLINE:
        raise click.UsageError("--dashboard shows the journal of --store, not MLflow: leave out --tracking-uri.")


def evaluation_request(options: Options) -> EvaluationRequest:
    """Return the test data that the options of `insects-evaluate` ask for.

    Raises:
        click.UsageError: Options contradict each other, or one would be ignored.
    """
    _check_model(options)
    test, images = options["test"], options["images"]
    of_images = [_option(name) for name in ("image_dir", "filename", "skip_bad_images") if options[name]]
    if test and images:
        raise click.UsageError("--test brings rows and --images brings images: leave one out.")
    if test and of_images:
        raise click.UsageError(f"{of_images[0]} is about images, and --test brings rows of a table: leave one out.")
    if images:
        _check_image_dir(images, [name for name in ("image_dir", "filename", "target") if options[name]])
    if options["target"] and not (test or images):
        raise click.UsageError("--target is about a file of your own: add --test or --images.")
    if options["filename"] and not images:
        raise click.UsageError("--filename is about a file of your own: add --images.")
    of_text = [_option(name) for name in _FORMAT if options[name]]
    if of_text and not test:
        raise click.UsageError(f"{of_text[0]} is about a table of your own: add --test.")
    from search.commands.evaluation_data import EvaluationRequest

    return _build(EvaluationRequest, _column_options(options))


def prediction_request(options: Options) -> PredictionRequest:
    """Return the rows or images that the options of `insects-predict` ask for.

    Raises:
        click.UsageError: Options contradict each other, or one would be ignored.
    """
    _check_model(options)
    rows, images = options["rows"], options["images"]
    if rows and images:
        raise click.UsageError("FILE brings rows and --images brings images: leave one out.")
    if not (rows or images):
        raise click.UsageError("Say what to label: FILE with rows, or --images.")
    of_images = [_option(name) for name in ("image_dir", "filename", "skip_bad_images") if options[name]]
    if rows and of_images:
        raise click.UsageError(f"{of_images[0]} is about images, and FILE brings rows of a table: leave one out.")
    of_text = [_option(name) for name in _FORMAT if options[name]]
    if images and of_text:
        raise click.UsageError(f"{of_text[0]} is about a table, and --images takes the place of one: leave one out.")
    if images:
        _check_image_dir(images, [name for name in ("image_dir", "filename") if options[name]])
    from search.commands.prediction_data import PredictionRequest

    return _build(PredictionRequest, _column_options(options))


def describe_request(options: Options) -> DescribeRequest:
    """Return the data that the options of `insects-describe` ask for.

    Raises:
        click.UsageError: Options contradict each other, or one would be ignored.
    """
    images = _image_request(options)
    for name in ("features", "target", "categorical", "numeric", "drop", "group", *_FORMAT):
        if options[name] and images is None and options["train"] is None:
            raise click.UsageError(f"{_option(name)} is about your own table: add --train.")
    if images is None:
        _check_columns(options)
    cached = images is not None  # images are cached in the store
    if not options["log"] and (options["tracking_uri"] or (is_given("store") and not cached)):
        raise click.UsageError("--store and --tracking-uri say where to log: add --log.")
    if options["figures"] == "svg" and options["out"] is None:
        raise click.UsageError("--figures svg is about the files of a folder: add --out.")
    from search.commands.describe import DescribeRequest

    return _build(DescribeRequest, {**_column_options(options), "images": images})


def table_format(options: Options) -> TableFormat | None:
    """Return how a text file is read, as far as options say so; None: by looking at it."""
    values = {name: options[name] for name in _FORMAT}
    if not any(values.values()):
        return None
    from insects.tables.text_files import TableFormat

    return TableFormat(**values)


def is_given(name: str) -> bool:
    """Tell whether an option of the running command was given, by its parameter's name."""
    return _source(name) != ParameterSource.DEFAULT


def _source(name: str) -> ParameterSource | None:
    return click.get_current_context().get_parameter_source(name)


def _image_request(options: Options) -> ImageRequest | None:
    """Return the images asked for; None if a table is."""
    csv: Path | None = options["images"]
    values = {name: options.get(name) for name in (*_OF_IMAGES, "group")}  # insects-describe has some of them
    given = [name for name in _OF_IMAGES if values[name]]
    if csv is None:
        if given:
            raise click.UsageError(f"{_option(given[0])} is about images: add --images.")
        return None
    of_tables = [name for name in _OF_TABLES if options.get(name)]
    of_tables += ["scaling"] if "scaling" in options and is_given("scaling") else []
    if of_tables:
        raise click.UsageError(
            f"{_option(of_tables[0])} is about a table, and --images takes the place of one: leave one out."
        )
    own = [name for name in ("image_dir", "group", "filename", "target") if options.get(name)]
    if csv == DEMO and own:
        raise click.UsageError(f"--images demo has its own folder, species and specimens: leave out {_option(own[0])}.")
    if csv != DEMO:
        _check_image_dir(csv, own)
    from insects.images.features import BACKBONE_SIZE, PIXEL_SIZE, FeatureRecipe
    from search.study.data import ImageRequest

    size = values["image_size"] or (BACKBONE_SIZE if values["backbone"] else PIXEL_SIZE)
    return ImageRequest(
        csv=None if csv == DEMO else csv,
        folder=values["image_dir"],
        group=values["group"],
        filename=values["filename"] or "filename",
        recipe=FeatureRecipe(size, values["backbone"], values["weights"]),
        skip_bad=bool(values["skip_bad_images"]),
    )


def _column_options(options: Options) -> dict[str, Any]:
    """Return the options with those of columns as a request has them: no columns in place of None."""
    none = {name: options[name] or () for name in ("categorical", "numeric", "drop") if name in options}
    return {**options, **none, "table_format": table_format(options)}


def _check_table(options: Options) -> None:
    fraction_is_given = is_given("test_fraction")
    if fraction_is_given and options["test"] is not None:
        raise click.UsageError("--test-fraction holds rows of the table out, and --test gives them: leave one out.")
    if options["train"] is None:
        given = [name for name in (*_OF_OWN_TABLE, "group") if options[name]]
        given += ["test_fraction"] if fraction_is_given else []
        if options["test"] is None:
            given += [name for name in ("target", *_FORMAT) if options[name]]
        if given:
            raise click.UsageError(f"{_option(given[0])} is about your own table: add --train.")
    if str(options["train"]) == str(options["test"]) == "-":
        raise click.UsageError("--train and --test cannot both be standard input.")
    _check_columns(options)


def _check_columns(options: Options) -> None:
    """Check that no column is asked for in two ways that exclude each other, and none in a way that has no effect."""
    named = {name: options[name] or () for name in ("features", "categorical", "numeric", "drop")}
    named |= {name: (options[name],) if options[name] else () for name in ("target", "group")}
    of_one_column = ("target", "group", "drop", "categorical", "numeric")
    for one, other in (*combinations(of_one_column, 2), *(("features", name) for name in of_one_column[:3])):
        if both := [name for name in named[one] if name in named[other]]:
            raise click.UsageError(f"{_option(one)} and {_option(other)} both name {both[0]!r}: take it out of one.")
    for name in ("categorical", "numeric"):
        if options["features"] and (others := [column for column in named[name] if column not in named["features"]]):
            raise click.UsageError(f"{_option(name)} names {others[0]!r}, which is not among --features: add it there.")


def _check_final(options: Options) -> None:
    if not options["finalists"] and is_given("folds"):
        raise click.UsageError("--folds is about the final, and --finalists 0 is without one: leave one out.")


def _check_workers(options: Options) -> None:
    elsewhere = [name for name in ("cluster", "executor") if options[name]]
    if len(elsewhere) == 2:
        raise click.UsageError("--cluster and --executor are two places to train in: leave one out.")
    if elsewhere and options["workers"]:
        raise click.UsageError(
            f"--workers is about this machine, and {_option(elsewhere[0])} brings its own workers: leave one out."
        )
    if options["executor"] and not all(options["executor"].partition(":")):
        raise click.UsageError(f"--executor must be MODULE:FUNCTION, found {options['executor']!r}.")


def _check_model(options: Options) -> None:
    if options["best"] == (options["model"] is not None):
        raise click.UsageError("Say which model: --best, or --model URI.")
    if options["model"] is not None and is_given("model_name"):
        raise click.UsageError("--model-name is about --best, and --model names its model itself: leave one out.")


def _check_image_dir(images: Path, own: Sequence[str]) -> None:
    """Check that a CSV of images comes with their folder, and a folder without what is about a CSV.

    Args:
        images: The CSV or the folder.
        own: The options about a CSV of the user's own that were given.
    """
    if images.is_dir() and own:
        raise click.UsageError(f"--images is a folder, and {_option(own[0])} is about a CSV of images: leave one out.")
    if not images.is_dir() and "image_dir" not in own:
        raise click.UsageError("--images needs the folder that the files are in: add --image-dir.")


def _build(request: type[_Request], values: Options) -> _Request:
    """Build a dataclass from the values that have the names of its fields."""
    return request(**{field.name: values[field.name] for field in fields(request)})


def _option(name: str) -> str:
    if name in _ARGUMENTS:
        return _ARGUMENTS[name]
    return f"--{name.replace('_', '-')}"
