"""Image files: what becomes of each kind, what is said of bad ones, and what the cache spares."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from insects.errors import DataError, StoreError
from insects.images.annotations import read_annotations
from insects.images.features import FeatureRecipe, ImageSet, load_images
from insects.images.files import MOST_BYTES
from insects.images.reading import decode, read_pixels

COLOUR = (200, 60, 20)


def encoded(mode: str, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image = Image.new("RGB", (60, 40), COLOUR)
    (image.quantize() if mode == "P" else image.convert(mode)).save(buffer, kind, **options)
    return buffer.getvalue()


GREY = (97, 97, 97)


@pytest.mark.parametrize(
    ("mode", "kind", "expected"),
    [
        ("RGB", "JPEG", COLOUR),
        ("L", "JPEG", GREY),
        ("CMYK", "JPEG", COLOUR),
        ("RGB", "PNG", COLOUR),
        ("L", "PNG", GREY),
        ("LA", "PNG", GREY),
        ("RGBA", "PNG", COLOUR),
        ("P", "PNG", COLOUR),
        ("P", "GIF", COLOUR),
        ("RGB", "WEBP", COLOUR),
        ("RGB", "BMP", COLOUR),
        ("RGB", "TIFF", COLOUR),
    ],
)
def test_every_kind_of_image_becomes_rgb(mode: str, kind: str, expected: tuple[int, ...]) -> None:
    image = decode(encoded(mode, kind), 16)
    assert image.dtype == np.uint8
    assert image.shape == (3, 16, 16)
    assert np.abs(image[:, 8, 8].astype(int) - expected).max() <= 3


def test_transparent_pixels_become_white_and_sixteen_bits_eight() -> None:
    buffer = io.BytesIO()
    Image.new("RGBA", (9, 9), (0, 0, 0, 0)).save(buffer, "PNG")
    assert decode(buffer.getvalue(), 8).min() == 255
    buffer = io.BytesIO()
    Image.fromarray(np.full((9, 9), 0x8123, np.uint16)).save(buffer, "PNG")
    assert np.unique(decode(buffer.getvalue(), 8)).tolist() == [0x81]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_applied(kind: str) -> None:
    picture = Image.new("RGB", (40, 40), (250, 0, 0))
    picture.paste((0, 0, 250), (0, 20, 40, 40))  # red above, blue below
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    buffer = io.BytesIO()
    picture.save(buffer, kind, exif=exif)
    red, _, blue = decode(buffer.getvalue(), 8).astype(int)
    assert (red[:, 5:] > 200).all()
    assert (blue[:, :3] > 200).all()


def test_middle_square_is_taken_of_wide_and_of_high_images() -> None:
    for turn in (False, True):
        picture = Image.new("RGB", (60, 40), "white")
        picture.paste((200, 200, 200), (10, 0, 50, 40))
        buffer = io.BytesIO()
        (picture.transpose(Image.Transpose.ROTATE_90) if turn else picture).save(buffer, "PNG")
        assert np.unique(decode(buffer.getvalue(), 8)).tolist() == [200]


def test_jpeg_decoded_small_is_as_good_as_decoded_whole() -> None:
    generator = np.random.default_rng(0)
    coarse = Image.fromarray(generator.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    picture = coarse.resize((1200, 900), Image.Resampling.BICUBIC)
    small, whole = io.BytesIO(), io.BytesIO()
    picture.save(small, "JPEG", quality=95)
    picture.save(whole, "PNG")
    assert np.abs(decode(small.getvalue(), 32).astype(int) - decode(whole.getvalue(), 32)).mean() < 2


def damaged_png() -> bytes:
    """Whole by its length, with other bytes in its data: torchvision's decoder would end the process."""
    data = bytearray(encoded("RGB", "PNG", compress_level=0))
    data[2000:2600] = bytes(600)
    return bytes(data)


def huge_png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def header_of_bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, *[0] * 6)


