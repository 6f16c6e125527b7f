"""How many trials fit into memory side by side, and settings that stop the compiled engine."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from insects import memory
from insects.devices import Choice
from insects.errors import StudyError
from insects.final import FoldTask
from insects.params import Recipe, TrialParams
from insects.splits import Splits
from insects.tasks import StudyRows
from insects.trial import TrialTask
from search.study.config import StudyConfig
from search.study.workers import MemoryFit, report_idle
from search.system.signals import StopFlag
from search.workers.threads import ThreadWorkers
from tests.support.commands import SMALL, Finished, command, invoke
from tests.support.studies import SPACE, UNTRAINABLE, a_config, builtin_splits

LARGEST = TrialParams(depth=2, width=16, lr=0.1, batch_size=64)  # of the tests' space


CONFIG_FILE = ".numba_config.yaml"
HERE = f"{CONFIG_FILE} in the working directory"
TURNED_OFF = "the compiled engine needs numba's compiler, which {} turns off: unset it, or use --engine torch"
NOT_LOADED = "the compiled engine needs numba, which cannot be loaded: {}; correct {}, or use --engine torch"


def needed(params: TrialParams) -> int:
    splits = builtin_splits()[0]
    return memory.training_bytes(params, splits.shape, len(splits.train_y), "compiled")


def free(monkeypatch: pytest.MonkeyPatch, count: int | None) -> None:
    """Let so many bytes be free beside the copies of the rows that are held for the figures."""
    splits = builtin_splits()[0]
    figures = 3 * (splits.train_x.nbytes + splits.valid_x.nbytes)
    monkeypatch.setattr(memory, "available", lambda: None if count is None else count + figures)


def trials_at_once(workers: int, config: StudyConfig, splits: Splits) -> int:
    """Trials side by side on this machine."""
    return MemoryFit(config, splits)(memory.available(), workers)


def test_search_says_that_workers_wait_for_the_window(capsys: pytest.CaptureFixture[str]) -> None:
    report_idle(4, a_config(), 50)
    report_idle(None, a_config(), 50)
    report_idle(8, a_config(sampler="random"), 50)
    report_idle(8, a_config(), 13)  # the sampler knows nothing before
    assert capsys.readouterr().err == ""
    report_idle(8, a_config(), 50)
    assert capsys.readouterr().err == (
        "4 of 8 workers train at a time once proposals follow from results, since --window is 4: a larger one uses "
        "more of them and costs search quality (mean regret 9.4 at 4, 12.1 at 16; docs/defaults.md), and it is another "
        "study\n"
    )


def test_as_many_trials_as_fit_into_memory_are_trained_side_by_side(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    splits, one = builtin_splits()[0], needed(LARGEST)
    assert LARGEST in SPACE
    for count, fitting in ((8 * one, 8), (4 * one - 1, 3), (one, 1)):
        free(monkeypatch, count)
        assert trials_at_once(8, a_config(), splits) == fitting
    assert capsys.readouterr().err.splitlines() == [
        f"Trials side by side: {fitting}, since one may take {memory.gigabytes(one)} of memory" for fitting in (3, 1)
    ]
    free(monkeypatch, 10**12)
    assert trials_at_once(64, a_config(), splits) == 64
    assert capsys.readouterr().err == ""


def test_given_configuration_counts_if_it_fits_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = TrialParams(depth=1, width=400, lr=0.1, batch_size=4)
    free(monkeypatch, 5 * needed(wide))
    splits = builtin_splits()[0]
    assert trials_at_once(8, a_config(configs=[wide]), splits) == 5
    assert trials_at_once(8, a_config(configs=[UNTRAINABLE]), splits) == 8


def test_network_without_hidden_layers_counts_where_it_is_the_larger_one(monkeypatch: pytest.MonkeyPatch) -> None:
    splits = builtin_splits()[0]
    config = replace(a_config(), space=replace(SPACE, depth=(0, 1), width=(1, 1)))
    linear, hidden = (TrialParams(depth, 1, 0.1, 64) for depth in (0, 1))
    assert needed(linear) > needed(hidden)  # 2 * 5 + 5 against 2 + 1 + 5 + 5 parameters
    free(monkeypatch, 3 * needed(linear))
    assert trials_at_once(8, config, splits) == 3


def test_memory_is_not_checked_where_it_is_unknown_or_another_device_trains(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    splits = builtin_splits()[0]
    free(monkeypatch, None)
    assert trials_at_once(8, a_config(), splits) == 8
    free(monkeypatch, 1)
    assert trials_at_once(8, replace(a_config(), choice=Choice("cuda", "torch", "as asked")), splits) == 8
    with pytest.raises(StudyError, match=r"^a trial with 2 hidden layers of 16 units on 2 inputs must fit into memory"):
        trials_at_once(8, a_config(), splits)


def test_search_that_does_not_fit_into_memory_is_one_line(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 20)
    done = invoke(monkeypatch, "search", *SMALL, "--store", str(store), "--study", "s")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == (
        "Error: a trial with 2 hidden layers of 16 units on 2 inputs must fit into memory: it takes about 0.0 GB, "
        "0.0 GB are free; lower --width, give fewer inputs (--image-size, --features), or end other programs"
    )
    assert list((store / "trials" / "s").glob("0*.npz")) == []


def test_search_that_is_done_needs_no_memory(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 20)
    done = invoke(monkeypatch, "search", *finished.arguments, "--store", str(finished.store))
    assert done.exit_code == 0, done.stderr
    assert "All 14 trials were done already" in done.stdout


def compiler_error(folder: Path, **environment: str) -> str:
    """The message of `check_compiler` in a process that starts in a folder; empty if numba may compile."""
    script = """
