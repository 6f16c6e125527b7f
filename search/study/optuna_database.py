"""A database of Optuna's: an export of the finished trials for dashboards that a team shares.

The search never reads it to decide anything. Trials are added in the order of their numbers, each in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from insects.errors import StoreError
from insects.objective import objective_name
from search.store.study_folder import StudyFolder
from search.store.tracking_uri import without_password
from search.study.config import fingerprint_digest
from search.study.optuna_trials import describe_study, fingerprint_in, frozen_trial
from search.study.space import stored_space

if TYPE_CHECKING:
    import optuna

    from search.study.lease import Holder

# A server that is gone without a word would else block a write for minutes.
_POSTGRES = {"connect_timeout": 5, "tcp_user_timeout": 15_000}


class OptunaDatabase:
    """One study in a database, which is held by a lease; see `search.study.lease`.

    After a StoreError it is unknown what was written: a new object finds out.

    Args:
        url: The database, with its driver.
        folder: The study.
        holder: Who holds the lease.

    Raises:
        LeaseHeldError: Another coordinator searches the study.
        StoreError: The database does not answer, or has another study of that name.
    """

    def __init__(self, url: str, folder: StudyFolder, holder: Holder) -> None:
        self._url, self._folder = url, folder
        fingerprint = folder.fingerprint
        self._distributions = stored_space(fingerprint).distributions()
        with self._one_line_errors(RuntimeError):  # the tables are of another version of Optuna
            import optuna
            from optuna.storages import RDBStorage

            from search.study.lease import Lease

            optuna.logging.set_verbosity(optuna.logging.ERROR)
            self._storage = RDBStorage(url, engine_kwargs=_engine_settings(url))
            with ExitStack() as undo:
                undo.callback(self._storage.engine.dispose)
                self._lease = Lease(self._storage.engine, folder.name, holder)
                undo.callback(self._lease.stop)
                self._study = self._open(fingerprint_digest(fingerprint))
                self.count = len(self._study.get_trials(deepcopy=False))
                undo.pop_all()

    def add_up_to(self, number: int) -> None:
        """Write the trials up to `number` that the database does not have.

        Raises:
            LeaseHeldError: Another coordinator has taken the study over while the database was away.
            StoreError: The database does not answer, or a result is damaged.
        """
        for missing in range(self.count, number + 1):
            result = self._folder.load(missing)
            if result is None:
                raise StoreError(
                    f"the result of trial {missing} of study {self._folder.name} is missing: run the same search "
                    "again, which trains it again"
                )
            with self._one_line_errors(KeyError):  # the study was deleted
                self._lease.check()
                self._study.add_trial(frozen_trial(result, self._distributions))
            self.count = missing + 1

    def abandon(self) -> None:
        """Renew the lease no more, without a word to a database that does not answer."""
        self._lease.stop()
        self._storage.engine.dispose()

    def close(self) -> None:
        """Free the study for other coordinators.

        Raises:
            StoreError: The database does not answer; the lease expires by itself.
        """
        with self._one_line_errors():
            self._lease.release()
        self._storage.engine.dispose()

    def _open(self, fingerprint: str) -> optuna.Study:
        import optuna

        study = optuna.create_study(
            storage=self._storage, study_name=self._folder.name, direction="minimize", load_if_exists=True
        )
        found = fingerprint_in(study)
        if found is None and not study.get_trials(deepcopy=False):
            describe_study(study, fingerprint, objective_name(self._folder.metric))
        elif found != fingerprint:
            raise StoreError(
                f"{without_password(self._url)} has another study of the name {self._folder.name}: choose another "
                "--study, or delete it there with optuna delete-study"
            )
        return study

    @contextmanager
    def _one_line_errors(self, *others: type[Exception]) -> Iterator[None]:
        """Turn errors of Optuna and SQLAlchemy, and of other types, into one line."""
        from optuna.exceptions import OptunaError
        from sqlalchemy.exc import SQLAlchemyError

        expected: tuple[type[Exception], ...] = (SQLAlchemyError, OptunaError, *others)
        try:
            yield
        except expected as error:
            raise StoreError(f"{without_password(self._url)} does not answer as it should: {_reason(error)}") from error


def _engine_settings(url: str) -> dict[str, Any]:
    settings: dict[str, Any] = {"pool_pre_ping": True}
    if url.startswith("postgresql+psycopg:"):
        settings["connect_args"] = _POSTGRES
    return settings


def _reason(error: Exception) -> str:
    """Return the first line of the driver's own error, if there is one."""
    cause = error.__cause__ or error
    cause = getattr(cause, "orig", None) or cause
    return without_password(str(cause).strip().partition("\n")[0])[:300]
