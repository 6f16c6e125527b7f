"""Bad image files: each is refused with its line or skipped, and none runs a program or fills the memory."""

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

import pytest
from PIL import Image

from insects.errors import DataError
from insects.images.files import MOST_BYTES
from tests.support.image_cases import encoded, file_with, load, make_set


def damaged_png() -> bytes:
    """A PNG of the right length with damaged data: torchvision's decoder would end the process."""
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


def link_to(target: str) -> Callable[[Path], object]:
    return lambda path: path.symlink_to(target)


BAD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "is not in "),
    "empty": (file_with(b""), "is empty"),
    "text": (file_with(b"this is no image"), "is not an image"),
    "truncated JPEG": (file_with(encoded("RGB", "JPEG")[:-50]), "is damaged: image file is truncated"),
    "only the head of a JPEG": (file_with(encoded("RGB", "JPEG")[:30]), "is "),
    "truncated PNG": (file_with(encoded("RGB", "PNG")[:-40]), "is damaged: "),
    "damaged PNG": (file_with(damaged_png()), "is damaged: "),
    "truncated GIF": (file_with(encoded("P", "GIF")[:30]), "is "),
    "truncated WebP": (file_with(encoded("RGB", "WEBP")[:40]), "is "),
    "PostScript": (file_with(encoded("RGB", "EPS")), "is not an image in an accepted format (JPEG, PNG, "),
    "icon": (file_with(encoded("RGB", "ICO")), "is not an image in an accepted format (JPEG, PNG, "),
    "no pixel": (file_with(header_of_bmp(0, 0)), "is not an image"),
    "no pixel in a GIF": (file_with(b"GIF89a" + bytes(7) + b";"), "is not an image"),
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


@pytest.mark.parametrize(("bad", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_image_is_refused_with_its_line_or_skipped(
    bad: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    files = make_set(tmp_path, bad)
    for _ in range(2):  # the second time from the cache
        with pytest.raises(DataError) as error:
            load(files, tmp_path)
        assert str(error.value).startswith(f"{files[0]}, line 4: image 'bad.jpg' {message}")
        assert str(error.value).isprintable()
        assert str(error.value).endswith("; or leave bad images out")
        assert error.value.parameter == "skip_bad_images"
        images = load(files, tmp_path, skip_bad_images=True)
        assert images.annotations.files == ("0.jpg", "1.jpg", "2.jpg", "3.jpg")
        assert len(images.skipped) == 1
        assert f"line 4: image 'bad.jpg' {message}" in images.skipped[0]


def test_postscript_file_does_not_start_ghostscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, started = tmp_path / "bin" / "gs", tmp_path / "started"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho yes >> {started}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)  # where Pillow found it before
    with pytest.raises(DataError, match=r"line 4: image 'bad.jpg' is not an image in an accepted format"):
        load(make_set(tmp_path, file_with(encoded("RGB", "EPS"))), tmp_path)
    assert not started.exists()
    with Image.open(io.BytesIO(encoded("RGB", "EPS"))) as picture, contextlib.suppress(OSError):
        picture.load()
    assert started.exists()  # Pillow itself starts it


def test_lack_of_memory_is_not_reported_as_damage() -> None:
    program = """if True:
        import io, resource
        from PIL import Image
        from insects.images.files import Unreadable
        from insects.images.reading import decode
        buffer = io.BytesIO()
        Image.new("RGB", (8000, 8000)).save(buffer, "PNG", compress_level=1)
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 50_000_000, resource.RLIM_INFINITY))
        try:
            decode(buffer.getvalue(), 8)
        except Unreadable as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "cannot be read: out of memory; end other programs and start again\n"


def test_bad_images_are_counted_and_a_set_without_good_ones_is_refused(tmp_path: Path) -> None:
    files = make_set(tmp_path)
    for image in files[1].iterdir():
        image.write_bytes(b"")
    with pytest.raises(DataError, match=r"line 2: image '0.jpg' is empty.*\(and 3 more are bad\); or leave"):
        load(files, tmp_path)
    with pytest.raises(DataError, match="no image is left"):
        load(files, tmp_path, skip_bad_images=True)
