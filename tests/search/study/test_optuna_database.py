"""Optuna's copy of a study in a database: finished trials once each, one coordinator at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
from optuna.storages import RDBStorage
from sqlalchemy import Connection, NullPool, create_engine, text

from insects.errors import StoreError
from search.store.storage_url import storage_url
from search.store.study_folder import StudyFolder
from search.study.lease import LEASE_SECONDS, Holder, LeaseHeldError
from search.study.optuna_database import OptunaDatabase
from tests.support.postgres import Postgres
from tests.support.studies import a_config, a_failure, a_result, begun_folder

HERE = Holder("here:/store", "ab")
THERE = Holder("there:/store", "cd")


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'optuna.db'}"
    server: Postgres = request.getfixturevalue("server")
    return storage_url(server.create(f"d{abs(hash(tmp_path))}"))


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    """A study with four trials: complete, pruned, failed and diverged."""
    folder = begun_folder(tmp_path / "store", a_config())
    folder.save(a_result(0, losses=(2.0, 1.0, 1.5)))
    folder.save(a_result(1, losses=(3.0, 2.5), state="pruned", reason="pruned: …"))
    folder.save(a_failure(2))
    folder.save(a_result(3, losses=(math.nan,), reason="diverged: …"))
    return folder


def exported(url: str) -> optuna.Study:
    """The study as a dashboard reads it."""
    storage = RDBStorage(url, engine_kwargs={"poolclass": NullPool})
    return optuna.load_study(study_name="s", storage=storage)


def trials(url: str) -> list[optuna.trial.FrozenTrial]:
    """The trials of the study."""
    return exported(url).trials


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """A connection for this block."""
    with create_engine(url, poolclass=NullPool).begin() as connection:
        yield connection


def expire(url: str) -> None:
    """Let a lease end now."""
    with connected(url) as connection:
        connection.execute(text("UPDATE insects_search_leases SET expires = 0"))


def expires(url: str) -> int:
    """When a lease ends."""
    with connected(url) as connection:
        return int(connection.execute(text("SELECT expires FROM insects_search_leases")).scalar_one())


def test_trials_come_back_with_state_params_values_and_curve(url: str, study: StudyFolder) -> None:
    database = OptunaDatabase(url, study, HERE)
    database.add_up_to(3)
    database.close()
    found = trials(url)
    assert [trial.number for trial in found] == [0, 1, 2, 3]
    assert [trial.state.name for trial in found] == ["COMPLETE", "PRUNED", "FAIL", "COMPLETE"]
    assert [trial.values for trial in found] == [[1.0], [2.5], None, [math.inf]]
    assert found[0].intermediate_values == {1: 2.0, 2: 1.0, 3: 1.5}
    assert math.isnan(found[3].intermediate_values[1])
    assert found[0].params == {"depth": 1, "width": 8, "lr": 0.01, "batch_size": 32}
    assert found[2].user_attrs["reason"] == "RuntimeError: boom"
    study_there = exported(url)
    assert (study_there.metric_names, study_there.best_trial.number) == (["validation loss"], 0)


def test_trial_that_is_told_twice_is_there_once(url: str, study: StudyFolder) -> None:
    first = OptunaDatabase(url, study, HERE)
    first.add_up_to(1)
    first.add_up_to(1)
    first.abandon()  # its process is killed
    again = OptunaDatabase(url, study, HERE)
    assert again.count == 2
    again.add_up_to(3)
    again.close()
    assert [trial.number for trial in trials(url)] == [0, 1, 2, 3]


def test_second_coordinator_is_refused_until_the_first_ends(url: str, study: StudyFolder) -> None:
    first = OptunaDatabase(url, study, HERE)
    with pytest.raises(
        LeaseHeldError,
        match=r"^study s is being searched from here:/store: wait for it, or choose another --study; if that search "
        rf"has crashed, the database frees the study in ({LEASE_SECONDS}|{LEASE_SECONDS - 1}) s$",
    ):
        OptunaDatabase(url, study, THERE)
    first.add_up_to(0)
    first.close()
    second = OptunaDatabase(url, study, THERE)
    second.add_up_to(3)
    second.close()
    assert len(trials(url)) == 4


def test_lease_of_a_crashed_coordinator_ends(url: str, study: StudyFolder) -> None:
    crashed = OptunaDatabase(url, study, HERE)
    crashed.abandon()
    with pytest.raises(LeaseHeldError):
        OptunaDatabase(url, study, THERE)
    expire(url)
    OptunaDatabase(url, study, THERE).close()


def test_coordinator_that_lost_its_lease_writes_nothing(
    url: str, study: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept = OptunaDatabase(url, study, HERE)
    expire(url)
    other = OptunaDatabase(url, study, THERE)
    monkeypatch.setattr("search.study.lease._TRUSTED_SECONDS", 0)
    with pytest.raises(LeaseHeldError, match="is being searched from there:/store"):
        slept.add_up_to(0)
    slept.abandon()
    assert trials(url) == []
    other.close()


def test_lease_is_renewed(url: str, study: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.study.lease.RENEW_SECONDS", 0.05)
    first = OptunaDatabase(url, study, HERE)
    expire(url)
    while expires(url) == 0:
        pass
    with pytest.raises(LeaseHeldError):
        OptunaDatabase(url, study, THERE)
    first.close()


def test_another_study_of_that_name_is_left_alone(url: str, study: StudyFolder, tmp_path: Path) -> None:
    first = OptunaDatabase(url, study, HERE)
    first.add_up_to(3)
    first.close()
    other = begun_folder(tmp_path / "other", a_config(seed=1))
    with pytest.raises(StoreError) as error:
        OptunaDatabase(url, other, THERE)
    assert str(error.value) == (
        f"{url} has another study of the name s: choose another --study, or delete it there with optuna delete-study"
    )
    assert len(trials(url)) == 4


def test_study_of_another_store_with_the_same_settings_is_taken_over(
    url: str, study: StudyFolder, tmp_path: Path
) -> None:
    first = OptunaDatabase(url, study, HERE)
    first.add_up_to(3)
    first.close()
    other = OptunaDatabase(url, begun_folder(tmp_path / "other", a_config()), THERE)
    assert other.count == 4
    other.close()


def test_study_that_was_deleted_there_is_written_anew(url: str, study: StudyFolder) -> None:
    database = OptunaDatabase(url, study, HERE)
    database.add_up_to(1)
    optuna.delete_study(study_name="s", storage=RDBStorage(url, engine_kwargs={"poolclass": NullPool}))
    with pytest.raises(StoreError, match="does not answer as it should: "):
        database.add_up_to(3)
    database.abandon()
    again = OptunaDatabase(url, study, HERE)
    again.add_up_to(3)
    again.close()
    assert [trial.number for trial in trials(url)] == [0, 1, 2, 3]


def test_damaged_result_is_one_line(url: str, study: StudyFolder) -> None:
    study.file(1).write_bytes(b"damaged")
    database = OptunaDatabase(url, study, HERE)
    with pytest.raises(StoreError, match=r"^the result of trial 1 of study s is missing: run the same search again"):
        database.add_up_to(3)
    database.close()
    assert [trial.number for trial in trials(url)] == [0]


def test_server_that_is_away_is_one_line(server: Postgres, study: StudyFolder) -> None:
    url = storage_url(server.create("away"))
    database = OptunaDatabase(url, study, HERE)
    database.add_up_to(0)
    server.stop()
    try:
        with pytest.raises(StoreError, match=r"^postgresql\+psycopg://.*/away does not answer as it should: .*$"):
            database.add_up_to(1)
        database.abandon()
        with pytest.raises(StoreError, match=r"connection to server at .* failed: Connection refused"):
            OptunaDatabase(url, study, HERE)
    finally:
        server.start()
    again = OptunaDatabase(url, study, HERE)
    again.add_up_to(3)
    again.close()
    assert [trial.number for trial in trials(url)] == [0, 1, 2, 3]
