"""A study's fingerprint, the checks of it, and the configurations that a study begins with."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from insects.devices import Choice
from insects.errors import DataError, StudyError
from insects.machine import machine_of
from insects.params import Recipe, TrialParams
from search.study import config
from search.study.config import (
    RESULTS_VERSION,
    FinalSettings,
    StudyConfig,
    check_fingerprint,
    default_name,
    read_configs,
    study_digest,
    version_differences,
)
from search.study.pruner import PercentilePruner
from search.study.space import SearchSpace
from tests.support.studies import PARAMS, a_config, a_failure, a_result, builtin_data


def fingerprint(of: StudyConfig) -> dict[str, Any]:
    return of.fingerprint(builtin_data())


def stored(of: StudyConfig) -> dict[str, Any]:
    """The fingerprint as it is read from the store."""
    return dict(json.loads(json.dumps(fingerprint(of))))


CHANGES = {
    "space lr": {"space": SearchSpace(lr=(1e-3, 1e-2))},
    "epochs": {"recipe": Recipe(4)},
    "schedule": {"recipe": Recipe(3, "constant")},
    "class_weight": {"recipe": Recipe(3, class_weight="balanced")},
    "metric": {"recipe": Recipe(3, metric="accuracy")},
    "sampler": {"sampler": "random"},
    "pruner": {"pruner": PercentilePruner(50.0)},
    "window": {"window": 5},
    "seed": {"seed": 1},
    "configs": {"configs": (PARAMS,)},
    "engine": {"choice": Choice("cpu", "torch", "as asked")},
    "device": {"choice": Choice("cuda", "compiled", "as asked")},
    "processor": {"choice": Choice("cpu", "compiled", "as asked", accelerator="H100")},
}


@pytest.mark.parametrize(("label", "change"), CHANGES.items(), ids=CHANGES)
def test_each_setting_that_may_change_a_result_is_in_the_fingerprint_and_in_the_error(
    label: str, change: dict[str, Any]
) -> None:
    before, now = stored(a_config()), fingerprint(replace(a_config(), **change))
    assert default_name("insects", before) != default_name("insects", now)
    with pytest.raises(StudyError, match=rf"study s cannot go on with other settings: .*{label} was .*, now .*--study"):
        check_fingerprint("s", before, now)


def test_error_of_another_setting_says_what_was_and_what_is_and_what_to_do() -> None:
    before, now = stored(a_config()), fingerprint(a_config(window=5, seed=1))
    with pytest.raises(StudyError) as error:
        check_fingerprint("s", before, now)
    assert str(error.value) == (
        "study s cannot go on with other settings: seed was 0, now 1; window was 4, now 5: use what it began with, "
        "or start a new study with another --study (or without --study)"
    )


def test_every_setting_of_the_recipe_and_of_the_final_is_in_the_fingerprint() -> None:
    before = stored(a_config())
    changed = replace(a_config(), recipe=Recipe(3, class_weight="balanced"), final=FinalSettings(0, 3))
    with pytest.raises(
        StudyError, match=r"settings: class_weight was none, now balanced; final folds was 2, now 3: use"
    ):
        check_fingerprint("s", before, fingerprint(changed))
    assert (before["metric"], before["final"]) == ("loss", {"finalists": 0, "folds": 2})


@pytest.mark.parametrize("library", ["numpy", "numba", "optuna", "scipy", "torch"])
def test_library_versions_are_in_the_fingerprint(library: str) -> None:
    before = stored(a_config())
    before["libraries"][library] = "0.0"
    with pytest.raises(StudyError, match=rf"libraries {library} was 0\.0, now \d"):
        check_fingerprint("s", before, fingerprint(a_config()))


def test_fingerprint_holds_the_results_version_and_not_the_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    before = stored(a_config())
    assert before["results_version"] == RESULTS_VERSION
    assert sorted(before["libraries"]) == ["numba", "numpy", "optuna", "scipy", "torch"]
    monkeypatch.setattr(config, "RESULTS_VERSION", RESULTS_VERSION + 1)
    now = fingerprint(a_config())
    assert default_name("insects", now) != default_name("insects", before)
    message = f"results_version was {RESULTS_VERSION}, now {RESULTS_VERSION + 1}: use what it began with"
    with pytest.raises(StudyError, match=message):
        check_fingerprint("s", before, now)


def test_version_differences_are_those_of_libraries_and_results_version() -> None:
    settings = a_config(configs=[PARAMS], percentile=33.3)
    before, now = stored(settings), fingerprint(settings)
    assert version_differences(before, now) == []
    before["libraries"]["numpy"] = "0.0"
    before["results_version"] = 0
    assert version_differences(before, now) == [
        f"libraries numpy was 0.0, now {np.__version__}",
        f"results_version was 0, now {RESULTS_VERSION}",
    ]


@pytest.mark.parametrize("change", [{"seed": 1}, {"processor": "x86_64 another"}, {"data": {}}])
def test_fingerprints_that_differ_in_a_setting_too_have_no_version_differences(change: dict[str, Any]) -> None:
    before = {**stored(a_config()), "results_version": 0, **change}
    assert version_differences(before, fingerprint(a_config())) == []


def test_fingerprint_is_that_of_the_machines_that_train() -> None:
    here = machine_of(a_config().choice)
    assert fingerprint(replace(a_config(), machine=here)) == fingerprint(a_config())
    there = replace(
        here, processor="x86_64 another", libraries=(*here.libraries[:1], ("numpy", "2.0"), here.libraries[2])
    )
    found, own = fingerprint(replace(a_config(), machine=there)), fingerprint(a_config())
    assert (found["processor"], found["libraries"]) == ("x86_64 another", {**own["libraries"], "numpy": "2.0"})
    # The sampler proposes on this machine.
    assert found["proposing"] == {"processor": here.processor, "libraries": dict(here.libraries)}
    assert "proposing" not in own


@cache
def processors(**environment: str) -> list[str]:
    """The processor in the fingerprint for each engine, in a process with other settings of numba's."""
    script = """
from insects.devices import Choice
from insects.machine import processor_of
for engine in ("compiled", "torch"):
    print(processor_of(Choice("cpu", engine, "as asked")))
"""
    command = [sys.executable, "-c", script]
    return subprocess.check_output(command, env={**os.environ, **environment}, text=True).splitlines()