def larger_than_memory(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(MOST_BYTES + 1)  # takes no room on the disk


def file_with(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def link_to(target: str) -> Callable[[Path], object]:
    return lambda path: path.symlink_to(target)


BAD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "is not in "),
    "empty": (file_with(b""), "is empty"),
    "text": (file_with(b"this is no image"), "is no image"),
    "truncated JPEG": (file_with(encoded("RGB", "JPEG")[:-50]), "is damaged: image file is truncated"),
    "only the head of a JPEG": (file_with(encoded("RGB", "JPEG")[:30]), "is "),
    "truncated PNG": (file_with(encoded("RGB", "PNG")[:-40]), "is damaged: "),
    "damaged PNG": (file_with(damaged_png()), "is damaged: "),
    "truncated GIF": (file_with(encoded("P", "GIF")[:30]), "is "),
    "truncated WebP": (file_with(encoded("RGB", "WEBP")[:40]), "is "),
    "PostScript": (file_with(encoded("RGB", "EPS")), "is no image of a kind that is read (JPEG, PNG, "),
    "icon": (file_with(encoded("RGB", "ICO")), "is no image of a kind that is read (JPEG, PNG, "),
    "no pixel": (file_with(header_of_bmp(0, 0)), "is no image"),
    "no pixel in a GIF": (file_with(b"GIF89a" + bytes(7) + b";"), "is no image"),
    "no data": (file_with(header_of_bmp(8000, 8000)), "is damaged: "),
    "more pixels than are read": (file_with(header_of_bmp(10_000, 10_000)), "must have at most 80,000,000 pixels"),
    "more pixels than can be": (file_with(header_of_bmp(2**31 - 1, 2**31 - 1)), "must have at most 80,000,000 pixels"),
    "too many bytes": (larger_than_memory, "must have at most 1,073,741,824 bytes, found 1,073,741,825"),
    "too many pixels": (file_with(huge_png()), "must have at most 80,000,000 pixels"),
    "folder": (lambda path: path.mkdir(), "must be a file, but is a folder"),
    "pipe": (os.mkfifo, "must be a file, but is no regular file"),
    "link out": (link_to("../../secret.jpg"), "must be inside "),
    "link to nowhere": (link_to("nowhere"), "is not in "),
    "link to itself": (link_to("bad.jpg"), "cannot be found"),
}


def make_set(tmp_path: Path, bad: Callable[[Path], object] | None = None) -> tuple[Path, Path]:
    """Four good images of two classes, and on line 4 perhaps a bad one."""
    folder = tmp_path / "set" / "images"
    folder.mkdir(parents=True)
    (tmp_path / "secret.jpg").write_bytes(encoded("RGB", "JPEG"))
    for number in range(4):
        Image.new("RGB", (20, 20), (60 * number, 0, 0)).save(folder / f"{number}.jpg")
    names = ["0.jpg", "1.jpg", *(["bad.jpg"] if bad else []), "2.jpg", "3.jpg"]
    if bad:
        bad(folder / "bad.jpg")
    path = tmp_path / "set" / "insects.csv"
    path.write_text("filename,species\n" + "".join(f"{name},{'ab'[place % 2]}\n" for place, name in enumerate(names)))
    return path, folder


def load(files: tuple[Path, Path], tmp_path: Path, **options: Any) -> ImageSet:
    return load_images(read_annotations(*files), FeatureRecipe(8), tmp_path / "cache", **options)


