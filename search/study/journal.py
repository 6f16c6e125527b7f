"""Optuna's storage as a ledger of finished trials, written in the order of their numbers.

A trial enters the storage in one write when it is told, so the storage never holds a running trial, a trial with some
of its parameters, or one out of order, whenever the process ends.
"""

from __future__ import annotations

import datetime
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from insects.errors import StoreError, StudyError
from insects.params import TrialParams
from insects.trial import TrialResult
from search.study.space import SearchSpace, as_dict
from search.tracking.tags import IDENTITY_TAG

if TYPE_CHECKING:
    import optuna


class Ledger:
    """A study in Optuna's storage.

    path: the journal file; made if absent. A last line torn by a crash or a full disk is cut off: what it told is
    told again.
    identity: digest of what the study is.
    Raises: StoreError: the journal cannot be read or written. StudyError: it holds what this program did not write, or
    another study of that name.
    """

    def __init__(
        self, path: Path, study: str, identity: str, space: SearchSpace, configs: Sequence[TrialParams] = ()
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._distributions = space.widened(configs).distributions()
        self._path = path
        try:
            self._storage = _open_journal(path)
            self._study_id = _study_id(self._storage, study)
            self.trials = self._storage.get_all_trials(self._study_id, deepcopy=False)
            begun_as = _begun_as(self._storage, self._study_id, identity, begins=not self.trials)
        except _UNREADABLE as error:
            raise _cannot_read(path, error) from error
        if begun_as != identity:
            folder = path.parent / "trials" / study
            raise StudyError(
                f"study {study} in {path} began with other data or settings, and its folder {folder} is gone: "
                "restore it, or choose another --study"
            )
        unknown = [trial.number for trial in self.trials if not trial.state.is_finished()]
        if unknown:
            raise StudyError(
                f"trial {unknown[0]} of study {study} in {path} is not finished, so another program is writing there: "
                "choose another --study"
            )

    @property
    def told(self) -> int:
        """Trials told so far: the number of the next one."""
        return len(self.trials)

    def tell(self, result: TrialResult) -> None:
        """Write the result of the next trial.

        Raises: ValueError: it is not the next one. StoreError: it cannot be written, or what others wrote meanwhile
        cannot be read.
        """
        if result.number != self.told:
            raise ValueError(f"trial {self.told} is next, found {result.number}")
        trial = self._frozen(result)
        try:
            trial_id = self._storage.create_new_trial(self._study_id, template_trial=trial)
            written = self._storage.get_trial(trial_id)
        except OSError as error:
            raise StoreError(
                f"cannot write {self._path}: {error.strerror}; what is finished is kept: make room, "
                "then run the same command again"
            ) from error
        except _UNREADABLE as error:
            raise _cannot_read(self._path, error) from error
        if written.number != result.number:
            raise StudyError(f"another program told trial {result.number} in {self._path}: choose another --study")
        self.trials.append(written)

    def _frozen(self, result: TrialResult) -> optuna.trial.FrozenTrial:
        from optuna.trial import FrozenTrial, TrialState

        states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
        values = {"complete": result.valid_loss, "pruned": result.valid_losses[-1] if result.epochs else None}
        value = values.get(result.state)
        started = datetime.datetime.fromtimestamp(result.started)  # Optuna keeps local time without a zone
        return FrozenTrial(
            number=-1,
            trial_id=-1,
            state=states[result.state],
            value=None if value is None else float(value),
            values=None,
            datetime_start=started,
            datetime_complete=started + datetime.timedelta(seconds=result.seconds),
            params=as_dict(result.params),
            distributions=self._distributions,
            user_attrs={
                "best_epoch": result.best_epoch,
                "valid_accuracy": result.valid_accuracy,
                "reason": result.reason.strip().rpartition("\n")[2],
            },
            system_attrs={},
            intermediate_values={epoch: float(loss) for epoch, loss in enumerate(result.valid_losses, start=1)},
        )


# What Optuna raises for a journal that is not its own or is damaged.
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AssertionError)


def _cannot_read(path: Path, error: Exception) -> StoreError:
    return StoreError(
        f"cannot read {path}: {error}; move the file away and run the same command again: "
        "it is written anew from the results"
    )


class _FileLock:
    """Optuna's journal lock by `flock`, which the system releases when its holder dies.

    Whoever holds it finds whole lines only: what a writer that was killed or had no room left of its last one is cut
    off, since the next line would be taken for the rest of it.

    Its file stays, so it must not have the name of Optuna's own lock, which waits 30 s for such a file to go away.
    """

    def __init__(self, path: Path) -> None:
        self._journal = path
        self._path = path.with_name(path.name + ".flock")
        self._file: IO[str] | None = None

    def acquire(self) -> bool:
        self._file = open(self._path, "w")  # noqa: SIM115 - release() closes it
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            _cut_torn_tail(self._journal)
        except BaseException:
            self.release()
            raise
        return True

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _open_journal(path: Path) -> optuna.storages.JournalStorage:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _FileLock(path)
    lock.acquire()
    lock.release()
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))  # type: ignore[arg-type] # duck-typed lock


def _cut_torn_tail(path: Path) -> None:
    if not path.exists() or path.stat().st_size == 0:
        return
    with open(path, "rb+") as file:
        file.seek(-1, os.SEEK_END)
        if file.read() == b"\n":
            return
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        os.fsync(file.fileno())


def _study_id(storage: optuna.storages.BaseStorage, name: str) -> int:
    from optuna.study import StudyDirection

    try:
        return storage.get_study_id_from_name(name)
    except KeyError:
        return storage.create_new_study([StudyDirection.MINIMIZE], name)


def _begun_as(storage: optuna.storages.BaseStorage, study_id: int, identity: str, begins: bool) -> str | None:
    """The identity that the study has in the storage. begins: it is this one from now on, as there is nothing of it."""
    begun_as = storage.get_study_user_attrs(study_id).get(IDENTITY_TAG)
    if begins and begun_as != identity:
        storage.set_study_user_attr(study_id, IDENTITY_TAG, identity)
        return identity
    return begun_as
