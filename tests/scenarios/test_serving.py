"""MLflow's own ways to use a registered model answer as `insects-predict` does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.commands import invoke
from tests.support.environments import clean_environment
from tests.support.real_tables import penguins
from tests.support.servers import HOST, START_SECONDS, free_port

URI = "models:/penguins-mlp@best"
LABEL = "predicted_species"
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def environment(store: Path) -> dict[str, str]:
    return {
        **clean_environment(),
        "MLFLOW_TRACKING_URI": f"sqlite:///{store / 'mlflow.db'}",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


@pytest.fixture(scope="module")
def served(on_penguins: Path) -> Iterator[str]:
    """The address of `mlflow models serve`."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", URI, "--env-manager", "local"]
    command += ["--host", HOST, "--port", str(port)]
    process = subprocess.Popen(
        command,
        env=environment(on_penguins),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until = time.monotonic() + START_SECONDS
    address = f"http://{HOST}:{port}"
    try:
        while True:
            try:
                with DIRECT.open(f"{address}/ping", timeout=5):
                    break
            except (urllib.error.URLError, OSError):
                assert process.poll() is None, "mlflow models serve ended"
                assert time.monotonic() < until, "mlflow models serve did not start"
                time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def rows() -> pd.DataFrame:
    """Penguins in another order of columns, with gaps, whole numbers and an island that is new."""
    frame = penguins().drop(columns="species").iloc[::9, ::-1].reset_index(drop=True)
    return frame.assign(island=frame["island"].where(frame.index != 3, "Mars"))


@pytest.fixture
def expected(on_penguins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """What `insects-predict` answers."""
    rows().to_csv(tmp_path / "rows.csv", index=False)
    done = invoke(monkeypatch, "predict", "--best", "--store", str(on_penguins), str(tmp_path / "rows.csv"), "--json")
    assert done.exit_code == 0, done.stderr
    return pd.DataFrame(json.loads(done.stdout)["predictions"])


def check(answer: bytes, expected: pd.DataFrame) -> None:
    found = pd.DataFrame(json.loads(answer)["predictions"])
    assert found[LABEL].tolist() == expected[LABEL].tolist()
    probabilities = [name for name in found.columns if name.startswith("probability_")]
    assert len(probabilities) == 3
    np.testing.assert_allclose(found[probabilities], expected[probabilities], atol=1e-6)


def records() -> list[dict[str, object]]:
    content: list[dict[str, object]] = json.loads(rows().to_json(orient="records"))
    return content


BODIES: dict[str, tuple[str, Callable[[], str]]] = {
    "CSV": ("text/csv", lambda: rows().to_csv(index=False)),
    "split": (
        "application/json",
        lambda: json.dumps({"dataframe_split": json.loads(rows().to_json(orient="split", index=False))}),
    ),
    "records": ("application/json", lambda: json.dumps({"dataframe_records": records()})),
    "inputs": ("application/json", lambda: json.dumps({"inputs": records()})),
}


@pytest.mark.parametrize("body", BODIES)
def test_server_answers_like_the_command(body: str, served: str, expected: pd.DataFrame) -> None:
    kind, content = BODIES[body]
    request = urllib.request.Request(  # noqa: S310 - a server of this test
        f"{served}/invocations", content().encode(), {"Content-Type": kind}
    )
    with DIRECT.open(request, timeout=60) as answer:
        check(answer.read(), expected)


def test_server_names_a_missing_column(served: str) -> None:
    body = json.dumps({"dataframe_records": [{"island": "Dream"}]}).encode()
    request = urllib.request.Request(  # noqa: S310 - a server of this test
        f"{served}/invocations", body, {"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        DIRECT.open(request, timeout=60)
    assert caught.value.code == 400
    assert "lacks columns " in json.loads(caught.value.read())["message"]


def test_models_predict_answers_like_the_command(on_penguins: Path, expected: pd.DataFrame, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mlflow", "models", "predict", "-m", URI, "--env-manager", "local", "-t", "csv"]
    command += ["-i", str(tmp_path / "rows.csv"), "-o", str(tmp_path / "answer.json")]
    done = subprocess.run(command, env=environment(on_penguins), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    check((tmp_path / "answer.json").read_bytes(), expected)