@pytest.mark.parametrize(("bad", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_image_is_told_with_its_line_or_left_out(
    bad: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    files = make_set(tmp_path, bad)
    for _ in range(2):  # the second time from the cache
        with pytest.raises(DataError) as error:
            load(files, tmp_path)
        assert str(error.value).startswith(f"{files[0]}, line 4: image 'bad.jpg' {message}")
        assert str(error.value).isprintable()
        assert "--skip-bad-images" in str(error.value)
        images = load(files, tmp_path, skip_bad=True)
        assert images.annotations.files == ("0.jpg", "1.jpg", "2.jpg", "3.jpg")
        assert len(images.skipped) == 1
        assert f"line 4: image 'bad.jpg' {message}" in images.skipped[0]


def test_image_that_starts_a_program_where_pillow_opens_it_starts_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, started = tmp_path / "bin" / "gs", tmp_path / "started"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho yes >> {started}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)  # where Pillow found it before
    with pytest.raises(DataError, match=r"line 4: image 'bad.jpg' is no image of a kind that is read"):
        load(make_set(tmp_path, file_with(encoded("RGB", "EPS"))), tmp_path)
    assert not started.exists()
    with Image.open(io.BytesIO(encoded("RGB", "EPS"))) as picture, contextlib.suppress(OSError):
        picture.load()
    assert started.exists()  # so the image is one that would


def test_memory_that_does_not_suffice_is_told_and_not_taken_for_damage() -> None:
    program = """if True:
        import io, resource
        from PIL import Image
        from insects.images.files import Unreadable
        from insects.images.reading import decode
        buffer = io.BytesIO()
        Image.new("RGB", (8000, 8000)).save(buffer, "PNG")
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 50_000_000, resource.RLIM_INFINITY))
        try:
            decode(buffer.getvalue(), 8)
        except Unreadable as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "cannot be read: out of memory; end other programs and start again\n"


def vanish(path: Path) -> None:
    path.unlink()


def change(path: Path) -> None:
    path.write_bytes((path.parent / "3.jpg").read_bytes())


@pytest.mark.parametrize(
    ("happens", "message"), [(vanish, "is not in "), (change, "changed while it was read; start again")]
)
def test_what_happens_to_a_file_while_it_is_read_is_forgotten_when_it_is_back(
    happens: Callable[[Path], None], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, folder = make_set(tmp_path)
    before = (folder / "1.jpg").read_bytes()

    def read_later(*arguments: Any, **options: Any) -> Any:
        happens(folder / "1.jpg")
        return read_pixels(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr("insects.images.features.read_pixels", read_later)
        left = load((path, folder), tmp_path, skip_bad=True)
    assert left.annotations.files == ("0.jpg", "2.jpg", "3.jpg")
    assert f"line 3: image '1.jpg' {message}" in left.skipped[0]
    (folder / "1.jpg").write_bytes(before)
    images = load((path, folder), tmp_path)
    assert np.abs(images.table.x[:, :64].mean(axis=1) - [0, 60, 120, 180]).max() < 3


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), MemoryError()])
def test_error_of_the_system_while_a_file_is_read_is_told_and_forgotten(
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
def test_pixels_of_another_decoder_are_read_anew(version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = make_set(tmp_path)
    load(files, tmp_path)
    monkeypatch.setattr(version, "0")
    done: list[int] = []
    load(files, tmp_path, on_image=lambda count, _: done.append(count))
    assert done == [1, 2, 3, 4]


def test_unreadable_images_are_counted_and_a_set_of_them_alone_is_refused(tmp_path: Path) -> None:
    files = make_set(tmp_path)
    for image in files[1].iterdir():
        image.write_bytes(b"")
    with pytest.raises(DataError, match=r"line 2: image '0.jpg' is empty.*\(and 3 more are bad\); or leave"):
        load(files, tmp_path)
    with pytest.raises(DataError, match="no image is left"):
        load(files, tmp_path, skip_bad=True)


def test_features_are_the_pixels_of_the_rows_in_their_order(tmp_path: Path) -> None:
    images = load(make_set(tmp_path), tmp_path)
    assert images.table.x.shape == (4, 3 * 8 * 8)
    assert np.abs(images.table.x[:, :64].mean(axis=1) - [0, 60, 120, 180]).max() < 3
    assert images.table.features[64] == "green 0,0"
    np.testing.assert_array_equal(images.pixels.reshape(4, -1), images.table.x)


def test_second_start_reads_no_pixel_even_with_other_labels_and_row_order(tmp_path: Path) -> None:
    path, folder = make_set(tmp_path)
    done: list[tuple[int, int]] = []
    first = load((path, folder), tmp_path, on_image=lambda *counts: done.append(counts))
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([head, *reversed(rows)]).replace(",a", ",c") + "\n")
    again = load((path, folder), tmp_path, on_image=lambda *counts: pytest.fail("a pixel was read"))
    np.testing.assert_array_equal(again.table.x, first.table.x[::-1])
    assert again.table.classes == ("b", "c")


def test_changed_file_is_read_anew_whatever_its_time_says(tmp_path: Path) -> None:
    path, folder = make_set(tmp_path)
    first = load((path, folder), tmp_path)
    before = os.stat(folder / "0.jpg")
    Image.new("RGB", (20, 20), (0, 250, 0)).save(folder / "0.jpg")
    os.utime(folder / "0.jpg", ns=(before.st_atime_ns, before.st_mtime_ns))
    changed = load((path, folder), tmp_path)
    assert changed.table.x[0, 64:128].mean() > 200 > first.table.x[0, 64:128].mean()


def test_damaged_cache_is_made_anew_and_one_that_cannot_be_written_told(tmp_path: Path) -> None:
    files = make_set(tmp_path)
    first = load(files, tmp_path)
    (cached,) = (tmp_path / "cache").iterdir()
    cached.write_bytes(cached.read_bytes()[:100])
    np.testing.assert_array_equal(load(files, tmp_path).table.x, first.table.x)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot"):
        load_images(read_annotations(*files), FeatureRecipe(8), tmp_path / "file" / "cache")


def test_reading_needs_neither_torch_nor_torchvision() -> None:
    program = "import sys, insects.images.features; print(*{'torch', 'torchvision'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "\n"
