"""Optuna's journal: an export of the finished trials for optuna-dashboard, which the search never reads.

A trial is written in one line once its result is final, so the journal never holds a running trial, or trials out of
order, whenever the process ends.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from insects.errors import StoreError
from insects.objective import objective_name
from insects.params import Metric, TrialParams
from insects.trial import TrialResult
from search.study.optuna_trials import describe_study, fingerprint_in, frozen_trial
from search.study.space import SearchSpace

if TYPE_CHECKING:
    import optuna
    from optuna.storages import JournalStorage

# What Optuna raises for a journal that is damaged or not a journal.
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AssertionError)


class OptunaJournal:
    """One study in Optuna's journal file, which holds all studies of the store.

    A study of this name with another fingerprint, or with more trials than there are results, is replaced: the folder
    of its results was deleted.

    Args:
        path: The journal file, made if absent.
        study: The study's name.
        fingerprint: The digest of the study's fingerprint.
        finished: The number of results that the study has on the disk.
        space: The study's search space.
        configs: The configurations that are trained beside the space's.
        metric: What the study is about, which names its objective.

    Raises:
        StoreError: The journal cannot be read or written.
    """

    def __init__(
        self,
        path: Path,
        study: str,
        fingerprint: str,
        finished: int,
        space: SearchSpace,
        configs: Sequence[TrialParams] = (),
        metric: Metric = "loss",
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._path = path
        self._distributions = space.widened(configs).distributions()
        try:
            self._study = _open_study(path, study, fingerprint, finished, objective_name(metric))
            self.count = len(self._study.get_trials(deepcopy=False))
        except _UNREADABLE as error:
            raise _cannot_read(path, error) from error

    def add(self, result: TrialResult) -> None:
        """Write the result of the next trial; a trial that the journal has already is skipped.

        A power cut may take the last lines away until `sync` is called; the next run writes them again.

        Raises:
            StoreError: The result cannot be written, or what other studies wrote meanwhile cannot be read.
        """
        if result.number < self.count:
            return
        try:
            self._study.add_trial(frozen_trial(result, self._distributions))
        except OSError as error:
            raise _cannot_write(self._path, error) from error
        except _UNREADABLE as error:
            raise _cannot_read(self._path, error) from error
        self.count += 1

    def sync(self) -> None:
        """Return when all lines are on the disk.

        Raises:
            StoreError: They cannot be written.
        """
        try:
            with open(self._path, "rb+") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise _cannot_write(self._path, error) from error


def open_journal(path: Path) -> JournalStorage | None:
    """Open a journal for a dashboard, while a search may write to it.

    Args:
        path: The journal file.

    Returns:
        Optuna's storage; None if there is no study in it.

    Raises:
        StoreError: It cannot be read.
    """
    import optuna
    from optuna.storages import JournalStorage

    if not path.exists():
        return None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        storage = JournalStorage(_JournalFile(path, _FlockJournalLock(path)))  # type: ignore[arg-type] # see _open_study
        return storage if optuna.get_all_study_names(storage) else None
    except _UNREADABLE as error:
        raise _cannot_read(path, error) from error


def _open_study(path: Path, name: str, fingerprint: str, finished: int, objective: str) -> optuna.Study:
    import optuna
    from optuna.storages import JournalStorage

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _FlockJournalLock(path)
    lock.acquire()  # cuts a torn last line before it is read
    lock.release()
    storage = JournalStorage(_JournalFile(path, lock))  # type: ignore[arg-type] # a backend by its methods
    try:  # `create_study(load_if_exists=True)` would add a line to the journal each time
        study = optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        study = optuna.create_study(storage=storage, study_name=name, direction="minimize")
    is_this_study = fingerprint_in(study) == fingerprint
    trials = len(study.get_trials(deepcopy=False))
    if trials > (finished if is_this_study else 0):
        optuna.delete_study(study_name=name, storage=storage)
        study = optuna.create_study(storage=storage, study_name=name, direction="minimize")
        is_this_study = False
    if not is_this_study:
        describe_study(study, fingerprint, objective)
    return study


def _cannot_write(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"cannot write {path}: {error.strerror}; finished trials are kept: make room, then run the same command again"
    )


def _cannot_read(path: Path, error: Exception) -> StoreError:
    return StoreError(
        f"cannot read {path}: {error}; move the file away and run the same command again, "
        "which writes it anew from the results"
    )


class _JournalFile:
    """Optuna's journal file, whose lines are not synced one by one: a disk takes milliseconds for each.

    Args:
        path: The file.
        lock: Held while a line is written.
    """

    def __init__(self, path: Path, lock: _FlockJournalLock) -> None:
        from optuna.storages.journal import JournalFileBackend

        self._path, self._lock = path, lock
        self._file = JournalFileBackend(str(path), lock_obj=lock)  # type: ignore[arg-type] # duck-typed lock
        self.read_logs = self._file.read_logs

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        self._lock.acquire()
        try:
            with open(self._path, "ab") as file:
                file.write(lines.encode())
        finally:
            self._lock.release()


class _FlockJournalLock:
    """Optuna's journal lock by `flock`, which the system releases when its holder dies. Optuna's own stays for 30 s.

    A writer that was killed, or had no room left, may leave a torn last line, to which the next writer would append.
    Taking the lock cuts it off.
    """

    def __init__(self, path: Path) -> None:
        self._journal = path
        # The lock file stays. Under the name of Optuna's own lock file, Optuna would wait for it to go away.
        self._path = path.with_name(path.name + ".flock")
        self._file: IO[str] | None = None

    def acquire(self) -> bool:
        self._file = open(self._path, "w")  # noqa: SIM115 - release() closes it
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            _cut_torn_line(self._journal)
        except BaseException:
            self.release()
            raise
        return True

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _cut_torn_line(path: Path) -> None:
    if not path.exists() or path.stat().st_size == 0:
        return
    with open(path, "rb+") as file:
        file.seek(-1, os.SEEK_END)
        if file.read() == b"\n":
            return
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        os.fsync(file.fileno())
