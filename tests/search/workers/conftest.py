"""Fixtures of the tests of workers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from search.system.signals import StopFlag
from search.workers.threads import ThreadWorkers
from tests.support.dask_cluster import DaskCluster
from tests.support.remote_studies import train


@pytest.fixture(scope="session")
def digest(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of the study, trained in threads."""
    return train(tmp_path_factory.mktemp("threads"), ThreadWorkers(2, StopFlag()))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """Two workers that every test leaves as they are."""
    with DaskCluster(tmp_path_factory.mktemp("dask") / "cluster", 2) as cluster:
        yield cluster
