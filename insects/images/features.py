"""Annotated images -> `ImageSet`: pixels and features, computed once and kept in a cache folder.

The cache is keyed by the digest of the files' bytes and the versions of what decodes them. Names, sizes and times of
files would be quicker to look at, but a copy or a checkout sets them as it likes, and a stale feature is a wrong
result; hashing a file takes a hundredth of the time of decoding it. Row order, names and labels are not in the key, so
correcting a label reads no pixel again. What is wrong with an image is kept too, if its content alone makes it so.

Shapes: N images, U different images, S image size, F features.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from insects.errors import DataError, StoreError
from insects.images.annotations import Annotations
from insects.images.files import ImageFile, OnImage, Unreadable, read_files
from insects.images.footprint import BACKBONE, PIXELS, check_fits, images_at_once
from insects.images.reading import Pixels, decoders, read_pixels
from insects.mlp import Floats
from insects.splits import Table

if TYPE_CHECKING:
    import torch

PIXEL_SIZE, BACKBONE_SIZE = 32, 224
"""Default image sizes: for pixels as measured by benchmarks/image_accuracy.py, for a backbone what it was made for."""

_VERSION = "2"  # of decoding and resizing: a new one makes everything cached before be computed anew


@dataclass(frozen=True)
class FeatureRecipe:
    """How an image becomes features. weights: of the backbone, a file; None: torchvision's own."""

    size: int = PIXEL_SIZE
    backbone: str | None = None
    weights: Path | None = None

    def __post_init__(self) -> None:
        if not 8 <= self.size <= 1024:
            raise DataError(f"the image size must be in 8 to 1024 pixels, found {self.size}; change --image-size")
        if self.weights is not None and self.backbone is None:
            raise DataError("--weights needs the network that they are for; name it with --backbone")


