"""What the benchmarks rely on in the package."""

from __future__ import annotations

from pathlib import Path

from benchmarks.own_search import run_here


def test_search_without_uploads_answers(tmp_path: Path) -> None:
    folder, answer = run_here(["--trials", "2", "--epochs", "2", "--workers", "1"], tmp_path)
    assert folder.numbers() == [0, 1]
    assert answer["final"]["expected_accuracy"] > 0
    assert not (tmp_path / "mlflow.db").exists()
