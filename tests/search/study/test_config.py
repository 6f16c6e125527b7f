"""What a study is, and the configurations it begins with."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from insects.devices import Choice
from insects.errors import DataError, StudyError
from insects.params import Recipe, TrialParams
from insects.splits import table_digest
from search.study.config import StudyConfig, check_fingerprint, default_name, json_number, read_configs, study_digest
from search.study.pruner import PercentilePruner
from search.study.space import SearchSpace
from tests.support.studies import PARAMS, a_config, a_failure, a_result, builtin_splits


def identity(plan: StudyConfig) -> dict[str, Any]:
    splits, held_out = builtin_splits()
    return plan.identity(splits, held_out, table_digest(held_out))


CHANGES = {
    "space lr": {"space": SearchSpace(lr=(1e-3, 1e-2))},
    "epochs": {"recipe": Recipe(4)},
    "schedule": {"recipe": Recipe(3, "constant")},
    "sampler": {"sampler": "random"},
    "pruner": {"stopping": PercentilePruner(50.0)},
    "window": {"window": 5},
    "seed": {"seed": 1},
    "configs": {"configs": (PARAMS,)},
    "engine": {"choice": Choice("cpu", "torch", "as asked")},
    "device": {"choice": Choice("cuda", "compiled", "as asked")},
    "processor": {"choice": Choice("cpu", "compiled", "as asked", accelerator="H100")},
}


@pytest.mark.parametrize(("label", "change"), CHANGES.items(), ids=CHANGES)
def test_every_setting_that_changes_a_result_is_in_the_identity_and_in_the_refusal(
    label: str, change: dict[str, Any]
) -> None:
    begun, asked = identity(a_config()), identity(replace(a_config(), **change))
    assert default_name(begun) != default_name(asked)
    with pytest.raises(StudyError, match=rf"study s cannot go on with other settings: .*{label} was .*, now .*--study"):
        check_fingerprint("s", json.loads(json.dumps(begun)), asked)


@pytest.mark.parametrize("library", ["insects-search", "numpy", "numba", "optuna", "scipy", "torch"])
def test_library_versions_are_in_the_identity(library: str) -> None:
    begun = identity(a_config())
    begun["libraries"][library] = "0.0"
    with pytest.raises(StudyError, match=rf"libraries {library} was 0\.0, now \d"):
        check_fingerprint("s", begun, identity(a_config()))


@pytest.mark.parametrize(
    ("setting", "value"),
    [("NUMBA_CPU_NAME", "generic"), ("NUMBA_CPU_FEATURES", "+sse2"), ("NUMBA_ENABLE_AVX", "0")],
)
def test_processor_that_numba_is_told_of_is_in_the_identity(setting: str, value: str) -> None:
    script = """
from insects.devices import Choice
from search.study.config import _processor
for engine in ("compiled", "torch"):
    print(_processor(Choice("cpu", engine, "as asked")))
"""

    def kinds(**environment: str) -> list[str]:
        command = [sys.executable, "-c", script]
        return subprocess.check_output(command, env={**os.environ, **environment}, text=True).splitlines()

    compiled, torch = kinds()
    assert kinds(**{setting: value})[1] == torch == compiled
    if setting == "NUMBA_CPU_NAME" or "avx" in compiled:
        assert kinds(**{setting: value})[0] != compiled


def test_other_data_is_refused_by_its_digest() -> None:
    splits, held_out = builtin_splits()
    begun = identity(a_config())
    asked = a_config().identity(replace(splits, digest="ff" * 32), held_out, "ee" * 32)
    message = r"data digest was [0-9a-f]{37}\.\.\., now (ff)+f?\.\.\.; data held_out_digest"
    with pytest.raises(StudyError, match=message):
        check_fingerprint("s", begun, asked)


def test_name_of_the_file_is_not_in_the_identity() -> None:
    splits, held_out = builtin_splits()
    renamed = replace(held_out, source="elsewhere/table.csv")
    assert a_config().identity(splits, renamed, table_digest(renamed)) == identity(a_config())


def test_same_settings_go_on_after_a_round_trip_through_json() -> None:
    plan = a_config(configs=[PARAMS], percentile=33.3)
    begun = json.loads(json.dumps(identity(plan)))
    check_fingerprint("s", begun, identity(plan))
    assert default_name(begun) == default_name(identity(plan))
    begun["configs"][0]["width"] += 1
    with pytest.raises(StudyError, match="configs was "):
        check_fingerprint("s", begun, identity(plan))


def test_reason_of_a_choice_is_not_in_the_identity() -> None:
    chosen = replace(a_config(), choice=Choice("cpu", "compiled", "no accelerator found"))
    assert default_name(identity(chosen)) == default_name(identity(a_config()))


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


def test_configs_come_back_in_order_with_duplicates(tmp_path: Path) -> None:
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
    '[{"depth": 1, "width": 1, "lr": 1, "batch_size": 1, "lr": 2}]': "must name each value once, found 'lr' twice",
    f'[{{"depth": {10**21}, "width": 1, "lr": 1, "batch_size": 1}}]': "entry 1: depth must be at most 1000, found 1000",
    '[{"depth": 1, "width": 1000001, "lr": 1, "batch_size": 1}]': "width must be at most 1000000, found 1000001",
    '[{"depth": 0, "width": 1, "lr": 1, "batch_size": 1}]': "entry 1: depth must be a whole number of at least 1",
    '[{"depth": true, "width": 1, "lr": 1, "batch_size": 1}]': "entry 1: depth must be a whole number",
    '[{"depth": 1, "width": "1", "lr": 1, "batch_size": 1}]': "entry 1: width must be a whole number",
    '[{"depth": 1, "width": 1.0, "lr": 1, "batch_size": 1}]': "entry 1: width must be a whole number",
    '[{"depth": 1, "width": 1, "lr": NaN, "batch_size": 1}]': "entry 1: lr must be finite and above 0, found nan",
    '[{"depth": 1, "width": 1, "lr": 1e999, "batch_size": 1}]': "entry 1: lr must be finite and above 0, found inf",
    '[{"depth": 1, "width": 1, "lr": null, "batch_size": 1}]': "entry 1: lr must be a number above 0, found None",
    f'[{{"depth": 1, "width": 1, "lr": {10**400}, "batch_size": 1}}]': "entry 1: lr must be finite and above 0, found",
}


@pytest.mark.parametrize(("content", "message"), BAD_CONFIGS.items(), ids=range(len(BAD_CONFIGS)))
def test_bad_configs_are_refused_with_their_place(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "configs.json"
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        read_configs(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_configs_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*none\.json: No such file"):
        read_configs(tmp_path / "none.json")
    with pytest.raises(DataError, match=r"cannot read .*: Is a directory"):
        read_configs(tmp_path)
    with pytest.raises(DataError, match=r"/dev/zero must have at most 67,108,864 bytes"):
        read_configs(Path("/dev/zero"))
    (tmp_path / "latin.json").write_bytes(b'["\xe9"]')
    with pytest.raises(DataError, match="is not JSON"):
        read_configs(tmp_path / "latin.json")


def test_numbers_that_json_lacks_are_null() -> None:
    assert [json_number(value) for value in (1.5, math.inf, -math.inf, math.nan)] == [1.5, None, None, None]
