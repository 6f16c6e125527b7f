"""Splitting images so that a specimen stays in one part and every class gets its share of every part.

Each class is split on its own: by exhaustive search if it has few groups, else greedily. `StratifiedGroupKFold` of
scikit-learn does not serve: it makes folds of equal size, one of which would be the test set, so it cannot give the
requested shares, and does not guarantee a specimen of every species in each part where a species has only 3 to 5.

Shapes: N images, G groups of one class, P parts (training, validation, test).
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from insects.errors import DataError
from insects.images.features import ImageSet
from insects.row_hashes import Hashes
from insects.splits import Splits, Table, check_fractions, standardized_splits
from insects.text import listed, shown

TRAIN, VALID, TEST = range(3)
_PARTS = ("training", "validation", "test")

EXHAUSTIVE_GROUPS = 8
"""Most groups of a class for which all `3 ** G` (6,561) assignments are tried."""

_FRAME_NUMBER = re.compile(r"[\W_]*\d+\W*$")
_IMAGES_PER_SPECIMEN = 3
"""Mean number of images from which file names with one beginning count as frames of a specimen."""


@dataclass(frozen=True)
class ImageSplits:
    """The splits of an `ImageSet`, and the images in each part.

    Attributes:
        splits: Standardized training and validation rows.
        test_table: Unstandardized test rows.
        train: Positions in the `ImageSet` of the rows of `splits.train_x`.
        valid: Positions of the rows of `splits.valid_x`.
        test: Positions of the rows of `test_table.x`.
        units: `(N,)`, equal for images that stay together in every split; see `insects.folds.draw_folds`.
        grouped: Whether such images are a group, rather than equal files.
        notes: Remarks on the split for the user, one line each.
    """

    splits: Splits
    test_table: Table
    train: NDArray[np.intp]
    valid: NDArray[np.intp]
    test: NDArray[np.intp]
    units: Hashes
    grouped: bool
    notes: tuple[str, ...]


def split_images(
    images: ImageSet, *, test_fraction: float = 0.1, valid_fraction: float = 0.2, seed: int = 0
) -> ImageSplits:
    """Divide images into training, validation and test images.

    Images of one group stay in one part; without groups, equal files do. The parts depend on the content, class and
    group of the files and on `seed`, not on the order of the rows or on any name. A class with two groups gets no
    validation images, a class with one group only training images; `notes` names such classes.

    Args:
        images: The images.
        test_fraction: Share of test images, in (0, 1).
        valid_fraction: Share of validation images among the others, in (0, 1).
        seed: Seed of the assignment.

    Returns:
        The splits.

    Raises:
        DataError: A fraction is out of bounds, there are fewer than two classes, or a part would be empty.
    """
    check_fractions("images", test_fraction, valid_fraction)
    table, groups = images.table, images.annotations.groups
    if len(table.classes) < 2:
        raise DataError(
            f"{table.source}: a search needs at least two classes, found only {listed(table.classes)}; "
            "choose another label column",
            parameter="target",
        )
    shares = np.array([(1 - test_fraction) * (1 - valid_fraction), (1 - test_fraction) * valid_fraction, test_fraction])
    part_N = assign_parts(table.y, groups or images.digests, images.digests, shares, seed)
    # Sorted by content: the order of the rows in the annotations must not change the batches of training.
    order_N = np.array(sorted(range(len(part_N)), key=lambda n: (_key(seed, images.digests[n]), table.y[n])))
    train, valid, test = (order_N[part_N[order_N] == part] for part in (TRAIN, VALID, TEST))
    if not (len(valid) and len(test)):
        raise DataError(
            f"{table.source}: validation and test need a class with at least 3 groups, the most is "
            f"{max(_group_counts(images))}; add specimens, or split single images by leaving out the group column",
            parameter="group",
        )
    splits = standardized_splits(table, train, valid)
    test_table = replace(table, x=table.x[test], y=table.y[test], source=f"held-out images of {table.source}")
    units = _units(groups or images.digests, images.digests, seed)
    notes = _notes(images, part_N, shares)
    return ImageSplits(splits, test_table, train, valid, test, units, groups is not None, notes)


def _units(groups: Sequence[str], digests: Sequence[str], seed: int) -> Hashes:
    """A hash of the content of each image's group."""
    members: dict[str, list[str]] = {}
    for group, digest in zip(groups, digests, strict=True):
        members.setdefault(group, []).append(digest)
    hashes = {group: int(_key(seed, *sorted(files))[:16], 16) for group, files in members.items()}
    return np.array([hashes[group] for group in groups], np.uint64)


