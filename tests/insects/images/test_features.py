"""Image sets: features of the rows, the cache that saves decoding, and what it never keeps."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from insects.errors import DataError, StoreError
from insects.images.annotations import read_annotations
from insects.images.features import FeatureRecipe, load_images
from insects.images.reading import read_pixels
from tests.support.image_cases import load, make_set


def vanish(path: Path) -> None:
    path.unlink()


def change(path: Path) -> None:
    path.write_bytes((path.parent / "3.jpg").read_bytes())


def test_features_are_the_pixels_of_the_rows_in_their_order(tmp_path: Path) -> None:
    images = load(make_set(tmp_path), tmp_path)
    assert images.table.x.shape == (4, 3 * 8 * 8)
    assert np.abs(images.table.x[:, :64].mean(axis=1) - [0, 60, 120, 180]).max() < 3
    assert images.table.features[64] == "green 0,0"
    np.testing.assert_array_equal(images.pixels.reshape(4, -1), images.table.x)


@pytest.mark.parametrize(
    ("happens", "message"), [(vanish, "is not in "), (change, "changed while it was read; start again")]
)
def test_file_that_is_gone_or_changes_during_reading_is_not_cached_as_bad(
    happens: Callable[[Path], None], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, folder = make_set(tmp_path)
    before = (folder / "1.jpg").read_bytes()

    def read_later(*arguments: Any, **options: Any) -> Any:
        happens(folder / "1.jpg")
        return read_pixels(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr("insects.images.features.read_pixels", read_later)
        left = load((path, folder), tmp_path, skip_bad_images=True)
    assert left.annotations.files == ("0.jpg", "2.jpg", "3.jpg")
    assert f"line 3: image '1.jpg' {message}" in left.skipped[0]
    (folder / "1.jpg").write_bytes(before)
    images = load((path, folder), tmp_path)
    assert np.abs(images.table.x[:, :64].mean(axis=1) - [0, 60, 120, 180]).max() < 3


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), MemoryError()])
def test_system_error_during_reading_is_reported_and_not_cached(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = make_set(tmp_path)
    reads: list[Path] = []

    def fail_at_last(path: Path) -> bytes:
        reads.append(path)
        if len(reads) > 4:  # the first four give the digests
            raise error
        with open(path, "rb") as file:
            return file.read()

    with monkeypatch.context() as patch:
        patch.setattr("insects.images.files.Path.read_bytes", fail_at_last)
        with pytest.raises(DataError, match=r"line 2: image '0.jpg' cannot be read: .*\(and 3 more are bad\)"):
            load(files, tmp_path)
    assert len(load(files, tmp_path).files) == 4


@pytest.mark.parametrize("version", ["insects.images.reading.__version__", "insects.images.features._VERSION"])
def test_another_version_of_the_decoder_invalidates_the_cache(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = make_set(tmp_path)
    load(files, tmp_path)
    monkeypatch.setattr(version, "0")
    done: list[int] = []
    load(files, tmp_path, on_image=lambda count, _: done.append(count))
    assert done == [1, 2, 3, 4]


def test_cached_images_are_not_decoded_even_with_other_labels_and_order(tmp_path: Path) -> None:
    path, folder = make_set(tmp_path)
    done: list[tuple[int, int]] = []
    first = load((path, folder), tmp_path, on_image=lambda *counts: done.append(counts))
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([head, *reversed(rows)]).replace(",a", ",c") + "\n")
    again = load((path, folder), tmp_path, on_image=lambda *counts: pytest.fail("a pixel was read"))
    np.testing.assert_array_equal(again.table.x, first.table.x[::-1])
    assert again.table.classes == ("b", "c")


def test_changed_file_is_decoded_again_even_if_its_time_is_unchanged(tmp_path: Path) -> None:
    path, folder = make_set(tmp_path)
    first = load((path, folder), tmp_path)
    before = os.stat(folder / "0.jpg")
    Image.new("RGB", (20, 20), (0, 250, 0)).save(folder / "0.jpg")
    os.utime(folder / "0.jpg", ns=(before.st_atime_ns, before.st_mtime_ns))
    changed = load((path, folder), tmp_path)
    assert changed.table.x[0, 64:128].mean() > 200 > first.table.x[0, 64:128].mean()


def test_damaged_cache_is_replaced_and_an_unwritable_one_reported(tmp_path: Path) -> None:
    files = make_set(tmp_path)
    first = load(files, tmp_path)
    (cached,) = (tmp_path / "cache").iterdir()
    cached.write_bytes(cached.read_bytes()[:100])
    np.testing.assert_array_equal(load(files, tmp_path).table.x, first.table.x)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot .* or choose another cache folder") as error:
        load_images(read_annotations(*files), FeatureRecipe(8), tmp_path / "file" / "cache")
    assert error.value.parameter == "cache"


def test_loading_pixels_imports_neither_torch_nor_torchvision() -> None:
    program = "import sys, insects.images.features; print(*{'torch', 'torchvision'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "\n"


def test_weights_without_a_backbone_and_sizes_out_of_bounds_are_refused() -> None:
    with pytest.raises(DataError, match="choose a backbone") as error:
        FeatureRecipe(weights=Path("x"))
    assert error.value.parameter == "backbone"
    with pytest.raises(DataError, match="the image size must be in 8 to 1024 pixels, found 4") as error:
        FeatureRecipe(image_size=4)
    assert error.value.parameter == "image_size"
