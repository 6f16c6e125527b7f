"""The commands. They turn options into a request, run it, and print what came of it."""

from __future__ import annotations

import time

STARTED = time.perf_counter()
# ruff: noqa: E402 - the clock starts before the imports

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from search.cli import image_options, options
from search.cli.command import Command

if TYPE_CHECKING:
    from search.store.store import Store

_OF_SYNC = ("sync", "study", "store", "tracking_uri", "as_json")


@click.command(cls=Command)
@options.trials
@options.epochs
@options.schedule
@options.train
@options.target
@options.features
@options.test
@image_options.of_search
@options.test_fraction
@options.split_seed
@options.model_name
@options.depth
@options.width
@options.lr
@options.batch_size
@options.configs
@options.sampler
@options.pruner
@options.window
@options.seed
@options.study
@options.store
@options.tracking_uri
@options.device
@options.engine
@options.sync
@options.workers
@options.timeout
@options.as_json
@click.version_option(package_name="insects-search")
def search(store: Path, tracking_uri: str | None, sync: bool, as_json: bool, **options: Any) -> None:
    """Search an MLP's depth, width, learning rate and batch size, and register the best model.

    \b
    Examples:
        insects-search --trials 50
        insects-search --train flowers.csv --target species --trials 100
        insects-search --images insects.csv --image-dir photos --target species --group sample
    """
    from search.store.store import Store

    place = Store.at(store, tracking_uri)
    if sync:
        _sync(place, options["study"], as_json)
        return
    from search.cli import output
    from search.cli.requests import search_request
    from search.commands.search import run_search
    from search.system.signals import Interrupted

    try:
        outcome = run_search(search_request(options), place, STARTED)
    except Interrupted as error:
        click.echo("Interrupted: what was finished is kept; the same command goes on from there.", err=True)
        raise SystemExit(error.exit_code) from None
    if as_json:
        click.echo(json.dumps(output.as_json(outcome), allow_nan=False))
    else:
        click.echo(output.as_text(outcome, place, _store_option(store, tracking_uri)))


def _sync(place: Store, study: str | None, as_json: bool) -> None:
    from search.commands.sync import deliver_only

    for option in click.get_current_context().command.params:
        if option.name not in _OF_SYNC and _is_given(str(option.name)):
            raise click.UsageError(f"--sync searches nothing: leave out {option.opts[0]}.")
    outcomes = deliver_only(place, study)
    if as_json:
        click.echo(json.dumps({"studies": [{"study": o.study, "trouble": o.trouble or None} for o in outcomes]}))
    elif not outcomes:
        click.echo(f"There is no study in {place.path}.")
    for outcome in outcomes:
        if outcome.trouble:
            click.echo(f"Error: study {outcome.study}: {outcome.trouble}", err=True)
        elif not as_json:
            click.echo(f"Study {outcome.study}: all is in MLflow")
    if any(outcome.trouble for outcome in outcomes):
        raise SystemExit(1)


def _store_option(store: Path, tracking_uri: str | None) -> str:
    """What to add to the next command so that it finds the same store."""
    from search.store.tracking_uri import without_password

    parts = ["--store", str(store)] if str(store) != "mlruns" else []
    parts += ["--tracking-uri", without_password(tracking_uri)] if tracking_uri else []
    return "".join(f" {shlex.quote(part)}" for part in parts)


@click.command(cls=Command)
@options.best
@options.model
@options.model_name
@options.test_rows
@options.target
@image_options.test_images
@image_options.image_dir
@image_options.filename
@image_options.skip_bad_images
@options.store
@options.tracking_uri
@options.as_json
@click.version_option(package_name="insects-search")
def evaluate(
    best: bool,
    model: str | None,
    model_name: str,
    store: Path,
    tracking_uri: str | None,
    as_json: bool,
    **rows: Any,
) -> None:
    """Evaluate a registered model on the rows or images its search never saw.

    \b
    Examples:
        insects-evaluate --best
        insects-evaluate --model models:/insects-mlp/1 --test more.csv
        insects-evaluate --best --images more.csv --image-dir photos --target species
    """
    if best == (model is not None):
        raise click.UsageError("Say which model: --best, or --model URI.")
    if model is not None and _is_given("model_name"):
        raise click.UsageError("--model-name is about --best, and --model names its model itself: leave one out.")
    image_options.check_rows(**rows)
    from search.commands import evaluate
    from search.commands.evaluation_data import RowsRequest
    from search.store.store import Store

    uri = evaluate.best_uri(model_name) if model is None else model
    evaluation = evaluate.run_evaluation(Store.at(store, tracking_uri), uri, RowsRequest(**rows))
    if as_json:
        click.echo(json.dumps(evaluate.as_json(evaluation), allow_nan=False))
    else:
        click.echo(evaluate.as_text(evaluation))


def _is_given(option: str) -> bool:
    """Whether the option stands on the command line of the running command."""
    return click.get_current_context().get_parameter_source(option) != ParameterSource.DEFAULT


@click.command(cls=Command)
@options.train
@options.target
@options.features
@image_options.of_description
@options.out
@options.log
@options.store
@options.tracking_uri
@click.version_option(package_name="insects-search")
def describe(out: Path | None, log: bool, store: Path, tracking_uri: str | None, **data: Any) -> None:
    """Say what a table or a set of images holds before searching on it: classes, figures, what is missing.

    \b
    Examples:
        insects-describe
        insects-describe --train flowers.csv --target species --out flowers
        insects-describe --images insects.csv --image-dir photos --target species --group sample
    """
    data["images"] = image_options.pop_request(data)
    for name in ("features", "target"):
        if data[name] and data["images"] is None and data["train"] is None:
            raise click.UsageError(f"--{name} is about your own table: add --train.")
    elsewhere = data["images"] is None and _is_given("store")  # images are cached in the store
    if not log and (tracking_uri or elsewhere):
        raise click.UsageError("--store and --tracking-uri say where to log: add --log.")
    from search.commands import describe
    from search.store.store import Store
    from search.system.files import resolved

    described = describe.read(**data, cache=resolved(store) / "images")
    click.echo(described.text())
    if out is not None:
        describe.write(described, out)
        click.echo(f"Written to {out}", err=True)
    if log:
        place = Store.at(store, tracking_uri)
        describe.log(described, place)
        click.echo(f"Logged to {place.shown_uri}, experiment {describe.EXPERIMENT}", err=True)


@click.command(cls=Command)
@options.shown_study
@options.port
@options.store
@options.tracking_uri
@click.version_option(package_name="insects-search")
def ui(study: str | None, port: int | None, store: Path, tracking_uri: str | None) -> None:
    """Open MLflow's pages on a store, on this machine only; Ctrl-C ends them.

    \b
    Example:
        insects-ui
    """
    from search.commands.ui import serve_ui
    from search.store.store import Store

    serve_ui(Store.at(store, tracking_uri), study, port, click.echo)
