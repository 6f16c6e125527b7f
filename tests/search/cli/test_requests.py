"""Requests: every option fills its field, and options that contradict each other are refused."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from search.cli import main, requests

Filled = dict[str, tuple[str, object]]
"""Each field of a request, as a path through its dataclasses: options, and the value that they give the field."""

IMAGES = "--images i.csv --image-dir photos"

SEARCH: Filled = {
    "data.train": ("--train t.csv", Path("t.csv")),
    "data.target": ("--train t.csv --target species", "species"),
    "data.features": ("--train t.csv --features a,b", ("a", "b")),
    "data.categorical": ("--train t.csv --categorical a,b", ("a", "b")),
    "data.numeric": ("--train t.csv --numeric a", ("a",)),
    "data.drop": ("--train t.csv --drop a", ("a",)),
    "data.group": ("--train t.csv --group who", "who"),
    "data.table_format.separator": ("--train t.csv --separator tab", "\t"),
    "data.table_format.decimal": ("--train t.csv --decimal ,", ","),
    "data.table_format.encoding": ("--train t.csv --encoding latin-1", "latin-1"),
    "data.drop_rare_classes": ("--train t.csv --drop-rare-classes", True),
    "data.scaling": ("--scaling ple", "ple"),
    "data.test": ("--train t.csv --test more.csv", Path("more.csv")),
    "data.test_fraction": ("--train t.csv --test-fraction 0.25", 0.25),
    "data.split_seed": ("--split-seed 3", 3),
    "data.images.csv": (IMAGES, Path("i.csv")),
    "data.images.folder": (IMAGES, Path("photos")),
    "data.images.group": (f"{IMAGES} --group sample", "sample"),
    "data.images.filename": (f"{IMAGES} --filename photo", "photo"),
    "data.images.recipe.image_size": (f"{IMAGES} --image-size 64", 64),
    "data.images.recipe.backbone": (f"{IMAGES} --backbone resnet18", "resnet18"),
    "data.images.recipe.weights": (f"{IMAGES} --backbone resnet18 --weights w.pt", Path("w.pt")),
    "data.images.skip_bad": (f"{IMAGES} --skip-bad-images", True),
    "space.depth": ("--depth 2:3", (2, 3)),
    "space.width": ("--width 8", (8, 8)),
    "space.lr": ("--lr 1e-3:1e-2", (1e-3, 1e-2)),
    "space.batch_size": ("--batch-size 8,32", (8, 32)),
    "recipe.epochs": ("--epochs 3", 3),
    "recipe.schedule": ("--schedule constant", "constant"),
    "recipe.class_weight": ("--class-weight balanced", "balanced"),
    "recipe.metric": ("--metric roc-auc", "roc-auc"),
    "sampler": ("--sampler gp", "gp"),
    "pruner.percentile": ("--pruner percentile:25", 25.0),
    "window": ("--window 7", 7),
    "final.finalists": ("--finalists 7", 7),
    "final.folds": ("--folds 4", 4),
    "seed": ("--seed 5", 5),
    "configs": ("--configs c.json", Path("c.json")),
    "device": ("--device cpu", "cpu"),
    "engine": ("--engine torch", "torch"),
    "trials": ("--trials 7", 7),
    "study": ("--study mine", "mine"),
    "model_name": ("--model-name moths", "moths"),
    "workers": ("--workers 3", 3),
    "executor": ("--executor pools:make", "pools:make"),
    "cluster": ("--cluster tcp://host:8786", "tcp://host:8786"),
    "timeout": ("--timeout 1.5", 1.5),
    "figures": ("--figures svg", "svg"),
}

EVALUATE: Filled = {
    "test": ("--best --test t.csv", Path("t.csv")),
    "target": ("--best --test t.csv --target species", "species"),
    "table_format.separator": ("--best --test t.csv --separator ;", ";"),
    "table_format.decimal": ("--best --test t.csv --decimal ,", ","),
    "table_format.encoding": ("--best --test t.csv --encoding utf-8", "utf-8"),
    "images": (f"--best {IMAGES}", Path("i.csv")),
    "image_dir": ("--best --image-dir photos", Path("photos")),
    "filename": (f"--best {IMAGES} --filename photo", "photo"),
    "skip_bad_images": ("--best --skip-bad-images", True),
    "figures": ("--best --figures svg", "svg"),
}

PREDICT: Filled = {
    "rows": ("--best t.csv", Path("t.csv")),
    "table_format.separator": ("--best t.csv --separator ;", ";"),
    "table_format.decimal": ("--best t.csv --decimal ,", ","),
    "table_format.encoding": ("--best t.csv --encoding utf-8", "utf-8"),
    "images": (f"--best {IMAGES}", Path("i.csv")),
    "image_dir": (f"--best {IMAGES}", Path("photos")),
    "filename": (f"--best {IMAGES} --filename photo", "photo"),
    "skip_bad_images": (f"--best {IMAGES} --skip-bad-images", True),
}

DESCRIBE: Filled = {
    "train": ("--train t.csv", Path("t.csv")),
    "target": ("--train t.csv --target species", "species"),
    "features": ("--train t.csv --features a,b", ("a", "b")),
    "categorical": ("--train t.csv --categorical a,b", ("a", "b")),
    "numeric": ("--train t.csv --numeric a", ("a",)),
    "drop": ("--train t.csv --drop a", ("a",)),
    "group": ("--train t.csv --group who", "who"),
    "table_format.separator": ("--train t.csv --separator tab", "\t"),
    "table_format.decimal": ("--train t.csv --decimal ,", ","),
    "table_format.encoding": ("--train t.csv --encoding latin-1", "latin-1"),
    "images.csv": (IMAGES, Path("i.csv")),
    "images.folder": (IMAGES, Path("photos")),
    "images.group": (f"{IMAGES} --group sample", "sample"),
    "images.filename": (f"{IMAGES} --filename photo", "photo"),
    "figures": ("--out folder --figures svg", "svg"),
}

NOT_OF_DESCRIBE = {"images.skip_bad", "images.recipe.image_size", "images.recipe.backbone", "images.recipe.weights"}
"""Fields of an `ImageRequest` that have no option of `insects-describe`."""

REQUESTS: dict[str, tuple[Callable[[requests.Options], Any], Filled]] = {
    "search": (requests.search_request, SEARCH),
    "evaluate": (requests.evaluation_request, EVALUATE),
    "predict": (requests.prediction_request, PREDICT),
    "describe": (requests.describe_request, DESCRIBE),
}

PLAIN = {"search": "", "evaluate": "--best", "predict": "--best plain.csv", "describe": ""}
"""Options that fill no field with anything but its default."""

ARGUMENTS = {"search": {"table", "label"}, "predict": {"rows"}}

NOT_IN_A_REQUEST = {
    "search": {
        "--store",
        "--tracking-uri",
        "--storage",
        "--sync",
        "--config",
        "--check",
        "--quiet",
        "--verbose",
        "--json",
    },
    "evaluate": {"--store", "--tracking-uri", "--json", "--best", "--model", "--model-name"},
    "predict": {"--store", "--tracking-uri", "--json", "--best", "--model", "--model-name", "--out"},
    "describe": {"--store", "--tracking-uri", "--out", "--log"},
}
"""Options that the commands read themselves."""


def request_of(name: str, line: str) -> Any:
    build, _ = REQUESTS[name]
    with getattr(main, name).make_context(name, shlex.split(line)) as context:
        return build(context.params)


def field_of(request: object, path: str) -> object:
    """The field at a path; None if it is in a part that the request does not have."""
    return reduce(lambda part, field: getattr(part, field, None), path.split("."), request)


def test_depth_may_begin_at_0() -> None:
    assert request_of("search", "--depth 0:4").space.depth == (0, 4)
    assert request_of("search", "--depth 0").space.depth == (0, 0)


def paths_of(request: Any) -> set[str]:
    paths = set()
    for field in fields(request):
        value = getattr(request, field.name)
        paths |= {f"{field.name}.{path}" for path in paths_of(value)} if is_dataclass(value) else {field.name}
    return paths


@pytest.mark.parametrize(("name", "path"), [(name, path) for name in REQUESTS for path in REQUESTS[name][1]])
def test_option_fills_its_field(name: str, path: str) -> None:
    line, value = REQUESTS[name][1][path]
    plain = PLAIN[name]
    if (name, path) == ("predict", "rows"):
        plain = f"--best {IMAGES}"
    assert field_of(request_of(name, line), path) == value
    assert field_of(request_of(name, plain), path) != value


@pytest.mark.parametrize("name", REQUESTS)
def test_every_field_is_filled_from_an_option(name: str) -> None:
    text = {"search": "--train t.csv", "evaluate": "--best --test t.csv", "predict": "--best t.csv"}
    table = request_of(name, f"{text.get(name, '--train t.csv')} --separator ;")
    images = request_of(name, f"--best {IMAGES}" if name in ("evaluate", "predict") else IMAGES)
    unfilled = NOT_OF_DESCRIBE if name == "describe" else set()
    nothing = {"data.table_format", "table_format", "data.images"} | ({"images"} if name == "describe" else set())
    assert (paths_of(images) | paths_of(table)) - nothing == (set(REQUESTS[name][1]) - nothing) | unfilled


@pytest.mark.parametrize("name", REQUESTS)
def test_no_option_is_accepted_and_ignored(name: str) -> None:
    lines = [line for line, _ in REQUESTS[name][1].values()]
    filling = {word for line in lines for word in line.split() if word.startswith("--")}
    filling |= ARGUMENTS.get(name, set())
    command: click.Command = getattr(main, name)
    accepted = {param.opts[0] for param in command.params} - {"--version"}
    assert filling | NOT_IN_A_REQUEST[name] == accepted


def test_table_and_target_need_no_option() -> None:
    data = request_of("search", "t.csv species").data
    assert (data.train, data.target) == (Path("t.csv"), "species")
    assert request_of("search", "t.csv --target species").data == data
    assert request_of("search", "t.csv").data.target == "labels"


def test_argument_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSECTS_SEARCH_TRAIN", "other.csv")
    monkeypatch.setenv("INSECTS_SEARCH_TARGET", "other")
    data = request_of("search", "t.csv species").data
    assert (data.train, data.target) == (Path("t.csv"), "species")
    assert request_of("search", "").data.train == Path("other.csv")


def test_default_target_and_image_size_depend_on_the_data() -> None:
    pixels, features = request_of("search", IMAGES), request_of("search", f"{IMAGES} --backbone resnet18")
    assert request_of("search", "").data.target == "labels"
    assert (pixels.data.target, pixels.data.images.filename) == ("species", "filename")
    assert (pixels.data.images.recipe.image_size, features.data.images.recipe.image_size) == (32, 224)


def test_demo_has_a_folder_of_its_own() -> None:
    demo = request_of("search", "--images demo").data.images
    assert (demo.csv, demo.folder) == (None, None)


TABLE_OR_IMAGES = "is about a table, and --images takes the place of one: leave one out."
OF_A_CSV = "is about a CSV of images: leave one out."
OWN_FILES = "--images demo has its own folder, species and specimens: leave out"
ONE_OF_BOTH = "take it out of one."
NO_FEATURE = "which is not among --features: add it there."
ONLY_IMAGES = "is about images, and --test brings rows of a table: leave one out."

CONTRADICTIONS = {
    "search": {
        "--features feature1": "--features is about your own table: add --train.",
        "--target species": "--target is about your own table: add --train.",
        "--test-fraction 0.2": "--test-fraction is about your own table: add --train.",
        "--train a.csv --test b.csv --test-fraction 0.2": (
            "--test-fraction holds rows of the table out, and --test gives them: leave one out."
        ),
        "--image-size 16": "--image-size is about images: add --images.",
        "--skip-bad-images": "--skip-bad-images is about images: add --images.",
        "--images x.csv": "--images needs the folder that the files are in: add --image-dir.",
        "--images . --image-dir photos": f"--images is a folder, and --image-dir {OF_A_CSV}",
        "--images . --group sample": f"--images is a folder, and --group {OF_A_CSV}",
        "--group sample": "--group is about your own table: add --train.",
        "--categorical a": "--categorical is about your own table: add --train.",
        "--drop-rare-classes": "--drop-rare-classes is about your own table: add --train.",
        "--numeric a": "--numeric is about your own table: add --train.",
        "--drop a": "--drop is about your own table: add --train.",
        "--separator ;": "--separator is about your own table: add --train.",
        "--decimal ,": "--decimal is about your own table: add --train.",
        "--encoding latin-1": "--encoding is about your own table: add --train.",
        "--train t.csv --categorical a,b --numeric b": f"--categorical and --numeric both name 'b': {ONE_OF_BOTH}",
        "--train t.csv --drop b --categorical a,b": f"--drop and --categorical both name 'b': {ONE_OF_BOTH}",
        "--train t.csv --drop b --numeric b": f"--drop and --numeric both name 'b': {ONE_OF_BOTH}",
        "--train t.csv --group b --drop b": f"--group and --drop both name 'b': {ONE_OF_BOTH}",
        "--train t.csv --target b --drop b": f"--target and --drop both name 'b': {ONE_OF_BOTH}",
        "--train t.csv --target b --group b": f"--target and --group both name 'b': {ONE_OF_BOTH}",
        "--train t.csv --features a,b --target b": f"--features and --target both name 'b': {ONE_OF_BOTH}",
        "--train t.csv --features a,b --group b": f"--features and --group both name 'b': {ONE_OF_BOTH}",
        "--train t.csv --features a,b --drop b": f"--features and --drop both name 'b': {ONE_OF_BOTH}",
        "--train t.csv --features a --categorical b": f"--categorical names 'b', {NO_FEATURE}",
        "--train t.csv --features a --numeric a,b": f"--numeric names 'b', {NO_FEATURE}",
        "--train - --test -": "--train and --test cannot both be standard input.",
        "--images demo --scaling ple": f"--scaling {TABLE_OR_IMAGES}",
        "--images demo --scaling standard": f"--scaling {TABLE_OR_IMAGES}",
        "--images demo --categorical a": f"--categorical {TABLE_OR_IMAGES}",
        "--images demo --numeric a": f"--numeric {TABLE_OR_IMAGES}",
        "--images demo --drop a": f"--drop {TABLE_OR_IMAGES}",
        "--images demo --drop-rare-classes": f"--drop-rare-classes {TABLE_OR_IMAGES}",
        "--images demo --separator ;": f"--separator {TABLE_OR_IMAGES}",
        "--images demo --encoding utf-8": f"--encoding {TABLE_OR_IMAGES}",
        "--images demo --decimal ,": f"--decimal {TABLE_OR_IMAGES}",
        "--images demo --train x.csv": f"--train {TABLE_OR_IMAGES}",
        "--images demo --features a,b": f"--features {TABLE_OR_IMAGES}",
        "--images demo --test x.csv": f"--test {TABLE_OR_IMAGES}",
        "--images demo --group sample": f"{OWN_FILES} --group.",
        "--images demo --target species": f"{OWN_FILES} --target.",
        "--images demo --image-dir photos": f"{OWN_FILES} --image-dir.",
        "--cluster a:1 --executor b:c": "--cluster and --executor are two places to train in: leave one out.",
        "--cluster a:1 --workers 2": (
            "--workers is about this machine, and --cluster brings its own workers: leave one out."
        ),
        "--executor b:c --workers 2": (
            "--workers is about this machine, and --executor brings its own workers: leave one out."
        ),
        "--executor pools": "--executor must be MODULE:FUNCTION, found 'pools'.",
        "--executor pools:": "--executor must be MODULE:FUNCTION, found 'pools:'.",
        "t.csv --train u.csv": "TABLE and --train say the same: leave one out.",
        "t.csv species --target kind": "TARGET and --target say the same: leave one out.",
        "t.csv --images demo": "TABLE is a table, and --images takes the place of one: leave one out.",
        "--quiet --verbose": "--quiet shows less and --verbose more: leave one out.",
        "--check --verbose": "--verbose says where the time of a search went, and --check is none: leave one out.",
        "--sync t.csv": "--sync searches nothing: leave out TABLE.",
        "--sync --check": "--sync searches nothing: leave out --check.",
        "--sync --verbose": "--sync searches nothing: leave out --verbose.",
        "--sync --trials 50": "--sync searches nothing: leave out --trials.",
        "--sync --train x.csv": "--sync searches nothing: leave out --train.",
        "--sync --model-name x": "--sync searches nothing: leave out --model-name.",
        "--sync --workers 2": "--sync searches nothing: leave out --workers.",
        "--sync --images demo": "--sync searches nothing: leave out --images.",
    },
    "evaluate": {
        "": "Say which model: --best, or --model URI.",
        "--best --model models:/insects-mlp/1": "Say which model: --best, or --model URI.",
        "--model models:/m/1 --model-name insects-mlp": (
            "--model-name is about --best, and --model names its model itself: leave one out."
        ),
        "--best --target species": "--target is about a file of your own: add --test or --images.",
        "--best --filename photo": "--filename is about a file of your own: add --images.",
        "--best --filename photo --image-dir d": "--filename is about a file of your own: add --images.",
        "--best --test a.csv --images b.csv --image-dir d": (
            "--test brings rows and --images brings images: leave one out."
        ),
        "--best --test a.csv --image-dir d": f"--image-dir {ONLY_IMAGES}",
        "--best --test a.csv --skip-bad-images": f"--skip-bad-images {ONLY_IMAGES}",
        "--best --images a.csv": "--images needs the folder that the files are in: add --image-dir.",
        "--best --images . --filename photo": f"--images is a folder, and --filename {OF_A_CSV}",
        "--best --separator ;": "--separator is about a table of your own: add --test.",
    },
    "predict": {
        "t.csv": "Say which model: --best, or --model URI.",
        "--best": "Say what to label: FILE with rows, or --images.",
        "--best t.csv --images b.csv --image-dir d": "FILE brings rows and --images brings images: leave one out.",
        "--best t.csv --image-dir d": "--image-dir is about images, and FILE brings rows of a table: leave one out.",
        "--best --images . --separator ;": f"--separator {TABLE_OR_IMAGES}",
        "--best --images a.csv": "--images needs the folder that the files are in: add --image-dir.",
    },
    "describe": {
        "--features feature1": "--features is about your own table: add --train.",
        "--target species": "--target is about your own table: add --train.",
        "--images a.csv": "--images needs the folder that the files are in: add --image-dir.",
        "--images demo --train a.csv": f"--train {TABLE_OR_IMAGES}",
        "--group sample": "--group is about your own table: add --train.",
        "--categorical a": "--categorical is about your own table: add --train.",
        "--drop a": "--drop is about your own table: add --train.",
        "--separator ;": "--separator is about your own table: add --train.",
        "--train t.csv --drop a --numeric a": f"--drop and --numeric both name 'a': {ONE_OF_BOTH}",
        "--images demo --categorical a": f"--categorical {TABLE_OR_IMAGES}",
        "--images demo --decimal ,": f"--decimal {TABLE_OR_IMAGES}",
        "--store s": "--store and --tracking-uri say where to log: add --log.",
        "--tracking-uri sqlite:///x.db": "--store and --tracking-uri say where to log: add --log.",
        "--images demo --tracking-uri sqlite:///x.db": "--store and --tracking-uri say where to log: add --log.",
    },
}


@pytest.mark.parametrize(("name", "line"), [(name, line) for name in CONTRADICTIONS for line in CONTRADICTIONS[name]])
def test_options_that_contradict_each_other_are_wrong_usage(
    name: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(getattr(main, name), shlex.split(line))
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == f"Error: {CONTRADICTIONS[name][line]}"
    assert list(tmp_path.iterdir()) == []
