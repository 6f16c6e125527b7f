"""Splits of an `ImageSet` that keep a specimen whole and give every part its share of every class.

Each class is split for itself: in the best of all ways where it has few groups, and by filling the part that lacks most
where it has many. `sklearn.model_selection.StratifiedGroupKFold` makes folds of equal size, one of which would be the
test set; with 3 to 5 specimens of a species, shares as asked for and each species in each part is more than it can do.

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
from insects.splits import Splits, Table, digest_of, moments, standardize
from insects.text import listed, shown

TRAIN, VALID, TEST = range(3)
_PARTS = ("training", "validation", "test")

EXHAUSTIVE_GROUPS = 8
"""Up to here all `3 ** G` ways are tried: 6,561."""

_FRAME_NUMBER = re.compile(r"[\W_]*\d+\W*$")
_IMAGES_A_SPECIMEN = 3


@dataclass(frozen=True)
class ImageSplits:
    """What a search trains on, and which images its rows are.

    held_out: the test rows, not standardized. train, valid, test: positions in the `ImageSet` of the rows of
    `splits.train_x`, `splits.valid_x` and `held_out.x`. notes: what the user should know of the split, a line each.
    """

    splits: Splits
    held_out: Table
    train: NDArray[np.intp]
    valid: NDArray[np.intp]
    test: NDArray[np.intp]
    notes: tuple[str, ...]


def split_images(
    images: ImageSet, *, test_fraction: float = 0.1, valid_fraction: float = 0.2, seed: int = 0
) -> ImageSplits:
    """Draw the test images, the validation images from what is left after them, and train on the rest.

    Images of a group stay together; without groups equal files do. Membership follows from the files' contents, their
    classes and groups, and `seed`: neither the order of the rows nor names change it. A class with two groups is
    trained and tested on, one with a single group only trained on, and `notes` says so.

    Args: test_fraction: of all images. valid_fraction: of what is left. Both in (0, 1).
    Raises: DataError: a fraction out of bounds, fewer than two classes, or no part of a kind can be made.
    """
    for name, fraction in (("test", test_fraction), ("validation", valid_fraction)):
        if not 0 < fraction < 1:
            raise DataError(f"the share of {name} images must be above 0 and below 1, found {fraction}")
    table, groups = images.table, images.annotations.groups
    if len(table.classes) < 2:
        raise DataError(
            f"{table.source}: a search needs at least two classes, found only {listed(table.classes)}; "
            "choose another label column with --target"
        )
    shares = np.array([(1 - test_fraction) * (1 - valid_fraction), (1 - test_fraction) * valid_fraction, test_fraction])
    part_N = assign_parts(table.y, groups or images.digests, images.digests, shares, seed)
    order_N = np.array(sorted(range(len(part_N)), key=lambda n: (_key(seed, images.digests[n]), table.y[n])))
    train, valid, test = (order_N[part_N[order_N] == part] for part in (TRAIN, VALID, TEST))
    if not (len(valid) and len(test)):
        raise DataError(
            f"{table.source}: validation and test need a class with at least 3 groups, the most is "
            f"{max(_group_counts(images))}; add specimens, or split single images by leaving out --group"
        )
    splits = _standardized(table, train, valid)
    held_out = replace(table, x=table.x[test], y=table.y[test], source=f"held-out images of {table.source}")
    return ImageSplits(splits, held_out, train, valid, test, _notes(images, part_N, shares))


def assign_parts(
    y_N: NDArray[np.integer], groups: Sequence[str], digests: Sequence[str], shares: NDArray[np.float64], seed: int
) -> NDArray[np.intp]:
    """The part `(N,)` of each image: `TRAIN`, `VALID` or `TEST`; shares: `(3,)`, what each should get of a class."""
    part_N = np.full(len(y_N), TRAIN)
    for code in np.unique(y_N):
        members: dict[str, list[int]] = {}
        for row in np.flatnonzero(y_N == code).tolist():
            members.setdefault(groups[row], []).append(row)
        # In an order that the contents and the seed fix, so that ties are settled by it.
        ordered = sorted(members.values(), key=lambda rows: _key(seed, *sorted(digests[row] for row in rows)))
        sizes_G = np.array([len(rows) for rows in ordered])
        for rows, part in zip(ordered, _assign(sizes_G, shares), strict=True):
            part_N[rows] = part
    return part_N


def _assign(sizes_G: NDArray[np.int64], shares: NDArray[np.float64]) -> NDArray[np.intp]:
    """The part of each group of a class."""
    parts = {1: [TRAIN], 2: [TRAIN, TEST]}.get(len(sizes_G), [TRAIN, VALID, TEST])
    asked_P = sizes_G.sum() * shares[parts] / shares[parts].sum()
    best = _best_of_all if len(sizes_G) <= EXHAUSTIVE_GROUPS else _fill
    return np.array(parts)[best(sizes_G, asked_P)]


def _best_of_all(sizes_G: NDArray[np.int64], asked_P: NDArray[np.float64]) -> NDArray[np.intp]:
    """The assignment, with a group in each part, whose sizes deviate least from those asked, in squares."""
    count = len(asked_P)
    ways_WG = np.array(list(itertools.product(range(count), repeat=len(sizes_G))))
    found_WP = np.stack([(sizes_G * (ways_WG == part)).sum(axis=1) for part in range(count)], axis=1)
    deviation_W = np.square(found_WP - asked_P).sum(axis=1).round(6)  # so that equal ways stay equal
    deviation_W[(found_WP == 0).any(axis=1)] = np.inf
    best_G: NDArray[np.intp] = ways_WG[deviation_W.argmin()]
    return best_G


def _fill(sizes_G: NDArray[np.int64], asked_P: NDArray[np.float64]) -> NDArray[np.intp]:
    """Each group, in order, to the part that lacks most: no part ends further above its share than its last group."""
    part_G = np.empty(len(sizes_G), np.intp)
    lacking_P = asked_P.copy()
    for group, size in enumerate(sizes_G):
        part_G[group] = lacking_P.argmax()
        lacking_P[part_G[group]] -= size
    for part in np.flatnonzero(np.bincount(part_G, minlength=len(asked_P)) == 0):
        most = np.flatnonzero(part_G == np.bincount(part_G).argmax())
        part_G[most[sizes_G[most].argmin()]] = part
    return part_G


def _standardized(table: Table, train: NDArray[np.intp], valid: NDArray[np.intp]) -> Splits:
    train_x, valid_x = table.x[train], table.x[valid]
    mean, std = moments(train_x)
    for x in (train_x, valid_x):
        standardize(x, mean, std, table)
    train_y, valid_y = table.y[train], table.y[valid]
    digest = digest_of((table.features, table.classes), (train_x, train_y, valid_x, valid_y, mean, std))
    return Splits(table.features, table.classes, train_x, train_y, valid_x, valid_y, mean, std, digest)


def _notes(images: ImageSet, part_N: NDArray[np.intp], shares: NDArray[np.float64]) -> tuple[str, ...]:
    y, groups = images.table.y, images.annotations.groups
    if groups is None:
        suspicion = frames_warning(images.annotations.files, y)
        return (suspicion,) if suspicion else ()
    sizes = ", ".join(
        f"{len({groups[row] for row in np.flatnonzero(part_N == part)})} in {name} "
        f"({(part_N == part).sum()} images, {(part_N == part).mean():.0%}, asked {shares[part]:.0%})"
        for part, name in enumerate(_PARTS)
    )
    notes = [f"{len(set(groups))} groups stay whole: {sizes}"]
    for code, (name, count) in enumerate(zip(images.table.classes, _group_counts(images), strict=True)):
        missing = [_PARTS[part] for part in (VALID, TEST) if not (y[part_N == part] == code).any()]
        if missing:
            notes.append(
                f"class {shown(name)} is not in {' and '.join(missing)}: it has {count} of the 3 groups that takes"
            )
    return tuple(notes)


def frames_warning(files: Sequence[str], y_N: NDArray[np.integer]) -> str:
    """What to say where file names look like numbered frames of specimens; empty where they do not.

    They do when, without the number at their end, they fall into more names than there are classes, each for several
    images on the average.
    """
    stems = Counter(_FRAME_NUMBER.sub("", name.rpartition(".")[0] or name) for name in files)
    if not (len(stems) > len(np.unique(y_N)) and len(files) >= _IMAGES_A_SPECIMEN * len(stems)):
        return ""
    name, count = stems.most_common(1)[0]
    return (
        f"file names look like frames of the same specimen ({len(stems)} beginnings such as {shown(name)} with {count} "
        "images): near-identical images in training and test make accuracy look better than it is; if a column tells "
        "the specimen, name it with --group"
    )


def _group_counts(images: ImageSet) -> list[int]:
    """Groups of each class."""
    pairs = set(zip(images.table.y.tolist(), images.annotations.groups or images.digests, strict=True))
    counts = Counter(code for code, _ in pairs)
    return [counts[code] for code in range(len(images.table.classes))]


def _key(seed: int, *digests: str) -> str:
    return hashlib.sha256(" ".join([str(seed), *digests]).encode()).hexdigest()
