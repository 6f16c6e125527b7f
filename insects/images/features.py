"""Pixels and features of annotated images, computed once and kept in a cache folder.

The key of the cache is a digest of the files' bytes and of the versions of the decoders. File names, sizes and times
would be faster to compare, but copies and checkouts change the times at will, and a stale feature is a wrong result.
Hashing a file takes a hundredth of the time of decoding it. The order of rows, the file names and the labels are not in
the key: to correct a label, no image is decoded again. The cache also keeps what is wrong with the content of an image.

Shapes: N images, U distinct images, S image size, F features.
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
"""Default image sizes: for pixels the best by benchmarks/image_accuracy.py, for a backbone torchvision's usual size."""

_VERSION = "2"  # of decoding and resizing here: change it to invalidate every cache


@dataclass(frozen=True)
class FeatureRecipe:
    """How images become features.

    Attributes:
        image_size: Side of the resized images in pixels, 8 to 1024.
        backbone: Name of a torchvision network; None: the features are the pixels.
        weights: File of the backbone's weights; None: torchvision's own, downloaded.

    Raises:
        DataError: The size is out of bounds, or there are weights without a backbone.
    """

    image_size: int = PIXEL_SIZE
    backbone: str | None = None
    weights: Path | None = None

    def __post_init__(self) -> None:
        if not 8 <= self.image_size <= 1024:
            raise DataError(
                f"the image size must be in 8 to 1024 pixels, found {self.image_size}; choose another",
                parameter="image_size",
            )
        if self.weights is not None and self.backbone is None:
            raise DataError("weights need the network that they are for; choose a backbone", parameter="backbone")


@dataclass(frozen=True)
class ImageSet:
    """Annotated images with their pixels and features, without the images that were skipped.

    Attributes:
        annotations: Their annotations.
        files: Digest, size and format of each file.
        pixels: `(N, 3, S, S)` uint8 RGB.
        table: Features `(N, F)` float32 and classes, in the order of the annotations.
        skipped: One message for each image that was skipped.
    """

    annotations: Annotations
    files: tuple[ImageFile, ...]
    pixels: Pixels
    table: Table
    skipped: tuple[str, ...]

    @property
    def digests(self) -> tuple[str, ...]:
        """Hex SHA-256 of each file."""
        return tuple(file.digest for file in self.files)


def load_images(
    annotations: Annotations,
    recipe: FeatureRecipe,
    cache: Path,
    *,
    skip_bad_images: bool = False,
    on_image: OnImage | None = None,
    workers: int | None = None,
) -> ImageSet:
    """Features of annotated images, from the cache if possible. The files are read in any case, for their digests.

    Args:
        annotations: The images to load.
        recipe: How they become features.
        cache: The cache folder; created if it does not exist.
        skip_bad_images: Leave out images that cannot be read.
        on_image: Called with the number of decoded images and of all images after each one.
        workers: Threads; None: one per core.

    Returns:
        The images and their features.

    Raises:
        DataError: An image cannot be read, no image is left, they do not fit into memory, or the backbone cannot be
            loaded.
        StoreError: The cache cannot be read or written.
    """
    check_fits(len(annotations.files), recipe.image_size, PIXELS if recipe.backbone is None else BACKBONE)
    read_N, faults = read_files(annotations.folder, annotations.files, workers)
    present = [row for row, file in enumerate(read_N) if file is not None]
    # Equal files are decoded once, and in the order of their digests, so that the cache does not depend on the rows.
    unique_U, first_U, inverse = np.unique(
        [file.digest for file in read_N if file is not None], return_index=True, return_inverse=True
    )
    key = hashlib.sha256(" ".join([_VERSION, decoders(), *unique_U]).encode()).hexdigest()[:24]
    backbone = None if recipe.backbone is None else _CachedBackbone(recipe, cache, key)
    unread: list[int] = []

    def read() -> _Computed:
        files = [annotations.files[present[position]] for position in first_U]
        pixels_U, reasons = read_pixels(
            annotations.folder, files, recipe.image_size, on_image, workers, digests=unique_U.tolist()
        )
        unread.extend(image for image, reason in reasons.items() if isinstance(reason, Unreadable))
        texts = [str(reasons.get(image, "")) for image in range(len(files))]
        return _Computed({"pixels": pixels_U, "reasons": np.array(texts, dtype=str)}, cacheable=not unread)

    stored = _cached(cache / f"pixels-{recipe.image_size}-{key}.npz", read) if present else {}
    for row, image in zip(present, inverse, strict=True):
        if reason := str(stored["reasons"][image]):
            faults[row] = ValueError(reason)
    skipped = tuple(f"{annotations.where(row)} {faults[row]}" for row in sorted(faults))
    check_faults(annotations, skipped, skip_bad_images)
    kept = [row not in faults for row in range(len(read_N))]
    files = tuple(file for file, is_kept in zip(read_N, kept, strict=True) if file is not None and is_kept)
    image_N = np.array([image for row, image in zip(present, inverse, strict=True) if kept[row]])
    pixels_N = stored["pixels"][image_N]
    if backbone is None:
        x = pixels_N.reshape(len(pixels_N), -1).astype(np.float32)
    else:
        x = backbone.features(stored["pixels"], cacheable=not unread)[image_N]
    rows = annotations.only(kept)
    table = Table(_names(recipe, x.shape[1]), rows.classes, x, rows.y, annotations.source)
    return ImageSet(rows, files, pixels_N, table, skipped)


