"""`run_search` and `load_best`: what `insects-search` and `insects-predict --best` do, as functions."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.api.model import BestModel
from search.api.notebook import notebook_progress
from search.api.result import SearchResult
from search.cli.keywords import arguments_in_messages, check_names, request_of

if TYPE_CHECKING:
    import click
    import pandas as pd

_OF_THE_COMMAND = ("train", "table", "label", "sync", "check", "config", "quiet", "verbose", "as_json", "version")
"""Options of `insects-search` that the function does not have as keywords."""

_INTERRUPTED = "finished trials are kept: the same call goes on from there"


def run_search(train: str | os.PathLike[str] | pd.DataFrame | None = None, **options: Any) -> SearchResult:
    """Search an MLP's depth, width, learning rate and batch size, and register the best model.

    It is `insects-search` as a function: the same study, store, defaults and checks, so that a search that was begun
    by one goes on with the other. Progress is a table in a notebook, else lines on stderr. Ctrl-C, and a notebook's
    stop button, end the training; what is finished is kept, the best of it registered, and the same call goes on.

    Args:
        train: The training table, a file or a data frame; None: the built-in insects table.
        **options: The options of `insects-search`, with underscores: `target="species"`, `trials=100`, `seed=1`,
            `depth=(1, 3)`, `batch_size=[16, 32]`, `features=["bill", "flipper"]`, `store="mlruns"`,
            `drop_rare_classes=True`. `test` may be a data frame too. `insects-search --help` lists all of them.

    Returns:
        The trials, the final and the model.

    Raises:
        InsectsError: A mistake in the arguments, the data or the surroundings, in one line.
        TypeError: There is no such option.
        KeyboardInterrupt: Ctrl-C came.

    Examples:
        >>> import pandas as pd
        >>> from insects.spiral import spiral
        >>> x, y = spiral(seed=1, per_class=40)
        >>> frame = pd.DataFrame({"x": x[:, 0], "y": x[:, 1], "arm": y})
        >>> settings = {"trials": 2, "epochs": 2, "depth": 1, "width": 8}
        >>> result = run_search(frame, target="arm", store=folder, **settings)
        >>> result.trials[["number", "state", "depth", "width", "epochs"]].values.tolist()
        [[0, 'complete', 1, 8, 2], [1, 'complete', 1, 8, 2]]
        >>> result.model.predict(frame.head(3)).shape, result.model.predict_proba(frame.head(3)).shape
        ((3,), (3, 5))
        >>> load_best(folder).classes_.tolist()
        [0, 1, 2, 3, 4]
        >>> run_search(frame, target="arms", store=folder)
        Traceback (most recent call last):
            ...
        insects.errors.DataError: the data frame has no label column 'arms', its columns are 'x', 'y', 'arm'; ...
    """
    started = time.perf_counter()
    from search.cli.main import search as command

    check_names("run_search", options, {str(option.name) for option in command.params} - {*_OF_THE_COMMAND})
    with arguments_in_messages():
        return _search(train, options, command, started)


def _search(train: Any, options: dict[str, Any], command: click.Command, started: float) -> SearchResult:
    from search.cli.requests import search_request
    from search.commands import search as searching
    from search.store.store import Store
    from search.system.signals import Interrupted

    tables = {"train": _source(train), "test": _source(options.get("test"))}
    frames = [name for name, source in tables.items() if not isinstance(source, (str, os.PathLike))]
    request, values = request_of(command, {**options, **tables}, search_request, frames)
    store = Store.at(values["store"], values["tracking_uri"], values["storage"])
    with notebook_progress(request.trials, request.recipe.metric) as listeners:
        try:
            outcome = searching.run_search(request, store, started, listeners=listeners, owns_process=False)
        except Interrupted:
            raise KeyboardInterrupt(_INTERRUPTED) from None
    if outcome.interrupted:
        raise KeyboardInterrupt(_INTERRUPTED)
    return SearchResult(outcome, store)


def load_best(
    store: str | os.PathLike[str] = "mlruns", name: str | None = None, *, tracking_uri: str | None = None
) -> BestModel:
    """Load the registered model that has the alias `best`.

    Args:
        store: The folder of the store.
        name: The registered model; None: that of the store's last search.
        tracking_uri: MLflow's tracking server or database; None: `MLFLOW_TRACKING_URI`, else the store's own.

    Returns:
        The model.

    Raises:
        StoreError: There is no such model, its files are damaged, or MLflow does not answer.

    Examples:
        >>> load_best("elsewhere")
        Traceback (most recent call last):
            ...
        insects.errors.StoreError: there is nothing in sqlite:////.../elsewhere/mlflow.db yet: ... or name its store
    """
    from search.registry.alias import best_uri, last_model
    from search.store.store import Store

    with arguments_in_messages():
        place = Store.at(Path(store), tracking_uri)
        return BestModel.load(place, best_uri(name or last_model(place)))


def _source(table: Any) -> Any:
    """Return a table as a request has it."""
    if table is None or isinstance(table, (str, os.PathLike)):
        return table
    from insects.tables.frames import FrameSource

    return FrameSource.of(table)
