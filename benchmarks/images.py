"""Images loaded per second, compared with a bare decode_image loop and a DataLoader; and a second run from the cache.

    python -m benchmarks.images --count 240 --repeats 3

The images are drawn insects, JPEG of 1200 x 900 pixels. All ways are timed in turn in one process. `load_images` hashes
the files, decodes, crops, resizes and writes the cache; the DataLoader decodes, resizes and crops; the loop decodes.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms.v2 import functional as transforms

from insects.images.annotations import Annotations, read_annotations
from insects.images.demo import make_demo
from insects.images.features import FeatureRecipe, load_images

RECIPE = FeatureRecipe()


class Pictures(Dataset[torch.Tensor]):
    """The usual dataset: decodes and resizes one file at a time."""

    def __init__(self, files: list[str]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        image = decode_image(self.files[index], mode=ImageReadMode.RGB)
        small = transforms.resize(image, [RECIPE.image_size], antialias=True)
        square: torch.Tensor = transforms.center_crop(small, [RECIPE.image_size])
        return square


def make_pictures(folder: Path, count: int) -> Annotations:
    """The first `count` frames of the demo set, enlarged to 1200 x 900."""
    csv, images = make_demo(folder)
    lines = csv.read_text().splitlines()[: count + 1]
    csv.write_text("\n".join(lines) + "\n")
    for line in lines[1:]:
        path = images / line.rpartition(",")[2]
        Image.open(path).resize((1200, 900), Image.Resampling.BICUBIC).save(path, quality=90)
    return read_annotations(csv, images, group="sample")


def seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def bare_loop(files: list[str]) -> None:
    for file in files:
        decode_image(file, mode=ImageReadMode.RGB)


def data_loader(files: list[str]) -> None:
    torch.cat(list(DataLoader(Pictures(files), batch_size=64, num_workers=2)))


def measure(annotations: Annotations, cache: Path, repeats: int) -> dict[str, list[float]]:
    """Seconds of each way, measured in turn."""
    files = [str(annotations.folder / name) for name in annotations.files]
    taken: dict[str, list[float]] = {"decode_image loop": [], "DataLoader, 2 workers": [], "insects": [], "cached": []}
    for _ in range(repeats):
        shutil.rmtree(cache, ignore_errors=True)
        taken["decode_image loop"].append(seconds(lambda: bare_loop(files)))
        taken["DataLoader, 2 workers"].append(seconds(lambda: data_loader(files)))
        taken["insects"].append(seconds(lambda: load_images(annotations, RECIPE, cache)))
        taken["cached"].append(seconds(lambda: load_images(annotations, RECIPE, cache, on_image=_refuse)))
    return taken


def _refuse(done: int, count: int) -> None:
    raise AssertionError("an image in the cache was decoded")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=240)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        annotations = make_pictures(Path(folder), arguments.count)
        taken = measure(annotations, Path(folder) / "cache", arguments.repeats)
    print(f"{platform.machine()}, {torch.get_num_threads()} cores, {len(annotations.files)} images of 1200 x 900")
    ours = median(taken["insects"])
    for name, times in taken.items():
        rate = len(annotations.files) / median(times)
        print(f"{name:22} {rate:8.0f} images/s  {median(times) / ours:6.3f} of ours  (best {min(times):.3f} s)")


if __name__ == "__main__":
    main()
