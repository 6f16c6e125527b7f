"""Any file is either refused with one line or split and trained on."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

from hypothesis import HealthCheck, given, settings

from insects.tables import csv_reader
from tests.insects.csv_strategies import csv_files, refusal

CI = settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,  # each example overwrites the file of the one before
        HealthCheck.too_slow,  # some examples have 10,000 columns
        HealthCheck.data_too_large,
    ],
)


@CI
@given(content=csv_files())
def test_any_file_is_refused_in_one_line_or_trained_on(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    cell_by_cell = refusal(path)
    if cell_by_cell is not None:
        assert cell_by_cell.isprintable()  # so it is one line
        assert "t.csv" in cell_by_cell
    with mock.patch.object(csv_reader, "_SMALL", 0):
        assert refusal(path) == cell_by_cell