from insects.errors import DeviceError
from search.study.workers import check_compiler
try:
    check_compiler()
except DeviceError as error:
    print(error)
"""
    return subprocess.check_output(
        [sys.executable, "-c", script], cwd=folder, env={**os.environ, **environment}, text=True
    )


STOPPING = {
    "turned off": ({"NUMBA_DISABLE_JIT": "1"}, None, TURNED_OFF.format("NUMBA_DISABLE_JIT")),
    "turned off in the file": ({}, "disable_jit: true", TURNED_OFF.format(f"disable_jit in {HERE}")),
    "no threads": (
        {"NUMBA_NUM_THREADS": "0"},
        None,
        NOT_LOADED.format("Number of threads specified must be > 0.", "NUMBA_NUM_THREADS"),
    ),
    "a list in the file": ({}, "- a", NOT_LOADED.format("'list' object has no attribute 'items'", HERE)),
    "no yaml in the file": ({}, "[: x", NOT_LOADED.format("{}", HERE)),
}


@pytest.mark.parametrize("kind", STOPPING)
def test_setting_that_stops_numba_is_an_error_that_names_it(kind: str, tmp_path: Path) -> None:
    environment, content, message = STOPPING[kind]
    if content is not None:
        (tmp_path / CONFIG_FILE).write_text(content)
    found = compiler_error(tmp_path, **environment)
    start, _, end = message.partition("{}")  # the reason is that of the YAML reader
    assert found.startswith(start)
    assert found.endswith(f"{end}\n")
    assert found.count("\n") == 1
    if "{}" not in message:
        assert found == f"{message}\n"


@pytest.mark.parametrize("value", ["0", "no"])  # numba reads both as 0
def test_setting_that_leaves_the_compiler_on_is_no_error(value: str, tmp_path: Path) -> None:
    assert compiler_error(tmp_path, NUMBA_DISABLE_JIT=value) == ""


def test_search_with_a_setting_that_stops_numba_is_one_line(tmp_path: Path) -> None:
    done = command("insects-search", *SMALL, "--store", str(tmp_path / "store"), NUMBA_DISABLE_JIT="1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: {TURNED_OFF.format('NUMBA_DISABLE_JIT')}\n"


def test_search_with_the_torch_engine_needs_no_numba(tmp_path: Path) -> None:
    (tmp_path / CONFIG_FILE).write_text("- a")
    script = """
import sys
from dataclasses import replace
from pathlib import Path
from insects.devices import Choice
from tests.support.studies import a_config, run_study
config = replace(a_config(), choice=Choice("cpu", "torch", "as asked"))
print(*[result.state for result in run_study(Path("store"), config, 1)], "numba" in sys.modules)
"""
    root = str(Path(__file__).parents[3])
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": root}
    found = subprocess.check_output([sys.executable, "-c", script], cwd=tmp_path, env=environment, text=True)
    assert found == "complete False\n"


def a_task(number: int) -> TrialTask:
    return TrialTask(number, LARGEST, Recipe(2), 0, np.full(2, np.inf), "compiled", "cpu")


def test_trainings_in_flight_are_known_and_begin_when_the_engine_is_loaded(tmp_path: Path) -> None:
    loaded = threading.Event()
    with closing(ThreadWorkers(1, StopFlag())) as workers:
        workers.ready = loaded.wait
        splits = builtin_splits()[0]
        workers.open(
            StudyRows(splits, np.arange(len(splits.train_y) + len(splits.valid_y)) % 5),
            lambda free, wanted: wanted,
            tmp_path,
        )
        trainings = [workers.submit(a_task(number)) for number in range(2)]
        network = workers.submit(FoldTask(a_task(5), 2))
        assert [(t.trial.number, t.fold, t.progress, t.share_done) for t in workers.watched.in_flight] == [
            (0, None, None, 0.0), (1, None, None, 0.0), (5, 2, None, 0.0)
        ]  # fmt: skip
        assert workers.watched.began is None
        loaded.set()
        assert [training.result().number for training in trainings] == [0, 1]
        assert network.result().fold == 2
    assert workers.watched.in_flight == []
    assert workers.watched.began is not None
