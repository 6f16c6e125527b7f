"""Training on a Dask cluster: the bits of threads, whatever becomes of workers, scheduler and search."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from insects.errors import StudyError
from insects.params import Recipe, TrialParams
from insects.tasks import StudyRows
from insects.trial import TrialResult
from search.study.config import FinalSettings
from search.study.workers import MemoryFit
from search.system.signals import Interrupted, StopFlag
from search.workers import dask_cluster, dask_scheduler
from search.workers.dask_cluster import DaskWorkers
from tests.support import preload
from tests.support.commands import SMALL, invoke, searching
from tests.support.dask_cluster import DaskCluster, tls_settings
from tests.support.reference_study import folder_of
from tests.support.remote_studies import CONFIG, REQUEST, TRIALS, train
from tests.support.servers import START_SECONDS
from tests.support.studies import PARAMS, as_dict, begun_folder, builtin_data

pytestmark = pytest.mark.slow

PRELOAD = Path(preload.__path__[0])
SLOW = ("--preload", str(PRELOAD / "slow_trials.py"))
# Minutes of training, which nobody waits for.
ENDLESS = replace(CONFIG, recipe=Recipe(epochs=1_000_000), configs=(TrialParams(2, 16, 0.01, 16),) * 4)


def test_study_on_workers_equals_that_of_threads(cluster: DaskCluster, tmp_path: Path, digest: str) -> None:
    assert train(tmp_path, DaskWorkers(cluster.address, REQUEST)) == digest
    cluster.wait_until_idle()


def test_study_on_four_workers_equals_that_of_threads(tmp_path: Path, digest: str) -> None:
    with DaskCluster(tmp_path / "cluster", 4) as cluster:
        assert train(tmp_path / "store", DaskWorkers(cluster.address, REQUEST)) == digest


def test_study_over_tls_equals_that_of_threads(tmp_path: Path, digest: str) -> None:
    settings = tls_settings(tmp_path)
    encrypted = DaskCluster(tmp_path / "cluster", 2, "tls", settings)
    import dask

    with dask.config.set(settings), encrypted as cluster:
        assert train(tmp_path / "store", DaskWorkers(cluster.address, REQUEST)) == digest
        with (
            dask.config.set({"distributed.comm.tls.client.cert": None}),
            pytest.raises(StudyError, match=f"^{cluster.address} needs certificates: set ca-file, client.cert and "),
        ):
            DaskWorkers(cluster.address, REQUEST)


def test_setting_that_requires_encryption_refuses_an_address_without_it(cluster: DaskCluster) -> None:
    import dask

    with (
        dask.config.set({"distributed.comm.require-encryption": True}),
        pytest.raises(StudyError, match=f"require-encryption refuses {cluster.address}: give an address with tls://$"),
    ):
        DaskWorkers(cluster.address, REQUEST)


def test_scheduler_is_found_by_its_file(cluster: DaskCluster, tmp_path: Path) -> None:
    config = replace(CONFIG, final=FinalSettings(finalists=1, folds=2))
    one = train(tmp_path / "one", DaskWorkers(str(cluster.scheduler_file), REQUEST), config=config, trials=2)
    assert one == train(tmp_path / "other", DaskWorkers(cluster.address, REQUEST), config=config, trials=2)


def test_interrupt_ends_training_on_the_workers(cluster: DaskCluster, tmp_path: Path) -> None:
    stop = StopFlag()

    def when_the_first_has_ended(result: TrialResult) -> None:
        stop.set(signal.SIGTERM)

    quick = replace(ENDLESS, configs=(replace(CONFIG.configs[0], lr=1e30), *ENDLESS.configs))  # it diverges
    with pytest.raises(Interrupted):
        train(
            tmp_path, DaskWorkers(cluster.address, REQUEST), config=quick, stop=stop, on_result=when_the_first_has_ended
        )
    assert folder_of(tmp_path).numbers() == [0]
    cluster.wait_until_idle()


def test_killed_search_leaves_nothing_on_the_workers_and_goes_on(
    cluster: DaskCluster, tmp_path: Path, digest: str
) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from search.workers.dask_cluster import DaskWorkers\n"
        "from tests.support.remote_studies import REQUEST, train\n"
        "def die(result):\n"
        "    if result.number == 4: os.kill(os.getpid(), signal.SIGKILL)\n"
        "train(Path(sys.argv[1]), DaskWorkers(sys.argv[2], REQUEST), on_result=die)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path), cluster.address], check=False)
    assert done.returncode == -signal.SIGKILL
    assert 4 in folder_of(tmp_path).numbers()
    assert len(folder_of(tmp_path).numbers()) < TRIALS
    cluster.wait_until_idle()
    assert train(tmp_path, DaskWorkers(cluster.address, REQUEST)) == digest


def test_workers_that_do_not_give_the_studys_canary_are_not_taken(cluster: DaskCluster, tmp_path: Path) -> None:
    folder = begun_folder(tmp_path, CONFIG)
    (folder.path / "canary").write_text("ab" * 32)
    with pytest.raises(StudyError) as error:
        train(tmp_path, DaskWorkers(cluster.address, REQUEST))
    assert str(error.value) == (
        f"no worker of {cluster.address} is admitted: its canary trial gives other bits than the study's"
    )


def test_workers_tell_how_much_memory_they_have(cluster: DaskCluster, tmp_path: Path) -> None:
    asked: list[tuple[int | None, int]] = []

    def check(free: int | None, wanted: int) -> int:
        asked.append((free, wanted))
        return wanted

    folder, rows = begun_folder(tmp_path, CONFIG), StudyRows(builtin_data().splits)
    with closing(DaskWorkers(cluster.address, REQUEST)) as workers:
        workers.open(rows, check, folder.path)
        assert workers.count == 2
    assert all(free is not None and free > 0 and wanted == 1 for free, wanted in asked)
    huge = replace(CONFIG, space=replace(CONFIG.space, width=(1, 1_000_000)))
    with closing(DaskWorkers(cluster.address, REQUEST)) as workers, pytest.raises(StudyError) as error:
        workers.open(rows, MemoryFit(huge, rows.splits), folder.path)
    assert "is admitted: a trial with 2 hidden layers of 1000000 units on 2 inputs must fit into memory" in str(
        error.value
    )


def test_no_scheduler_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(dask_scheduler, "CONNECT_SECONDS", 0.5)
    for place in ("tcp://127.0.0.1:9", str(tmp_path / "absent.json")):
        with pytest.raises(StudyError) as error:
            DaskWorkers(place, REQUEST)
        assert str(error.value).startswith(f"no Dask scheduler answers at {place}: ")
        assert error.value.parameter == "cluster"


def test_workers_are_killed_and_others_join(tmp_path: Path, digest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[str] = []
    lose = DaskWorkers._lose

    def spied(workers: DaskWorkers, job: dask_cluster._Job, reason: str) -> None:
        lost.append(reason)
        lose(workers, job, reason)

    monkeypatch.setattr(DaskWorkers, "_lose", spied)
    with DaskCluster(tmp_path / "cluster", 0) as cluster:
        for _ in range(4):
            cluster.start_worker(*SLOW)
        cluster.wait_for(4)
        ended: list[int] = []

        def disturb(result: TrialResult) -> None:
            ended.append(result.number)
            if len(ended) in (2, 4, 6):
                cluster.kill_worker(len(ended) // 2 - 1)
                cluster.start_worker(*SLOW)

        assert train(tmp_path / "store", DaskWorkers(cluster.address, REQUEST), on_result=disturb) == digest
    assert len(lost) >= 2
    assert all("left the cluster" in reason for reason in lost)


def test_scheduler_is_killed_and_started_again(tmp_path: Path, digest: str, capsys: pytest.CaptureFixture[str]) -> None:
    with DaskCluster(tmp_path / "cluster", 0) as cluster:
        cluster.start_worker(*SLOW)
        cluster.start_worker(*SLOW)
        cluster.wait_for(2)

        def disturb(result: TrialResult) -> None:
            if result.number == 3:
                cluster.kill_scheduler()
                time.sleep(1)  # so that the search sees it
                cluster.start_scheduler()
                cluster.start_worker(*SLOW)

        assert train(tmp_path / "store", DaskWorkers(cluster.address, REQUEST), on_result=disturb) == digest
    assert f"The Dask scheduler at {cluster.address} does not answer: waiting for it\n" in capsys.readouterr().err


def test_workers_of_another_kind_or_with_a_wrong_canary_are_left_out(
    tmp_path: Path, digest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    versions = tmp_path / "versions" / "numpy-0.0.1.dist-info"
    versions.mkdir(parents=True)
    (versions / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 0.0.1\n")
    with DaskCluster(tmp_path / "cluster", 2) as cluster:
        cluster.start_worker(NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="+sse2")
        cluster.start_worker(PYTHONPATH=str(versions.parent))
        cluster.start_worker("--preload", str(PRELOAD / "wrong_bits.py"))
        cluster.wait_for(5)
        workers = DaskWorkers(cluster.address, REQUEST)

        def wait_for_refusals(result: TrialResult) -> None:
            until = time.monotonic() + START_SECONDS
            while workers._said.total() < 3:
                assert time.monotonic() < until, "workers were admitted that should not be"
                time.sleep(0.1)

        assert train(tmp_path / "store", workers, on_result=wait_for_refusals) == digest
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Workers left out: ")]
    reasons = sorted(line.partition("), since ")[2] for line in lines)
    assert reasons[0] == "its canary trial gives other bits than the study's"
    assert reasons[1].startswith("its numpy is 0.0.1, the study's ")
    assert reasons[2].startswith("its processor is x86_64 generic ")
    assert len(lines) == 3
    assert all(line.startswith("Workers left out: 1 of 5 (tcp://127.0.0.1:") for line in lines)


def test_trial_that_ends_its_workers_ends_the_search_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_cluster, "MOST_LOSSES", 2)
    with DaskCluster(tmp_path / "cluster", 0) as cluster:
        for _ in range(3):
            cluster.start_worker("--preload", str(PRELOAD / "deadly_trial.py"))
        cluster.wait_for(3)
        with pytest.raises(StudyError) as error:
            train(tmp_path / "store", DaskWorkers(cluster.address, REQUEST))
    assert str(error.value).startswith("trial-0003 (depth ")
    assert ") ended 2 workers in a row, the last with: tcp://127.0.0.1:" in str(error.value)
    assert 0 in folder_of(tmp_path / "store").numbers()


def test_command_on_a_cluster_gives_the_study_of_threads(
    cluster: DaskCluster, store: Path, tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(empty_database, other)
    here = invoke(monkeypatch, "search", *SMALL, "--json", "--store", str(other))
    there = invoke(monkeypatch, "search", *SMALL, "--json", "--store", str(store), "--cluster", cluster.address)
    assert there.exit_code == 0, there.stderr
    one, two = json.loads(here.stdout), json.loads(there.stdout)
    assert (one["study"], one["study_digest"]) == (two["study"], two["study_digest"])
    cluster.wait_until_idle()


def test_ctrl_c_of_the_command_reaches_the_workers(cluster: DaskCluster, tmp_path: Path) -> None:
    configs = tmp_path / "configs.json"
    configs.write_text(json.dumps([as_dict(params) for params in (replace(PARAMS, lr=1e30), *ENDLESS.configs)]))
    arguments = ("--trials", "5", "--epochs", "1000000", "--configs", str(configs), "--cluster", cluster.address)
    with searching(*arguments, "--store", str(tmp_path / "store")) as process:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate()
    assert process.returncode == 130
    assert "Interrupted after 1 of 5 trials: the same command goes on." in output
    cluster.wait_until_idle()
