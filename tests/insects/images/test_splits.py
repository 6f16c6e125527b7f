"""Splits of images: specimens stay whole, every species is in every part if it has enough specimens."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from insects.errors import DataError
from insects.images.annotations import Annotations
from insects.images.features import ImageSet
from insects.images.files import ImageFile
from insects.images.splits import ImageSplits, frames_warning, split_images
from insects.splits import Table, split

REAL_SPECIMENS = Path(__file__).parents[4] / "shared" / "data" / "insects_specimens.csv"


def image_set(specimens: Sequence[tuple[str, str, int]], grouped: bool = True) -> ImageSet:
    """specimens: name, species and number of images of each; the features are noise."""
    rows = [(sample, species, f"{sample}_{n:03d}.jpg") for sample, species, count in specimens for n in range(count)]
    classes = tuple(sorted({species for _, species, _ in rows}))
    y = np.array([classes.index(species) for _, species, _ in rows], np.int32)
    files = tuple(file for _, _, file in rows)
    groups = tuple(sample for sample, _, _ in rows) if grouped else None
    annotations = Annotations("a.csv", Path(), tuple(range(2, len(rows) + 2)), files, classes, y, groups)
    x = np.random.default_rng(0).normal(size=(len(rows), 3)).astype(np.float32)
    contents = tuple(ImageFile(name, 1, "JPEG, RGB", 8, 8) for name in files)
    return ImageSet(
        annotations,
        contents,
        np.zeros((len(rows), 3, 8, 8), np.uint8),
        Table(("r", "g", "b"), classes, x, y, "a.csv"),
        (),
    )


def parts(images: ImageSet, result: ImageSplits) -> dict[str, tuple[int, ...]]:
    """Images of each group in training, validation and test."""
    groups = images.annotations.groups or images.annotations.files
    return {
        name: tuple(sum(groups[row] == name for row in part) for part in (result.train, result.valid, result.test))
        for name in dict.fromkeys(groups)
    }


@pytest.mark.skipif(not REAL_SPECIMENS.exists(), reason="the real specimens are not part of the project")
@pytest.mark.parametrize("seed", range(5))
def test_real_specimens_stay_whole_and_every_species_is_in_every_part(seed: int) -> None:
    with open(REAL_SPECIMENS, encoding="utf-8") as file:
        specimens = [(row["sample"], row["species"], int(row["images"])) for row in csv.DictReader(file)]
    images = image_set(specimens)
    result = split_images(images, seed=seed)
    found = parts(images, result)
    for name, _, count in specimens:
        assert sorted(found[name]) == [0, 0, count]
    for part in (result.train, result.valid, result.test):
        assert set(images.table.y[part]) == {0, 1, 2}
    andrena = {name: found[name] for name, species, _ in specimens if species == "Andrena fulva"}
    assert andrena == {"003299_1": (133, 0, 0), "003311_1": (0, 74, 0), "005526_1": (0, 0, 49)}
    assert len(result.notes) == 1
    assert "12 groups stay whole" in result.notes[0]


@pytest.mark.parametrize("sizes", [(5, 9, 30), (4, 4, 4, 4), (1, 2, 3, 50, 7), (10, 11, 12, 13, 14, 15, 16)])
def test_few_groups_are_split_with_the_least_deviation_of_all_assignments(sizes: tuple[int, ...]) -> None:
    specimens = [(f"{species}{n}", species, size) for species in "ab" for n, size in enumerate(sizes)]
    images = image_set(specimens)
    result = split_images(images, test_fraction=0.2, valid_fraction=0.25)
    asked = sum(sizes) * np.array([0.6, 0.2, 0.2])
    best = min(
        sum((sum(size for size, part in zip(sizes, way, strict=True) if part == p) - asked[p]) ** 2 for p in range(3))
        for way in itertools.product(range(3), repeat=len(sizes))
        if len(set(way)) == 3
    )
    for code in (0, 1):
        counts = [np.count_nonzero(images.table.y[part] == code) for part in (result.train, result.valid, result.test)]
        assert np.square(counts - asked).sum() == pytest.approx(best)


def test_many_groups_come_near_the_requested_shares_and_depend_on_the_seed() -> None:
    generator = np.random.default_rng(3)
    sizes = generator.integers(1, 20, 120)
    images = image_set([(f"s{n}", "ab"[n % 2], int(size)) for n, size in enumerate(sizes)])
    first, again, other = (split_images(images, seed=seed) for seed in (0, 0, 1))
    total = sizes.sum()
    for part, share in ((first.train, 0.72), (first.valid, 0.18), (first.test, 0.1)):
        assert abs(len(part) - share * total) <= 2 * 20
    assert first.splits.digest == again.splits.digest != other.splits.digest
    assert all(sorted(counts)[:2] == [0, 0] for counts in parts(images, first).values())


def test_order_of_rows_and_names_of_groups_do_not_change_the_splits() -> None:
    images = image_set([(f"s{n}", "ab"[n % 2], 2 + n) for n in range(24)])
    order = np.random.default_rng(0).permutation(len(images.digests))
    note = images.annotations
    assert note.groups is not None
    shuffled = ImageSet(
        Annotations(
            note.source,
            note.folder,
            note.lines,
            tuple(note.files[row] for row in order),
            note.classes,
            note.y[order],
            tuple(f"other {note.groups[row]}" for row in order),
        ),
        tuple(images.files[row] for row in order),
        images.pixels,
        Table(images.table.features, images.table.classes, images.table.x[order], images.table.y[order], "a.csv"),
        (),
    )
    first, second = split_images(images), split_images(shuffled)
    assert first.splits.digest == second.splits.digest
    np.testing.assert_array_equal(first.test_table.x, second.test_table.x)
    np.testing.assert_array_equal(first.test, order[second.test])


def test_species_with_too_few_specimens_are_named_in_the_notes() -> None:
    specimens = [("a1", "a", 9), ("a2", "a", 9), ("a3", "a", 9), ("b1", "b", 9), ("b2", "b", 3), ("c1", "c", 5)]
    images = image_set(specimens)
    result = split_images(images)
    found = parts(images, result)
    assert (found["b1"], found["b2"], found["c1"]) == ((9, 0, 0), (0, 0, 3), (5, 0, 0))
    assert result.notes[1:] == (
        "class 'b' has no images in validation: that takes 3 groups, it has 2",
        "class 'c' has no images in validation and test: that takes 3 groups, it has 1",
    )


def test_no_species_with_three_specimens_is_refused() -> None:
    images = image_set([("a1", "a", 9), ("a2", "a", 9), ("b1", "b", 9), ("b2", "b", 9)])
    with pytest.raises(DataError, match="need a class with at least 3 groups, the most is 2") as error:
        split_images(images)
    assert error.value.parameter == "group"


def test_single_class_and_shares_out_of_bounds_are_refused() -> None:
    with pytest.raises(DataError, match="needs at least two classes, found only 'a'") as error:
        split_images(image_set([("a1", "a", 9), ("a2", "a", 9)]))
    assert error.value.parameter == "target"
    with pytest.raises(DataError, match="the share of test images must be above 0 and below 1, found 1"):
        split_images(image_set([("a1", "a", 9), ("b1", "b", 9)]), test_fraction=1)


def test_images_without_groups_are_split_with_the_shares_of_a_table() -> None:
    images = image_set([("x", "a", 100), ("y", "b", 50)], grouped=False)
    result = split_images(images)
    plain, test = split(images.table)
    assert len(result.test) == len(test.y) == 15
    for code in (0, 1):
        for mine, theirs in ((result.splits.valid_y, plain.valid_y), (result.splits.train_y, plain.train_y)):
            assert abs(np.count_nonzero(mine == code) - np.count_nonzero(theirs == code)) <= 1


def test_rows_are_those_of_the_image_set_standardized_by_the_training_rows() -> None:
    images = image_set([(f"s{n}", "ab"[n % 2], 4) for n in range(12)])
    result = split_images(images)
    splits, encoder, x = result.splits, result.splits.encoder, images.table.x
    np.testing.assert_allclose(splits.encoder.mean, x[result.train].mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(splits.train_x * encoder.std + encoder.mean, x[result.train], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(splits.valid_x * encoder.std + encoder.mean, x[result.valid], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(result.test_table.x, x[result.test])
    assert sorted([*result.train, *result.valid, *result.test]) == list(range(len(x)))


@pytest.mark.parametrize(
    ("files", "warned"),
    [
        ([f"{sample}_{n:04d}.jpg" for sample in ("003311_1", "005526_1", "208264_1") for n in range(5)], True),
        ([f"bee-{sample} frame {n}.png" for sample in "abc" for n in range(4)], True),
        ([f"{kind}_{n}.jpg" for kind in ("ant", "bee") for n in range(20)], False),
        ([f"IMG_{n:04d}.jpg" for n in range(40)], False),
        ([f"{letters}.jpg" for letters in ("kx", "ab", "qq", "zu", "iv", "mo")], False),
    ],
)
def test_file_names_like_frames_of_specimens_give_a_warning(files: list[str], warned: bool) -> None:
    y = np.arange(len(files)) * 2 // len(files)
    assert ("choose it as the group column" in frames_warning(files, y)) == warned
