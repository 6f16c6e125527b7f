"""A lease in a database, so that one coordinator at a time writes a study there.

The holder renews it; a holder that has crashed loses it when it expires. All times are of the database's own clock.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import BigInteger, Column, Connection, Engine, MetaData, String, Table, and_, func, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from insects.errors import StoreError

LEASE_SECONDS = 60
RENEW_SECONDS = 15
_TRUSTED_SECONDS = LEASE_SECONDS / 2  # after a renewal; in the second half a writer asks before it writes

_LEASES = Table(
    "insects_search_leases",
    MetaData(),
    Column("study", String(512), primary_key=True),
    Column("store", String(512), nullable=False),
    Column("study_id", String(64), nullable=False),
    Column("expires", BigInteger, nullable=False),
)


class LeaseHeldError(StoreError):
    """Another coordinator holds the lease."""

    def __init__(self, study: str, store: str, seconds: int) -> None:
        super().__init__(
            f"study {study} is being searched from {store}: wait for it, or choose another --study; if that search "
            f"has crashed, the database frees the study in {seconds} s"
        )


@dataclass(frozen=True)
class Holder:
    """Who may hold a lease.

    A file lock in the store keeps a second process of the same host from writing the same study of the same store, so a
    search that was killed and started again takes over its own lease at once.

    Attributes:
        store: The host and the path of the store.
        study_id: The id of the study in the store.
    """

    store: str
    study_id: str


class Lease:
    """A lease of a study, held until `release` or for `LEASE_SECONDS` after the process has died.

    Args:
        engine: The database.
        study: The study's name.
        holder: The holder.

    Raises:
        LeaseHeldError: Another holder has it.
        SQLAlchemyError: The database does not answer.
    """

    def __init__(self, engine: Engine, study: str, holder: Holder) -> None:
        self._engine, self._study, self._holder = engine, study, holder
        self._mine = and_(
            _LEASES.c.study == study, _LEASES.c.store == holder.store, _LEASES.c.study_id == holder.study_id
        )
        _LEASES.create(engine, checkfirst=True)
        self._renewed = time.monotonic()
        try:
            self._take()
        except IntegrityError:  # another holder took it between the look and the write
            self._take()
        self._released = threading.Event()
        self._renewer = threading.Thread(target=self._keep_renewing, daemon=True)
        self._renewer.start()

    def check(self) -> None:
        """Check that the lease is held.

        Raises:
            LeaseHeldError: It expired while the database was away, and another holder has it now.
            SQLAlchemyError: The database does not answer.
        """
        if time.monotonic() - self._renewed > _TRUSTED_SECONDS:
            self._renew()

    def stop(self) -> None:
        """Renew it no more; it stays until it expires, or until the same holder takes it again."""
        self._released.set()

    def release(self) -> None:
        """Free the lease for other holders.

        Raises:
            SQLAlchemyError: The database does not answer; the lease expires by itself.
        """
        self.stop()
        self._renewer.join()
        with self._engine.begin() as connection:
            connection.execute(_LEASES.delete().where(self._mine))

    def _take(self) -> None:
        columns = _LEASES.c
        with self._engine.begin() as connection:
            now = _now(connection)
            new = {"store": self._holder.store, "study_id": self._holder.study_id, "expires": now + LEASE_SECONDS}
            row = connection.execute(select(_LEASES).where(columns.study == self._study)).first()
            if row is None:
                connection.execute(_LEASES.insert().values(study=self._study, **new))
                return
            if (row.store, row.study_id) != (self._holder.store, self._holder.study_id) and row.expires > now:
                raise LeaseHeldError(self._study, row.store, row.expires - now)
            as_seen = and_(
                columns.study == self._study, columns.study_id == row.study_id, columns.expires == row.expires
            )
            if connection.execute(_LEASES.update().where(as_seen).values(**new)).rowcount != 1:
                raise LeaseHeldError(self._study, "another store", LEASE_SECONDS)

    def _renew(self) -> None:
        asked = time.monotonic()
        with self._engine.begin() as connection:
            expires = _now(connection) + LEASE_SECONDS
            if connection.execute(_LEASES.update().where(self._mine).values(expires=expires)).rowcount == 1:
                self._renewed = asked
                return
        self._take()  # the row is gone, or another holder's
        self._renewed = asked

    def _keep_renewing(self) -> None:
        while not self._released.wait(RENEW_SECONDS):
            try:
                self._renew()
            except (LeaseHeldError, SQLAlchemyError):  # the next `check` reports it
                continue


def _now(connection: Connection) -> int:
    """Return the seconds since 1970 by the database's clock."""
    now = connection.execute(select(func.now())).scalar_one()
    assert isinstance(now, datetime)
    return math.ceil((now if now.tzinfo else now.replace(tzinfo=UTC)).timestamp())