@dataclass(frozen=True)
class ImageSet:
    """Images that could be read.

    annotations: their rows. files: what each file is. pixels: `(N, 3, S, S)` uint8 RGB. table: features
    `(N, F)` float32, in the order of the rows. skipped: what was wrong with the images left out, a line each.
    """

    annotations: Annotations
    files: tuple[ImageFile, ...]
    pixels: Pixels
    table: Table
    skipped: tuple[str, ...]

    @property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of each file."""
        return tuple(file.digest for file in self.files)


def load_images(
    annotations: Annotations,
    recipe: FeatureRecipe,
    cache: Path,
    *,
    skip_bad: bool = False,
    on_image: OnImage | None = None,
    workers: int | None = None,
) -> ImageSet:
    """Features of annotated images, from the cache where they are in it; the files are read in any case.

    Args: cache: a folder, made if it is not there. skip_bad: leave out what cannot be read. on_image: called with the
    images done and in all while images are decoded. workers: threads; None: one a core.
    Raises: DataError: an image cannot be read, none is left, they do not fit into memory, or the backbone is not to be
    had. StoreError: the cache cannot be written.
    """
    check_fits(len(annotations.files), recipe.size, PIXELS if recipe.backbone is None else BACKBONE)
    read_N, faults = read_files(annotations.folder, annotations.files, workers)
    present = [row for row, file in enumerate(read_N) if file is not None]
    unique_U, first_U, inverse = np.unique(
        [file.digest for file in read_N if file is not None], return_index=True, return_inverse=True
    )
    key = hashlib.sha256(" ".join([_VERSION, decoders(), *unique_U]).encode()).hexdigest()[:24]
    backbone = None if recipe.backbone is None else _CachedBackbone(recipe, cache, key)
    unread: list[int] = []

    def read() -> _Computed:
        files = [annotations.files[present[position]] for position in first_U]
        pixels_U, reasons = read_pixels(
            annotations.folder, files, recipe.size, on_image, workers, digests=unique_U.tolist()
        )
        unread.extend(image for image, reason in reasons.items() if isinstance(reason, Unreadable))
        texts = [str(reasons.get(image, "")) for image in range(len(files))]
        return _Computed({"pixels": pixels_U, "reasons": np.array(texts, dtype=str)}, lasts=not unread)

    stored = _cached(cache / f"pixels-{recipe.size}-{key}.npz", read) if present else {}
    for row, image in zip(present, inverse, strict=True):
        if reason := str(stored["reasons"][image]):
            faults[row] = ValueError(reason)
    skipped = tuple(f"{annotations.where(row)} {faults[row]}" for row in sorted(faults))
    check_faults(annotations, skipped, skip_bad)
    kept = [row not in faults for row in range(len(read_N))]
    files = tuple(file for file, is_kept in zip(read_N, kept, strict=True) if file is not None and is_kept)
    image_N = np.array([image for row, image in zip(present, inverse, strict=True) if kept[row]])
    pixels_N = stored["pixels"][image_N]
    if backbone is None:
        x = pixels_N.reshape(len(pixels_N), -1).astype(np.float32)
    else:
        x = backbone.features(stored["pixels"], lasts=not unread)[image_N]
    rows = annotations.only(kept)
    table = Table(_names(recipe, x.shape[1]), rows.classes, x, rows.y, annotations.source)
    return ImageSet(rows, files, pixels_N, table, skipped)


def check_faults(annotations: Annotations, skipped: tuple[str, ...], skip_bad: bool) -> None:
    """Say what is wrong with images, unless they may be left out. skipped: a line for each bad one.

    Raises: DataError: the first of them, and how many more there are.
    """
    if not skipped:
        return
    others = f" (and {len(skipped) - 1} more are bad)" if len(skipped) > 1 else ""
    if not skip_bad:
        raise DataError(f"{skipped[0]}{others}; or leave bad images out with --skip-bad-images")
    if len(skipped) == len(annotations.files):
        raise DataError(f"{skipped[0]}{others}: no image is left")


class _CachedBackbone:
    """A backbone's features of images: from the cache, else by the network, which is made before images are decoded.

    Raises, when it is made: DataError: there is no such network, or it does not fit its weights or the image size.
    """

    def __init__(self, recipe: FeatureRecipe, cache: Path, key: str) -> None:
        from insects.images.backbone import weights_digest

        assert recipe.backbone is not None
        self._recipe, self._name = recipe, recipe.backbone
        versions = [f"{library} {metadata.version(library)}" for library in ("torch", "torchvision")]
        made_by = " ".join([weights_digest(self._name, recipe.weights), *versions])
        network = hashlib.sha256(made_by.encode()).hexdigest()[:12]
        self._path = cache / f"{self._name}-{network}-{recipe.size}-{key}.npz"
        self._module = None if self._path.exists() else self._make()

    def _make(self) -> torch.nn.Module:
        from insects.images.backbone import load_backbone
        from insects.model import ImageFeatures

        backbone = load_backbone(self._name, self._recipe.weights)
        backbone.check_size(self._recipe.size)
        return ImageFeatures(self._recipe.size, backbone).eval()

    def features(self, pixels_U: Pixels, lasts: bool) -> Floats:
        """`(U, F)` of pixels `(U, 3, S, S)`. lasts: as of `_Computed`.

        Raises: DataError: they are not finite.
        """

        def compute() -> _Computed:
            import torch

            module = self._module or self._make()  # what is in the cache may be damaged
            at_once = images_at_once(self._recipe.size)
            with torch.no_grad():
                parts = [
                    module(torch.from_numpy(pixels_U[start : start + at_once])).numpy()
                    for start in range(0, len(pixels_U), at_once)
                ]
            return _Computed({"x": np.concatenate(parts)}, lasts)

        x = np.asarray(_cached(self._path, compute)["x"], np.float32)
        if not np.isfinite(x).all():
            raise DataError(f"--backbone {self._name} must give finite numbers, with these --weights it does not")
        return x


def _names(recipe: FeatureRecipe, count: int) -> tuple[str, ...]:
    if recipe.backbone is not None:
        return tuple(f"{recipe.backbone} {number}" for number in range(count))
    pixels = range(recipe.size)
    return tuple(
        f"{colour} {row},{column}" for colour in ("red", "green", "blue") for row in pixels for column in pixels
    )


@dataclass(frozen=True)
class _Computed:
    """Arrays by name. lasts: nothing in them is of this moment, such as an image that could not be read now."""

    arrays: dict[str, NDArray[Any]]
    lasts: bool


def _cached(path: Path, compute: Callable[[], _Computed]) -> dict[str, NDArray[Any]]:
    """The arrays of a file, else computed and, if they last, kept there. A file that is not whole is made anew."""
    try:
        with open(path, "rb") as stored, np.load(stored, allow_pickle=False) as arrays:  # closed even if it is damaged
            return dict(arrays)
    except (FileNotFoundError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        computed = compute()
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}; check its rights or choose another --store") from error
    if not computed.lasts:
        return computed.arrays
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            np.savez(file, allow_pickle=False, **computed.arrays)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path}: {error.strerror}; make room or choose another --store") from error
    return computed.arrays
