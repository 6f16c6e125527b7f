"""A search in a notebook: a live table in the cell's output, and the stop button, in a real kernel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.environments import clean_environment

jupyter_client = pytest.importorskip("jupyter_client", reason="needs a kernel: pip install ipykernel")
pytest.importorskip("ipykernel", reason="needs a kernel: pip install ipykernel")

SECONDS = 300
SMALL = "epochs=2, width=8, depth=1, finalists=0, workers=1"


@pytest.fixture(scope="module")
def kernel() -> Iterator[Any]:
    """A client of a running Python kernel, and its manager."""
    # MLflow sets MLFLOW_TRACKING_URI for the processes to come: to the store of an earlier test.
    manager, client = jupyter_client.manager.start_new_kernel(startup_timeout=SECONDS, env=clean_environment())
    yield client, manager
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def outputs(client: Any, code: str) -> Iterator[dict[str, Any]]:
    """Run a cell; the messages of its output until it has ended."""
    request = client.execute(code)
    while True:
        message = client.get_iopub_msg(timeout=SECONDS)
        if message["parent_header"].get("msg_id") != request:
            continue
        if message["msg_type"] != "status":
            yield message
        elif message["content"]["execution_state"] == "idle":
            return


def tables(messages: list[dict[str, Any]]) -> list[str]:
    return [message["content"]["data"]["text/html"] for message in messages if "display_data" in message["msg_type"]]


def test_search_shows_a_live_table(kernel: Any, tmp_path: Path) -> None:
    client, _ = kernel
    code = f"from search import run_search\nresult = run_search(trials=4, store={str(tmp_path / 'store')!r}, {SMALL})"
    messages = list(outputs(client, code))
    assert {message["msg_type"] for message in messages} == {"execute_input", "display_data", "update_display_data"}
    first, *_, last = tables(messages)
    assert "<b>0 of 4 trials</b>" in first
    assert "<b>4 of 4 trials</b>" in last
    assert re.search(r"best validation loss \d\.\d{4} \(trial \d\)", last)
    assert len(re.findall("<tr>", last)) == 5
    assert "Uploading" not in last
    (shown,) = [message for message in outputs(client, "result") if message["msg_type"] == "execute_result"]
    assert "4 trials" in shown["content"]["data"]["text/plain"]


def test_stop_button_ends_the_search_and_keeps_what_is_finished(kernel: Any, tmp_path: Path) -> None:
    client, manager = kernel
    call = f"run_search(trials=200, store={str(tmp_path / 'store')!r}, {SMALL})"
    errors: list[dict[str, Any]] = []
    is_interrupted = False
    for message in outputs(client, f"from search import run_search\n{call}"):
        if message["msg_type"] == "update_display_data" and not is_interrupted:
            table = message["content"]["data"]["text/html"]
            if not table.startswith("<div><b>0 of"):
                manager.interrupt_kernel()
                is_interrupted = True
        if message["msg_type"] == "error":
            errors.append(message["content"])
    assert [(error["ename"], error["evalue"]) for error in errors] == [
        ("KeyboardInterrupt", "finished trials are kept: the same call goes on from there")
    ]
    kept = len(list((tmp_path / "store" / "trials").glob("*/0*.npz")))
    assert 0 < kept < 200
    again = call.replace("trials=200", f"trials={kept}")
    printed = [
        message["content"]["text"]
        for message in outputs(client, f"print(len({again}.trials))")
        if message["msg_type"] == "stream"
    ]
    assert int("".join(printed)) >= kept