def assign_parts(
    y_N: NDArray[np.integer], groups: Sequence[str], digests: Sequence[str], shares: NDArray[np.float64], seed: int
) -> NDArray[np.intp]:
    """Assign each image to a part.

    Args:
        y_N: `(N,)` class numbers.
        groups: Group of each image.
        digests: Hex SHA-256 of each image's file.
        shares: `(3,)`, the share of each part in a class.
        seed: Seed of the assignment.

    Returns:
        `(N,)`, `TRAIN`, `VALID` or `TEST` for each image.
    """
    part_N = np.full(len(y_N), TRAIN)
    for code in np.unique(y_N):
        members: dict[str, list[int]] = {}
        for row in np.flatnonzero(y_N == code).tolist():
            members.setdefault(groups[row], []).append(row)
        # Ties between assignments go to the first one, so the order of the groups must depend on content and seed only.
        ordered = sorted(members.values(), key=lambda rows: _key(seed, *sorted(digests[row] for row in rows)))
        sizes_G = np.array([len(rows) for rows in ordered])
        for rows, part in zip(ordered, _assign(sizes_G, shares), strict=True):
            part_N[rows] = part
    return part_N


def _assign(sizes_G: NDArray[np.int64], shares: NDArray[np.float64]) -> NDArray[np.intp]:
    """The part of each group of one class."""
    parts = {1: [TRAIN], 2: [TRAIN, TEST]}.get(len(sizes_G), [TRAIN, VALID, TEST])
    wanted_P = sizes_G.sum() * shares[parts] / shares[parts].sum()
    assign = _exhaustive if len(sizes_G) <= EXHAUSTIVE_GROUPS else _greedy
    return np.array(parts)[assign(sizes_G, wanted_P)]


def _exhaustive(sizes_G: NDArray[np.int64], wanted_P: NDArray[np.float64]) -> NDArray[np.intp]:
    """The assignment without an empty part whose sizes have the least squared deviation; W assignments are tried."""
    count = len(wanted_P)
    ways_WG = np.array(list(itertools.product(range(count), repeat=len(sizes_G))))
    found_WP = np.stack([(sizes_G * (ways_WG == part)).sum(axis=1) for part in range(count)], axis=1)
    deviation_W = np.square(found_WP - wanted_P).sum(axis=1).round(6)  # so that rounding breaks no tie
    deviation_W[(found_WP == 0).any(axis=1)] = np.inf
    best_G: NDArray[np.intp] = ways_WG[deviation_W.argmin()]
    return best_G


def _greedy(sizes_G: NDArray[np.int64], wanted_P: NDArray[np.float64]) -> NDArray[np.intp]:
    """Assign each group in turn to the part that lacks most images: no part exceeds its share by more than a group."""
    part_G = np.empty(len(sizes_G), np.intp)
    lacking_P = wanted_P.copy()
    for group, size in enumerate(sizes_G):
        part_G[group] = lacking_P.argmax()
        lacking_P[part_G[group]] -= size
    # An empty part gets the smallest group of the part with the most groups.
    for part in np.flatnonzero(np.bincount(part_G, minlength=len(wanted_P)) == 0):
        most = np.flatnonzero(part_G == np.bincount(part_G).argmax())
        part_G[most[sizes_G[most].argmin()]] = part
    return part_G


def _notes(images: ImageSet, part_N: NDArray[np.intp], shares: NDArray[np.float64]) -> tuple[str, ...]:
    y, groups = images.table.y, images.annotations.groups
    if groups is None:
        suspicion = frames_warning(images.annotations.files, y)
        return (suspicion,) if suspicion else ()
    sizes = ", ".join(
        f"{len({groups[row] for row in np.flatnonzero(part_N == part)})} in {name} "
        f"({(part_N == part).sum()} images, {(part_N == part).mean():.0%}, requested {shares[part]:.0%})"
        for part, name in enumerate(_PARTS)
    )
    notes = [f"{len(set(groups))} groups stay whole: {sizes}"]
    for code, (name, count) in enumerate(zip(images.table.classes, _group_counts(images), strict=True)):
        missing = [_PARTS[part] for part in (VALID, TEST) if not (y[part_N == part] == code).any()]
        if missing:
            notes.append(
                f"class {shown(name)} has no images in {' and '.join(missing)}: that takes 3 groups, it has {count}"
            )
    return tuple(notes)


def frames_warning(files: Sequence[str], y_N: NDArray[np.integer]) -> str:
    """Warn of file names that look like numbered frames of the same specimens.

    They do if, without the number at their end, there are more different names than classes, and several images for
    each name on average.

    Args:
        files: File names.
        y_N: `(N,)` class numbers.

    Returns:
        The warning, or an empty text.
    """
    stems = Counter(_FRAME_NUMBER.sub("", name.rpartition(".")[0] or name) for name in files)
    if not (len(stems) > len(np.unique(y_N)) and len(files) >= _IMAGES_PER_SPECIMEN * len(stems)):
        return ""
    name, count = stems.most_common(1)[0]
    return (
        f"file names look like frames of the same specimen ({len(stems)} beginnings such as {shown(name)} with {count} "
        "images): near-identical images in training and test make accuracy look better than it is; if a column names "
        "the specimen, choose it as the group column"
    )


def _group_counts(images: ImageSet) -> list[int]:
    """Number of groups of each class."""
    pairs = set(zip(images.table.y.tolist(), images.annotations.groups or images.digests, strict=True))
    counts = Counter(code for code, _ in pairs)
    return [counts[code] for code in range(len(images.table.classes))]


def _key(seed: int, *digests: str) -> str:
    return hashlib.sha256(" ".join([str(seed), *digests]).encode()).hexdigest()
