"""The commands: each turns its options into a request, runs it, and prints the outcome."""

from __future__ import annotations

import time

STARTED = time.perf_counter()
# ruff: noqa: E402 - the clock starts before the imports

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from search.cli import options, requests
from search.cli.command import INTERRUPTED_BY_CTRL_C, Command, PrintedRows, show

if TYPE_CHECKING:
    from search.store.store import Store


@click.command(cls=Command)
@options.options(options.OF_SEARCH)
def search(
    store: Path,
    tracking_uri: str | None,
    storage: str | None,
    sync: bool,
    check: bool,
    quiet: bool,
    verbose: bool,
    as_json: bool,
    **values: Any,
) -> None:
    """Search an MLP's depth, width, learning rate and batch size, and register the best model.

    \b
    Examples:
        insects-search --trials 50
        insects-search flowers.csv species --trials 100
        insects-search --images insects.csv --image-dir photos --target species --group sample
    """
    from search.store.store import Store
    from search.system import terminal

    place = Store.at(store, tracking_uri, storage)
    shown = {"check": check, "quiet": quiet, "verbose": verbose}
    if sync:
        requests.check_sync({**values, **shown})
        with terminal.quiet(quiet):
            _sync(place, values["study"], as_json)
        return
    request = requests.search_request({**values, **shown})
    from search.cli import output

    if check:
        from search.commands.check import check_search

        with terminal.quiet(quiet):
            planned = check_search(request, place)
        if as_json:
            show(json.dumps(output.check_json(planned), allow_nan=False))
        else:
            show(terminal.wrapped(output.check_text(planned), sys.stdout))
        return
    from search.commands.search import run_search
    from search.system.signals import Interrupted

    try:
        with terminal.quiet(quiet):
            outcome = run_search(request, place, STARTED)
    except Interrupted as error:
        click.echo("Interrupted: finished trials are kept; the same command goes on from there.", err=True)
        raise SystemExit(error.exit_code) from None
    if as_json:
        show(json.dumps(output.search_json(outcome), allow_nan=False))
    else:
        options_of_store, width = output.store_options(store, tracking_uri), terminal.columns(sys.stdout)
        text = output.search_text(outcome, place, options_of_store, width=width, verbose=verbose)
        show(terminal.wrapped(text, sys.stdout))
    if outcome.interrupted:
        raise SystemExit(INTERRUPTED_BY_CTRL_C)


def _sync(store: Store, study: str | None, as_json: bool) -> None:
    from search.cli import output
    from search.commands.sync import sync_studies

    studies = sync_studies(store, study)
    if as_json:
        show(json.dumps(output.sync_json(studies)))
    elif not studies:
        show(f"There is no study in {store.path}.")
    for synced in studies:
        errors = [error for error in (synced.upload_error, synced.storage_error) if error]
        for error in errors:
            click.echo(f"Error: study {synced.study}: {error}", err=True)
        if not (errors or as_json):
            places = "MLflow" if store.storage is None else f"MLflow and in {store.shown_storage}"
            show(f"Study {synced.study}: all is in {places}")
    if any(synced.upload_error or synced.storage_error for synced in studies):
        raise SystemExit(1)


@click.command(cls=Command)
@options.options(options.OF_EVALUATE)
def evaluate(store: Path, tracking_uri: str | None, as_json: bool, **values: Any) -> None:
    """Evaluate a registered model on the rows or images its search never saw.

    \b
    Examples:
        insects-evaluate --best
        insects-evaluate --model models:/insects-mlp/1 --test more.csv
        insects-evaluate --best --images more.csv --image-dir photos --target species
    """
    request = requests.evaluation_request(values)
    from search.cli import output
    from search.commands.evaluate import run_evaluation
    from search.store.store import Store

    place = Store.at(store, tracking_uri)
    evaluation = run_evaluation(place, _model_uri(place, values), request)
    if as_json:
        show(json.dumps(output.evaluation_json(evaluation), allow_nan=False))
    else:
        show(output.evaluation_text(evaluation))


def _model_uri(store: Store, values: dict[str, Any]) -> str:
    """Return the URI of the model that is asked for."""
    from search.registry.alias import best_uri, last_model

    return str(values["model"] or best_uri(values["model_name"] or last_model(store)))


@click.command(cls=Command)
@options.options(options.OF_PREDICT)
def predict(out: Path | None, store: Path, tracking_uri: str | None, as_json: bool, **values: Any) -> None:
    """Label the rows of FILE, or images, with a registered model: the label and the probability of each class.

    \b
    Examples:
        insects-predict --best more.csv --out labels.csv
        insects-predict --best more.parquet > labels.csv
        insects-predict --best --images photos --out labels.csv
    """
    request = requests.prediction_request(values)
    from search.cli import output
    from search.commands.predict import run_prediction
    from search.store.store import Store

    place = Store.at(store, tracking_uri)
    stdout = None if as_json else PrintedRows()
    predictions = run_prediction(place, _model_uri(place, values), request, out, stdout)
    if as_json:
        show(json.dumps(output.prediction_json(predictions, out), allow_nan=False))
    else:
        click.echo(output.prediction_text(predictions, out), err=True)


@click.command(cls=Command)
@options.options(options.OF_DESCRIBE)
def describe(out: Path | None, log: bool, store: Path, tracking_uri: str | None, **values: Any) -> None:
    """Describe a table or a set of images before a search: classes, statistics, missing values, figures.

    \b
    Examples:
        insects-describe
        insects-describe --train flowers.csv --target species --out flowers
        insects-describe --images insects.csv --image-dir photos --target species --group sample
    """
    request = requests.describe_request({**values, "out": out, "log": log, "tracking_uri": tracking_uri})
    from search.commands.describe import EXPERIMENT, log_described, read_described, write_described
    from search.store.store import Store, image_cache
    from search.system.files import resolved

    described = read_described(request, image_cache(resolved(store)))
    show(described.text())
    if out is not None:
        write_described(described, out, request.figures)
        click.echo(f"Written to {out}", err=True)
    if log:
        place = Store.at(store, tracking_uri)
        log_described(described, place)
        click.echo(f"Logged to {place.shown_uri}, experiment {EXPERIMENT}", err=True)


@click.command(cls=Command)
@options.options(options.OF_UI)
def ui(study: str | None, port: int | None, dashboard: bool, store: Path, tracking_uri: str | None) -> None:
    """Open MLflow's pages on a store, on this machine only; Ctrl-C ends them.

    \b
    Examples:
        insects-ui
        insects-ui --dashboard
    """
    requests.check_ui(dashboard, study)
    from search.store.store import Store

    if dashboard:
        from search.commands.dashboard import serve_dashboard

        serve_dashboard(Store.at(store), port, show)
        return
    from search.commands.ui import serve_ui

    serve_ui(Store.at(store, tracking_uri), study, port, show)