def check_faults(annotations: Annotations, skipped: tuple[str, ...], skip_bad_images: bool) -> None:
    """Raise if there are bad images that must not be skipped, or no good ones.

    Args:
        annotations: All images.
        skipped: One message for each bad image.
        skip_bad_images: Whether bad images may be left out.

    Raises:
        DataError: The first message, with the number of the others.
    """
    if not skipped:
        return
    others = f" (and {len(skipped) - 1} more are bad)" if len(skipped) > 1 else ""
    if not skip_bad_images:
        raise DataError(f"{skipped[0]}{others}; or leave bad images out", parameter="skip_bad_images")
    if len(skipped) == len(annotations.files):
        raise DataError(f"{skipped[0]}{others}: no image is left")


class _CachedBackbone:
    """Features of a backbone, from the cache or else computed.

    If they are not in the cache, the network is loaded at once: its errors come before the images are decoded.

    Args:
        recipe: Names the backbone.
        cache: The cache folder.
        key: Key of the images.

    Raises:
        DataError: There is no such network, or it does not fit its weights or the image size.
    """

    def __init__(self, recipe: FeatureRecipe, cache: Path, key: str) -> None:
        from insects.images.backbone import weights_digest

        assert recipe.backbone is not None
        self._recipe, self._name = recipe, recipe.backbone
        versions = [f"{library} {metadata.version(library)}" for library in ("torch", "torchvision")]
        origin = " ".join([weights_digest(self._name, recipe.weights), *versions])
        network = hashlib.sha256(origin.encode()).hexdigest()[:12]
        self._path = cache / f"{self._name}-{network}-{recipe.image_size}-{key}.npz"
        self._module = None if self._path.exists() else self._load()

    def _load(self) -> torch.nn.Module:
        from insects.images.backbone import load_backbone
        from insects.model import ImageFeatures

        backbone = load_backbone(self._name, self._recipe.weights)
        backbone.check_size(self._recipe.image_size)
        return ImageFeatures(self._recipe.image_size, backbone).eval()

    def features(self, pixels_U: Pixels, cacheable: bool) -> Floats:
        """Features of images.

        Args:
            pixels_U: `(U, 3, S, S)` uint8 RGB.
            cacheable: As in `_Computed`.

        Returns:
            `(U, F)` float32.

        Raises:
            DataError: A feature is not finite.
        """

        def compute() -> _Computed:
            import torch

            module = self._module or self._load()  # not loaded yet if the cache file exists but is damaged
            at_once = images_at_once(self._recipe.image_size)
            with torch.no_grad():
                parts = [
                    module(torch.from_numpy(pixels_U[start : start + at_once])).numpy()
                    for start in range(0, len(pixels_U), at_once)
                ]
            return _Computed({"x": np.concatenate(parts)}, cacheable)

        x = np.asarray(_cached(self._path, compute)["x"], np.float32)
        if not np.isfinite(x).all():
            raise DataError(
                f"the backbone {self._name} must give finite numbers, with these weights it does not; choose others",
                parameter="weights",
            )
        return x


def _names(recipe: FeatureRecipe, count: int) -> tuple[str, ...]:
    """Names of the `count` features."""
    if recipe.backbone is not None:
        return tuple(f"{recipe.backbone} {number}" for number in range(count))
    pixels = range(recipe.image_size)
    return tuple(
        f"{colour} {row},{column}" for colour in ("red", "green", "blue") for row in pixels for column in pixels
    )


@dataclass(frozen=True)
class _Computed:
    """Computed arrays by name. cacheable: False if an image could not be read for a reason that may pass."""

    arrays: dict[str, NDArray[Any]]
    cacheable: bool


def _cached(path: Path, compute: Callable[[], _Computed]) -> dict[str, NDArray[Any]]:
    """The arrays in the file `path`; if it is missing or damaged, they are computed and written there."""
    try:
        with open(path, "rb") as stored, np.load(stored, allow_pickle=False) as arrays:  # closed even if it is damaged
            return dict(arrays)
    except (FileNotFoundError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        computed = compute()
    except OSError as error:
        raise StoreError(
            f"cannot read {path}: {error.strerror}; check its permissions or choose another cache folder",
            parameter="cache",
        ) from error
    if not computed.cacheable:
        return computed.arrays
    # Written under another name first: a search that is killed here, or one beside it, never sees half a file.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            np.savez(file, allow_pickle=False, **computed.arrays)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StoreError(
            f"cannot write {path}: {error.strerror}; make room or choose another cache folder", parameter="cache"
        ) from error
    return computed.arrays
