"""The options that are about images, and the request that they come to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from search.cli.options import CSV_FILE
from search.cli.param_types import Text

if TYPE_CHECKING:
    from search.study.data import ImageRequest

DEMO = Path("demo")

images = click.option(
    "--images",
    type=CSV_FILE,
    metavar="CSV|demo",
    help="Labelled image files in place of a table; demo: a small drawn set.",
)
image_dir = click.option("--image-dir", type=CSV_FILE, metavar="DIR", help="The folder that the file names are in.")
group = click.option(
    "--group",
    type=Text(),
    metavar="COL",
    help="Column of what several images show, a specimen: it is never split.  [default: none]",
)
filename = click.option(
    "--filename",
    type=Text(),
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
    type=Text(),
    metavar="NAME",
    help="Search on what this torchvision network, frozen, makes of the images.  [default: their pixels]",
)
weights = click.option(
    "--weights", type=CSV_FILE, metavar="FILE", help="State dict of the backbone.  [default: torchvision's download]"
)
skip_bad_images = click.option(
    "--skip-bad-images", is_flag=True, help="Leave out, and count, image files that cannot be read."
)
test_images = click.option(
    "--images",
    type=CSV_FILE,
    metavar="CSV",
    help="Labelled image files.  [default: the held-out images of the model's own search]",
)

_OF_SEARCH = (images, image_dir, group, filename, image_size, backbone, weights, skip_bad_images)


def of_search(command: Callable[..., None]) -> Callable[..., None]:
    """All of them that `insects-search` has."""
    for option in reversed(_OF_SEARCH):
        command = option(command)
    return command


def of_description(command: Callable[..., None]) -> Callable[..., None]:
    """Those that `insects-describe` has."""
    for option in reversed((images, image_dir, group, filename)):
        command = option(command)
    return command


def pop_request(options: dict[str, Any]) -> ImageRequest | None:
    """Take the options about images out of a command's; None where it was not asked for images.

    Raises: click.UsageError: options that do not go together.
    """
    names = ("image_dir", "group", "filename", "image_size", "backbone", "weights", "skip_bad_images")
    values = {name: options.pop(name, None) for name in names}
    csv = options.pop("images")
    given = [f"--{name.replace('_', '-')}" for name in names if values[name]]
    if csv is None:
        if given:
            raise click.UsageError(f"{given[0]} is about images: add --images.")
        return None
    for name in ("train", "features", "test"):
        if options.get(name) is not None:
            raise click.UsageError(f"--{name} is about a table, and --images takes the place of one: leave one out.")
    own = ("image_dir", "group", "filename")
    if csv == DEMO and (any(values[name] for name in own) or options["target"]):
        given = [f"--{name.replace('_', '-')}" for name in (*own, "target") if values.get(name) or options.get(name)]
        raise click.UsageError(f"--images demo has its own folder, species and specimens: leave out {given[0]}.")
    if csv != DEMO and values["image_dir"] is None:
        raise click.UsageError("--images needs the folder that the files are in: add --image-dir.")
    return _request(None if csv == DEMO else csv, values)


def _request(csv: Path | None, values: dict[str, Any]) -> ImageRequest:
    from insects.images.features import BACKBONE_SIZE, PIXEL_SIZE, FeatureRecipe
    from search.study.data import ImageRequest

    size = values["image_size"] or (BACKBONE_SIZE if values["backbone"] else PIXEL_SIZE)
    return ImageRequest(
        csv=csv,
        folder=values["image_dir"],
        group=values["group"],
        filename=values["filename"] or "filename",
        recipe=FeatureRecipe(size, values["backbone"], values["weights"]),
        skip_bad=values["skip_bad_images"],
    )


def check_rows(test: Path | None, target: str | None, images: Path | None, **of_images: Any) -> None:
    """Hold the options of `insects-evaluate` that say which rows or images to go together.

    Raises: click.UsageError: they do not, or one of them would be ignored.
    """
    given = [f"--{name.replace('_', '-')}" for name in ("image_dir", "filename", "skip_bad_images") if of_images[name]]
    if test and images:
        raise click.UsageError("--test brings rows and --images brings images: leave one out.")
    if test and given:
        raise click.UsageError(f"{given[0]} is about images, and --test brings rows of a table: leave one out.")
    if images and not of_images["image_dir"]:
        raise click.UsageError("--images needs the folder that the files are in: add --image-dir.")
    if target and not (test or images):
        raise click.UsageError("--target is about a file of your own: add --test or --images.")
    if of_images["filename"] and not images:
        raise click.UsageError("--filename is about a file of your own: add --images.")