@pytest.mark.parametrize(
    ("setting", "value"),
    [("NUMBA_CPU_NAME", "generic"), ("NUMBA_CPU_FEATURES", "+sse2"), ("NUMBA_ENABLE_AVX", "0")],
)
def test_processor_that_numba_compiles_for_is_in_the_fingerprint(setting: str, value: str) -> None:
    compiled, torch = processors()
    changed, torch_too = processors(**{setting: value})
    assert torch_too == torch == compiled
    if setting == "NUMBA_CPU_NAME" or "avx" in compiled:
        assert changed != compiled


def test_other_data_is_an_error_that_names_its_digests() -> None:
    data = builtin_data()
    splits, test = replace(data.splits, digest="ff" * 32), replace(data.test, x=data.test.x + 1)
    now = a_config().fingerprint(replace(data, splits=splits, test=test))
    digest = r"[0-9a-f]{37}\.\.\."
    message = rf"data digest was {digest}, now f{{37}}\.\.\.; data test_digest was {digest}, now {digest}: use what"
    with pytest.raises(StudyError, match=message):
        check_fingerprint("s", stored(a_config()), now)


def test_name_of_the_data_is_not_in_the_fingerprint() -> None:
    data = builtin_data()
    renamed = replace(data, source="elsewhere/train.csv", test=replace(data.test, source="elsewhere/table.csv"))
    assert a_config().fingerprint(renamed) == fingerprint(a_config())


def test_same_settings_go_on_after_a_round_trip_through_json() -> None:
    settings = a_config(configs=[PARAMS], percentile=33.3)
    before = stored(settings)
    check_fingerprint("s", before, fingerprint(settings))
    assert default_name("insects", before) == default_name("insects", fingerprint(settings))
    before["configs"][0]["width"] += 1
    with pytest.raises(StudyError, match="configs was "):
        check_fingerprint("s", before, fingerprint(settings))


