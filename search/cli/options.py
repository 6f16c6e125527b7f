"""The options of both commands, as named values."""

from __future__ import annotations

from pathlib import Path

import click

from insects.params import MOST_EPOCHS, MOST_LAYERS, MOST_UNITS, SCHEDULES
from search.cli.param_types import Bounds, Choices, FilePath, FiniteRange, Names, Pruner, StudyName, Text

# Spelled out rather than imported: `--help` must not wait for numpy. A test holds them to their sources.
SAMPLERS = ("tpe", "random", "gp", "qmc")
ENGINES = ("compiled", "torch")
DEVICES = ("auto", "cpu", "cuda", "mps")

CSV_FILE = FilePath(path_type=Path)
SEED = click.IntRange(0, 2**32 - 1)

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
    default=20,
    show_default=True,
    help="Epochs of a full trial.",
)
schedule = click.option(
    "--schedule",
    type=click.Choice(SCHEDULES),
    default="cosine",
    show_default=True,
    help="Learning rate over a trial's steps: cosine falls to zero.",
)
train = click.option(
    "--train",
    type=CSV_FILE,
    metavar="CSV",
    help="Training table; validation rows are taken from it.  [default: the built-in insects table]",
)
target = click.option(
    "--target",
    type=Text(),
    metavar="COL",
    help="Label column, text or whole numbers.  [default: labels; species with --images]",
)
features = click.option("--features", type=Names(), help="Input columns.  [default: every column but the target]")
test = click.option(
    "--test", type=CSV_FILE, metavar="CSV", help="Held-out rows for insects-evaluate; never part of the search."
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
    help="The splits follow the data and this alone, never --seed.",
)
model_name = click.option(
    "--model-name", type=StudyName(), default="insects-mlp", show_default=True, help="The registered model."
)
depth = click.option("--depth", type=Bounds(int, MOST_LAYERS), default="1:4", show_default=True, help="Hidden layers.")
width = click.option(
    "--width", type=Bounds(int, MOST_UNITS), default="16:256", show_default=True, help="Units of a hidden layer."
)
lr = click.option(
    "--lr", type=Bounds(float), default="1e-4:1e-1", show_default=True, help="Learning rate, searched on a log scale."
)
batch_size = click.option(
    "--batch-size", type=Choices(), default="4,8,16,32,64,128", show_default=True, help="Rows a step."
)
configs = click.option(
    "--configs", type=CSV_FILE, metavar="JSON", help="Train exactly these configurations before any sampled one."
)
sampler = click.option(
    "--sampler", type=click.Choice(SAMPLERS), default="tpe", show_default=True, help="What proposes configurations."
)
pruner = click.option(
    "--pruner",
    type=Pruner(),
    default="none",
    show_default=True,
    help="Stop trials that are worse than this share of the others.",
)
window = click.option(
    "--window",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    help="Trials in flight; part of the study's identity.",
)
seed = click.option(
    "--seed",
    type=SEED,
    default=0,
    show_default=True,
    metavar="N",
    help="Everything random but the splits derives from it.",
)
study = click.option(
    "--study", type=StudyName(), help="Same name, same study.  [default: a hash of all that changes a result]"
)
store = click.option(
    "--store",
    type=FilePath(path_type=Path, file_okay=False),
    metavar="DIR",
    default="mlruns",
    show_default=True,
    help="Where results, Optuna's journal and MLflow's database live.",
)
tracking_uri = click.option(
    "--tracking-uri",
    type=Text(),
    metavar="URI",
    help="MLflow's tracking server or database; MLFLOW_TRACKING_URI counts too.  [default: sqlite:///DIR/mlflow.db]",
)
device = click.option(
    "--device",
    type=click.Choice(DEVICES),
    default="auto",
    show_default=True,
    help="Where trials are trained; auto says which and why.",
)
engine = click.option("--engine", type=click.Choice(ENGINES), help="compiled (cpu) or torch.  [default: by device]")
sync = click.option("--sync", is_flag=True, help="Deliver to MLflow what is not there yet; search nothing.")
workers = click.option(
    "--workers",
    type=click.IntRange(1),
    metavar="N",
    help="Trials trained side by side, fewer if memory is short; changes speed, never results.  [default: CPU count]",
)
timeout = click.option(
    "--timeout",
    type=FiniteRange(0, min_open=True),
    metavar="SECONDS",
    help="Stop asking for trials after this long.",
)
as_json = click.option(
    "--json", "as_json", is_flag=True, help="One JSON object on stdout at the end, nothing else there."
)
best = click.option("--best", is_flag=True, help="Evaluate the registered model with the alias best.")
model = click.option(
    "--model", type=Text(), metavar="URI", help="Evaluate this model, for example models:/insects-mlp/3."
)
test_rows = click.option(
    "--test",
    type=CSV_FILE,
    metavar="CSV",
    help="Labelled rows.  [default: the held-out rows of the model's own search]",
)
out = click.option(
    "--out",
    type=FilePath(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the description and its figures there.",
)
log = click.option("--log", is_flag=True, help="Log the description and its figures to MLflow.")
port = click.option("--port", type=click.IntRange(1, 65535), metavar="N", help="Loopback port.  [default: a free one]")
shown_study = click.option("--study", type=StudyName(), help="The study to show.  [default: the one begun last]")
