"""The kind of machine that a search on other machines takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from insects.devices import Choice
from insects.machine import Machine, machine_of
from search.cli import main, requests
from search.commands.search_request import config_for
from search.study.config import default_name
from search.workers.protocol import RemoteWorkers
from tests.support.commands import own
from tests.support.studies import builtin_data


@dataclass
class Kinds:
    """What a search asks of workers before it trains."""

    machines: Sequence[Machine]
    machine: Machine


def test_study_goes_on_with_the_kind_that_it_began_with(tmp_path: Path) -> None:
    with main.search.make_context("search", ["--epochs", "3"]) as context:
        request = requests.search_request(context.params)
    one = machine_of(Choice("cpu", "compiled", "as asked"))
    other = replace(one, processor="x86_64 another")
    store, data = own(tmp_path), builtin_data()
    kinds: Any = Kinds([one, other], one)
    config = config_for(request, store, data, cast("RemoteWorkers", kinds))
    assert (config.machine, kinds.machine) == (one, one)

    begun = replace(config, machine=other).fingerprint(data)
    folder = store.study(default_name("insects", begun))
    folder.make()
    folder.begin(begun, "insects-mlp", data)
    assert config_for(request, store, data, cast("RemoteWorkers", kinds)).machine == other
    assert kinds.machine == other
