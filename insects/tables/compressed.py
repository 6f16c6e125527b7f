"""The bytes of a table file, uncompressed by the ending of its name."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from insects.errors import DataError
from insects.tables.names import source_name
from insects.text import shown

COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip")
"""Endings of compressed files."""


@contextmanager
def open_bytes(path: str) -> Iterator[IO[bytes]]:
    """Open a file, uncompressed by the ending of its name.

    Raises:
        DataError: The file cannot be opened or read, or its compression is damaged.
    """
    try:
        with open(path, "rb") as file:
            if stat.S_ISCHR(os.fstat(file.fileno()).st_mode):  # /dev/zero, for example, never ends
                raise DataError(f"{shown(path, limit=200)} is a device; give a table file")
            with _uncompressed(path, file) as content:
                yield content
    except FileNotFoundError:
        raise DataError(f"there is no file {shown(path, limit=200)}; check the path") from None
    except IsADirectoryError:
        raise DataError(f"{shown(path, limit=200)} is a folder; give the table file in it") from None
    except (zipfile.BadZipFile, lzma.LZMAError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{source_name(path)} cannot be uncompressed: {error}; copy or export it again") from None
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise DataError(
            f"{shown(path, limit=200)} cannot be read: {reason}; check the file and its permissions"
        ) from None


@contextmanager
def _uncompressed(path: str, file: IO[bytes]) -> Iterator[Any]:
    ending = os.path.splitext(path)[1].lower()
    if ending == ".gz":
        with gzip.open(file) as content:
            yield content
    elif ending == ".bz2":
        with bz2.open(file) as content:
            yield content
    elif ending == ".xz":
        with lzma.open(file) as content:
            yield content
    elif ending == ".zst":
        import pyarrow as pa

        with pa.input_stream(file, compression="zstd") as stream:
            yield stream
    elif ending == ".zip":
        with zipfile.ZipFile(file) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX")]
            if len(names) != 1:
                raise DataError(
                    f"{source_name(path)} must hold one file, found {len(names)}; unpack it, then choose one"
                )
            try:
                member = archive.open(names[0])
            except RuntimeError as error:  # it has a password, or a rare compression
                raise DataError(
                    f"{source_name(path)} cannot be unpacked: {error}; unpack it, then choose the file"
                ) from None
            with member:
                yield member
    else:
        yield file
