"""Tracebacks of failed trials in MLflow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.support.commands import client_of, own
from tests.support.registered_studies import logger_of
from tests.support.studies import a_config, a_failure, begun_folder


def test_traceback_with_a_path_that_is_not_unicode_is_escaped(store: Path) -> None:
    folder = begun_folder(store, a_config())
    folder.save(replace(a_failure(0), reason='File "/home/m\udcfcller/insects.py"\nOSError: 甲虫\n'))
    run = client_of(store).get_run(logger_of(own(store), "s").log(0, 0).model)
    assert run.data.tags["reason"] == 'File "/home/m\\udcfcller/insects.py"\nOSError: 甲虫\n'
    content = Path(run.info.artifact_uri.removeprefix("file://"), "traceback.txt").read_bytes()
    assert content.decode() == run.data.tags["reason"]
