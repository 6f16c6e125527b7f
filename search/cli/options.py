"""The options of all commands, as named values, and the options that each command has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from insects.params import CLASS_WEIGHTS, METRIC_NAMES, MOST_EPOCHS, MOST_LAYERS, MOST_UNITS, SCHEDULES
from search.cli.param_types import (
    Bounds,
    Choices,
    EncodingName,
    FilePath,
    FiniteRange,
    Names,
    NonEmptyText,
    Pruner,
    Separator,
    StudyName,
)

# Written out, since importing them would make `--help` wait for numpy. A test compares them with their sources.
SAMPLERS = ("tpe", "random", "gp", "qmc")
ENGINES = ("compiled", "torch")
SCALINGS = ("standard", "quantile", "robust", "ple")
FIGURES = ("png", "svg")
DEVICES = ("auto", "cpu", "cuda", "mps")

DEMO = Path("demo")

PATH = FilePath(path_type=Path)
FOLDER = FilePath(path_type=Path, file_okay=False)
TEXT = NonEmptyText()
SEED = click.IntRange(0, 2**32 - 1)

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _use_settings(ctx: click.Context, _: click.Parameter, path: Path | None) -> None:
    """Let the options of a settings file be the defaults of a command."""
    if path is not None:
        from search.cli.settings_file import read_settings

        ctx.default_map = read_settings(path, ctx)


def _choice(flag: str, choices: Sequence[str], default: str, text: str) -> Callable[[_Command], _Command]:
    """An option that takes one of several words."""
    return click.option(flag, type=click.Choice(choices), default=default, show_default=True, help=text)


trials = click.option(
    "--trials",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    help="Trials the study has in all when the command ends; a second run tops up.",
)
epochs = click.option(
    "--epochs",
    type=click.IntRange(1, MOST_EPOCHS),
    help="Epochs of a full trial.  [default: 20; up to 60 for tables below 600 training rows]",
)
schedule = _choice("--schedule", SCHEDULES, "cosine", "Learning rate over a trial's steps: cosine falls to zero.")
class_weight = _choice(
    "--class-weight",
    CLASS_WEIGHTS,
    "none",
    "What a row counts in the loss: balanced gives rare classes the weight of frequent ones.",
)
metric = _choice(
    "--metric", METRIC_NAMES, "loss", "What the best epoch and the best trial are best in, on the validation rows."
)
train = click.option(
    "--train",
    type=PATH,
    metavar="FILE",
    help="Training table: CSV, Parquet, Feather, JSON, Excel, or - for stdin; validation rows are taken from it.  "
    "[default: the built-in insects table]",
)
target = click.option(
    "--target",
    type=TEXT,
    metavar="COL",
    help="Label column, text or whole numbers.  [default: labels; species with --images]",
)
features = click.option("--features", type=Names(), help="Input columns.  [default: every column but the target]")
categorical = click.option(
    "--categorical", type=Names(), help="Columns that are categories, whatever they hold.  [default: by looking]"
)
numeric = click.option(
    "--numeric", type=Names(), help="Columns that are numbers, whatever they hold.  [default: by looking]"
)
drop = click.option("--drop", type=Names(), help="Columns that are not used.  [default: by looking]")
separator = click.option(
    "--separator", type=Separator(), help="What separates the cells of a text file, or tab.  [default: by looking]"
)
decimal = click.option(
    "--decimal", type=click.Choice((".", ",")), help="Decimal mark of a text file.  [default: by looking]"
)
encoding = click.option(
    "--encoding",
    type=EncodingName(),
    help="Encoding of a text file.  [default: UTF-8, else Windows-1252]",
)
scaling = _choice(
    "--scaling",
    SCALINGS,
    "standard",
    "What is done to numbers before the network: standardize, quantiles to normal, robust, piecewise linear.",
)
drop_rare_classes = click.option(
    "--drop-rare-classes", is_flag=True, help="Leave out classes with too few rows to be in every part."
)
test = click.option(
    "--test", type=PATH, metavar="FILE", help="Held-out rows for insects-evaluate; never part of the search."
)
images = click.option(
    "--images",
    type=PATH,
    metavar="CSV|DIR|demo",
    help="Labelled image files in place of a table, or a folder with one folder a class; demo: a small drawn set.",
)
image_dir = click.option(
    "--image-dir", type=PATH, metavar="DIR", help="The folder that the file names of the CSV are in."
)
group = click.option(
    "--group",
    type=TEXT,
    metavar="COL",
    help="Column of what several rows or images belong to, a patient or a specimen: it is never split.  "
    "[default: none]",
)
filename = click.option(
    "--filename",
    type=TEXT,
    metavar="COL",
    help="Column of the file names, as paths inside DIR.  [default: filename]",
)
image_size = click.option(
    "--image-size",
    type=click.IntRange(8, 1024),
    metavar="PIXELS",
    help="Side to which images are cropped and scaled.  [default: 32; 224 with --backbone]",
)
backbone = click.option(
    "--backbone",
    type=TEXT,
    metavar="NAME",
    help="Search on the features of this torchvision network, frozen.  [default: on the pixels]",
)
weights = click.option(
    "--weights", type=PATH, metavar="FILE", help="State dict of the backbone.  [default: torchvision's download]"
)
skip_bad_images = click.option(
    "--skip-bad-images", is_flag=True, help="Leave out, and count, image files that cannot be read."
)
test_fraction = click.option(
    "--test-fraction",
    type=FiniteRange(0, 1, min_open=True, max_open=True),
    default=0.1,
    show_default=True,
    help="Share of the table that is held out when there is no --test.",
)
split_seed = click.option(
    "--split-seed",
    type=SEED,
    default=0,
    show_default=True,
    metavar="N",
    help="Seed of the splits, which do not depend on --seed.",
)
model_name = click.option(
    "--model-name", type=StudyName(), help="The registered model.  [default: named after the table, insects-mlp]"
)
depth = click.option(
    "--depth",
    type=Bounds(int, MOST_LAYERS, zero=True),
    default="1:4",
    show_default=True,
    help="Hidden layers; 0 is softmax regression, without any.",
)
width = click.option(
    "--width", type=Bounds(int, MOST_UNITS), default="16:256", show_default=True, help="Units of a hidden layer."
)
lr = click.option(
    "--lr", type=Bounds(float), default="1e-4:1e-1", show_default=True, help="Learning rate, searched on a log scale."
)
batch_size = click.option(
    "--batch-size", type=Choices(), default="4,8,16,32,64,128", show_default=True, help="Rows a step."
)
finalists = click.option(
    "--finalists",
    type=click.IntRange(0),
    default=3,
    show_default=True,
    metavar="N",
    help="Best trials that are trained again on folds; 0: the best trial's own network is registered.",
)
folds = click.option(
    "--folds",
    type=click.IntRange(2),
    default=5,
    show_default=True,
    metavar="K",
    help="Folds, each held out from one network of a finalist; the model is the mean of these networks.",
)
configs = click.option(
    "--configs", type=PATH, metavar="JSON", help="Train exactly these configurations before any sampled one."
)
sampler = _choice("--sampler", SAMPLERS, "tpe", "Sampler that proposes configurations.")
pruner = click.option(
    "--pruner",
    type=Pruner(),
    default="none",
    show_default=True,
    help="Stop trials whose objective, the loss or 1 - metric, is above this percentile of the others.",
)
window = click.option(
    "--window",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    help="Trials in flight; another window is another study.",
)
seed = click.option(
    "--seed",
    type=SEED,
    default=0,
    show_default=True,
    metavar="N",
    help="Seed of weights, batch orders and proposals.",
)
study = click.option(
    "--study",
    type=StudyName(),
    help="Same name, same study.  [default: the table's name and a hash of all that changes a result]",
)
store = click.option(
    "--store",
    type=FOLDER,
    metavar="DIR",
    default="mlruns",
    show_default=True,
    help="Where results, Optuna's journal and MLflow's database live.",
)
tracking_uri = click.option(
    "--tracking-uri",
    type=TEXT,
    metavar="URI",
    help="MLflow's tracking server or database; MLFLOW_TRACKING_URI counts too.  [default: sqlite:///DIR/mlflow.db]",
)
storage = click.option(
    "--storage",
    type=TEXT,
    metavar="URL",
    help="Write the trials to this database in place of the journal, for Optuna dashboards that several people share: "
    "postgresql://USER@HOST/NAME, mysql://… or sqlite:///FILE.  [default: DIR/optuna.journal]",
)
device = _choice("--device", DEVICES, "auto", "Device to train on; auto chooses one and says why.")
engine = click.option(
    "--engine", type=click.Choice(ENGINES), help="Engine to train with; compiled needs the cpu.  [default: by device]"
)
sync = click.option(
    "--sync", is_flag=True, help="Upload to MLflow, and to --storage, what is not there yet; search nothing."
)
workers = click.option(
    "--workers",
    type=click.IntRange(1),
    metavar="N",
    help="Trials trained side by side, fewer if memory is short; changes speed, never results.  [default: CPU count]",
)
cluster = click.option(
    "--cluster",
    type=TEXT,
    metavar="ADDRESS",
    help="Train on the workers of this Dask scheduler: its address, or its scheduler file.  [default: in this process]",
)
executor = click.option(
    "--executor",
    type=TEXT,
    metavar="MODULE:FUNCTION",
    help="Train by the concurrent.futures.Executor that this function returns.  [default: in this process]",
)
timeout = click.option(
    "--timeout",
    type=FiniteRange(0, min_open=True),
    metavar="SECONDS",
    help="Begin no new trial after this time.",
)
config = click.option(
    "--config",
    type=PATH,
    metavar="TOML",
    is_eager=True,
    expose_value=False,
    callback=_use_settings,
    help="File of options: trials = 100. The environment (INSECTS_SEARCH_TRIALS=100) and the command line go before.",
)
check = click.option("--check", is_flag=True, help="Read data and options and say what would be done; train nothing.")
figures = _choice(
    "--figures",
    FIGURES,
    "png",
    "svg: write figures as SVG beside each PNG, for papers; those of single trials are PNG only.",
)
verbose = click.option("--verbose", is_flag=True, help="Say at the end where the time went.")
quiet = click.option("--quiet", is_flag=True, help="Show errors and the end only.")
as_json = click.option(
    "--json", "as_json", is_flag=True, help="One JSON object on stdout at the end, nothing else there."
)
best = click.option(
    "--best", is_flag=True, help="Take the registered model with the alias best, of the last search unless named."
)
best_name = click.option(
    "--model-name", type=StudyName(), help="The registered model of --best.  [default: that of the last search]"
)
model = click.option("--model", type=TEXT, metavar="URI", help="Take this model, for example models:/insects-mlp/3.")
model_target = click.option(
    "--target",
    type=TEXT,
    metavar="COL",
    help="Label column of your own file.  [default: the model's]",
)
evaluated_rows = click.option(
    "--test",
    type=PATH,
    metavar="FILE",
    help="Labelled rows.  [default: the held-out rows of the model's own search]",
)
evaluated_images = click.option(
    "--images",
    type=PATH,
    metavar="CSV|DIR",
    help="Labelled image files, or a folder with one folder a class.  [default: the held-out images of the model's "
    "own search]",
)
out = click.option("--out", type=FOLDER, metavar="DIR", help="Write the description and its figures there.")
log = click.option("--log", is_flag=True, help="Log the description and its figures to MLflow.")
port = click.option("--port", type=click.IntRange(1, 65535), metavar="N", help="Loopback port.  [default: a free one]")
dashboard = click.option(
    "--dashboard", is_flag=True, help="Open Optuna's dashboard on the store's journal in place of MLflow's pages."
)
shown_study = click.option("--study", type=StudyName(), help="The study to show.  [default: the one begun last]")

table = click.argument("table", type=PATH, metavar="[TABLE]", required=False)
label = click.argument("label", type=TEXT, metavar="[TARGET]", required=False)
predicted_rows = click.argument("rows", type=PATH, metavar="[FILE]", required=False)
predicted_images = click.option(
    "--images", type=PATH, metavar="CSV|DIR", help="Images in place of a table: a CSV with their names, or a folder."
)
predictions = click.option(
    "--out",
    type=PATH,
    metavar="FILE",
    help="Write there, as CSV, TSV, JSON lines or Parquet by its ending.  [default: CSV to stdout]",
)

_STORE = (store, tracking_uri)
_COLUMNS = (categorical, numeric, drop)
_FORMAT = (separator, decimal, encoding)

OF_SEARCH = (
    table, label, trials, epochs, schedule, class_weight, metric, train, target, features, *_COLUMNS, *_FORMAT, scaling,
    drop_rare_classes, test, images, image_dir, group, filename, image_size, backbone, weights, skip_bad_images,
    test_fraction, split_seed, model_name, depth, width, lr, batch_size, finalists, folds,
    configs, sampler, pruner, window, seed, study, *_STORE, storage, device, engine, sync, workers, cluster, executor,
    timeout, figures, config, check, quiet, verbose, as_json,
)  # fmt: skip
OF_EVALUATE = (
    best, model, best_name, evaluated_rows, model_target, *_FORMAT,
    evaluated_images, image_dir, filename, skip_bad_images, figures, *_STORE, as_json,
)  # fmt: skip
OF_PREDICT = (
    predicted_rows, best, model, best_name, predictions, *_FORMAT,
    predicted_images, image_dir, filename, skip_bad_images, *_STORE, as_json,
)  # fmt: skip
OF_DESCRIBE = (
    train, target, features, *_COLUMNS, *_FORMAT, images, image_dir, group, filename, out, figures, log, *_STORE,
)  # fmt: skip
OF_UI = (shown_study, port, dashboard, *_STORE)


def options(of_command: tuple[Callable[[_Command], _Command], ...]) -> Callable[[_Command], _Command]:
    """Return a decorator that gives a command its options, and `--version`."""

    def decorate(command: _Command) -> _Command:
        command = click.version_option(package_name="insects-search")(command)
        for option in reversed(of_command):
            command = option(command)
        return command

    return decorate