def test_reason_of_a_choice_is_not_in_the_fingerprint() -> None:
    chosen = replace(a_config(), choice=Choice("cpu", "compiled", "no accelerator found"))
    assert default_name("insects", fingerprint(chosen)) == default_name("insects", fingerprint(a_config()))


def test_study_digest_changes_with_every_part_of_a_result_but_its_times() -> None:
    result = a_result(0)
    nudged = result.history.copy()
    nudged[1, 0] = np.nextafter(nudged[1, 0], 1)
    digest = study_digest([result])
    others = [
        [],
        [replace(result, number=1)],
        [replace(result, state="pruned")],
        [replace(result, params=replace(PARAMS, lr=math.nextafter(PARAMS.lr, 1)))],
        [replace(result, best_epoch=1)],
        [replace(result, history=nudged)],
        [result, a_failure(1)],
    ]
    digests = {digest, *map(study_digest, others)}
    assert len(digests) == 1 + len(others)
    assert study_digest([replace(result, started=0.0, seconds=9.0)]) == digest


def test_configurations_are_read_in_order_with_duplicates(tmp_path: Path) -> None:
    configs = [PARAMS, TrialParams(depth=9, width=999, lr=2.0, batch_size=1000), PARAMS]
    path = tmp_path / "configs.json"
    path.write_text(json.dumps([asdict(config) for config in configs]))
    assert read_configs(path) == tuple(configs)
    path.write_text("[]")
    assert read_configs(path) == ()


BAD_CONFIGS = {
    "{": "is not JSON",
    "[" * 100_000: "is not JSON",
    "3": "must hold a list like",
    '{"depth": 1}': "must hold a list like",
    "[1]": "entry 1: needs exactly depth, width, lr and batch_size, found 1",
    '[{"depth": 1}]': "entry 1: needs exactly depth, width, lr and batch_size, found 'depth'",
    '[{"a\\u001b[31m\\n": 1}]': r"lr and batch_size, found 'a\x1b[31m\n'",
    "[{}]": "lr and batch_size, found nothing",
    f'[{{"depth": {10**21}, "width": 1, "lr": 1, "batch_size": 1}}]': "entry 1: depth must be at most 1000, found 1000",
    '[{"depth": 1, "width": 1000001, "lr": 1, "batch_size": 1}]': "width must be at most 1000000, found 1000001",
    '[{"depth": -1, "width": 1, "lr": 1, "batch_size": 1}]': "entry 1: depth must be a whole number of at least 0",
    '[{"depth": true, "width": 1, "lr": 1, "batch_size": 1}]': "entry 1: depth must be a whole number",
    '[{"depth": 1, "width": "1", "lr": 1, "batch_size": 1}]': "entry 1: width must be a whole number",
    '[{"depth": 1, "width": 1.0, "lr": 1, "batch_size": 1}]': "entry 1: width must be a whole number",
    '[{"depth": 1, "width": 1, "lr": NaN, "batch_size": 1}]': "entry 1: lr must be finite and above 0, found nan",
    '[{"depth": 1, "width": 1, "lr": 1e999, "batch_size": 1}]': "entry 1: lr must be finite and above 0, found inf",
    '[{"depth": 1, "width": 1, "lr": null, "batch_size": 1}]': "entry 1: lr must be a number above 0, found None",
    f'[{{"depth": 1, "width": 1, "lr": {10**400}, "batch_size": 1}}]': "entry 1: lr must be finite and above 0, found",
}


@pytest.mark.parametrize(("content", "message"), BAD_CONFIGS.items(), ids=range(len(BAD_CONFIGS)))
def test_bad_configuration_is_an_error_with_its_place(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "configs.json"
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        read_configs(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_file_of_configurations_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*none\.json: No such file"):
        read_configs(tmp_path / "none.json")
    with pytest.raises(DataError, match=r"cannot read .*: Is a directory"):
        read_configs(tmp_path)
    (tmp_path / "latin.json").write_bytes(b'["\xe9"]')
    with pytest.raises(DataError, match="is not JSON"):
        read_configs(tmp_path / "latin.json")
