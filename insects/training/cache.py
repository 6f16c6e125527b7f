"""The kernel's compiled code on disk, so that each machine compiles it only once.

It is numba's own cache with three differences. An entry belongs to the text of every file the kernel is made of; numba
looks at the file of the outermost function only. Where no folder can be written, the kernel is compiled in memory
instead of raising an error. A damaged entry is compiled anew.
"""

# mypy: allow-untyped-calls
# (numba is typed in part only)

from __future__ import annotations

import hashlib
import logging
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from numba import config

from insects.training.numba_internals import (
    AppDirs,
    CompileResultCacheImpl,
    FunctionCache,
    _CacheLocator,
    dumps,
    set_cache,
)

_log = logging.getLogger(__name__)


def cached(dispatcher: Any, sources: Sequence[Path]) -> Any:
    """Keep the compiled code of a numba function on disk for as long as its source does not change.

    Args:
        dispatcher: The function, as `numba.njit` returns it.
        sources: Every file whose text the compiled code depends on.

    Returns:
        The same function.
    """
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    dispatcher.py_func.__source_digest__ = digest
    try:
        set_cache(dispatcher, _Cache(dispatcher.py_func))
    except RuntimeError as reason:  # numba raises it if no folder can be written
        _log.info("compiling in memory: %s", reason)
    return dispatcher


def _folders(package: Path) -> Iterator[Path]:
    """Where numba keeps its caches: the folder the user named, beside the source, the user's cache folder."""
    if chosen := getattr(config, "CACHE_DIR", ""):
        yield Path(chosen) / "insects-search"
    yield package / "__pycache__"
    yield Path(AppDirs(appname="numba", appauthor=False).user_cache_dir) / "insects-search"


class _Locator(_CacheLocator):
    def __init__(self, folder: Path, digest: str) -> None:
        self._folder, self._digest = folder, digest

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> str:
        return self._digest

    def get_disambiguator(self) -> str:
        # Part of the file's name, so that two versions of the kernel in one folder do not replace each other's files.
        return self._digest[:16]

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> _Locator | None:
        for folder in _folders(Path(py_file).parent):
            locator = cls(folder, py_func.__source_digest__)
            try:
                locator.ensure_cache_path()
            except OSError:
                continue
            return locator
        return None


class _Entries(CompileResultCacheImpl):
    """Cache entries with a checksum: the linker would crash the process on a damaged one."""

    _locator_classes = [_Locator]  # noqa: RUF012 # as the base class has it

    def reduce(self, compiled: Any) -> tuple[bytes, bytes]:
        payload = dumps(super().reduce(compiled))
        return hashlib.sha256(payload).digest(), payload

    def rebuild(self, target_context: Any, entry: tuple[bytes, bytes]) -> Any:
        digest, payload = entry
        if hashlib.sha256(payload).digest() != digest:
            raise ValueError("the checksum of a cache entry does not match")
        return super().rebuild(target_context, pickle.loads(payload))  # noqa: S301 # as numba does itself


class _Cache(FunctionCache):
    _impl_class = _Entries

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(signature, target_context)
        except Exception as reason:  # unpickling damaged bytes can raise anything
            _log.info("the compiled kernel in %s cannot be read (%r): compiling anew", self.cache_path, reason)
            self._try(self.flush)
            return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        self._try(super().save_overload, signature, compiled)

    def _try(self, write: Any, *arguments: Any) -> None:
        try:
            write(*arguments)
        except OSError as reason:  # a full disk, a deleted folder: the kernel in memory is as good
            _log.info("the compiled kernel cannot be kept in %s: %s", self.cache_path, reason)
