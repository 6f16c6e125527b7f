"""Real tables in the dresses in which people have them: each is trained on, or refused in one line that helps.

A dress is a format, an encoding, a fault or a choice. What is trained on must reach an accuracy that a wrong reading of
its columns would not give.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from insects.errors import DataError
from insects.params import Recipe, TrialParams
from insects.tables.text_files import TableFormat
from insects.trial import TrialTask, run_trial
from search.study.data import DataRequest, load_data
from tests.support.real_tables import cars, of_scikit_learn, penguins, raw_penguins, weather

EPOCHS = 20
PARAMS = TrialParams(depth=1, width=32, lr=0.01, batch_size=16)
PENGUINS, SPECIES = DataRequest(None, "species"), 0.95

Write = Callable[[pd.DataFrame, Path], object]


@dataclass(frozen=True)
class Dress:
    """A table as a file, and what becomes of it.

    Attributes:
        table: Makes the table.
        write: Writes it.
        file: The name of the file.
        request: How it is read; `train` is the file.
        accuracy: Least validation accuracy; None: it is refused.
        message: A part of the refusal, or of a note about the table.
    """

    table: Callable[[], pd.DataFrame]
    write: Write
    file: str = "t.csv"
    request: DataRequest = PENGUINS
    accuracy: float | None = SPECIES
    message: str = ""


def as_csv(**options: object) -> Write:
    return lambda frame, path: frame.to_csv(path, **{"index": False, **options})  # type: ignore[call-overload]


def as_text(change: Callable[[str], str], encoding: str = "utf-8") -> Write:
    """CSV with a change of its text."""
    return lambda frame, path: path.write_bytes(change(frame.to_csv(index=False)).encode(encoding))


def changed(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[], pd.DataFrame]:
    return lambda: change(penguins().copy())


def with_cells(column: str, rows: range, cell: str) -> Callable[[], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        values = frame[column].astype(object)
        values.iloc[list(rows)] = cell
        return frame.assign(**{column: values})

    return changed(change)


def umlauts(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.rename(columns={"body_mass_g": "größe"}).assign(island=frame["island"] + " Süd")


COMMAS = as_csv(sep=";", decimal=",")
ORIGIN = DataRequest(None, "Origin")
FIELD = DataRequest(None, "Species")
CLASS = DataRequest(None, "target")

DRESSES: dict[str, Dress] = {
    "penguins as they ship": Dress(penguins, as_csv()),
    "penguins of the field work": Dress(raw_penguins, as_csv(), request=FIELD, message="columns not used: "),
    "cars as they ship, in JSON": Dress(
        cars, lambda frame, path: frame.to_json(path, orient="records"), "cars.json", ORIGIN, 0.7
    ),
    "weather as it ships": Dress(weather, as_csv(), request=DataRequest(None, "weather"), accuracy=0.7),
    "iris": Dress(lambda: of_scikit_learn("iris"), as_csv(), request=CLASS, accuracy=0.9),
    "wine": Dress(lambda: of_scikit_learn("wine"), as_csv(), request=CLASS, accuracy=0.9),
    "tumours": Dress(lambda: of_scikit_learn("breast_cancer"), as_csv(), request=CLASS, accuracy=0.92),
    "digits": Dress(lambda: of_scikit_learn("digits"), as_csv(), request=CLASS, accuracy=0.9),
    "semicolons": Dress(penguins, as_csv(sep=";")),
    "semicolons and decimal commas": Dress(penguins, COMMAS),
    "decimal commas that are named": Dress(
        penguins, COMMAS, request=replace(PENGUINS, table_format=TableFormat(separator=";", decimal=","))
    ),
    "tabs": Dress(penguins, as_csv(sep="\t"), "t.tsv"),
    "tabs in a text file": Dress(penguins, as_csv(sep="\t"), "t.txt"),
    "bars": Dress(penguins, as_csv(sep="|")),
    "byte order mark": Dress(penguins, as_csv(encoding="utf-8-sig")),
    "Windows-1252": Dress(
        changed(umlauts), as_csv(encoding="cp1252"), message="read as Windows-1252, since it is not UTF-8"
    ),
    "UTF-16": Dress(changed(umlauts), as_csv(encoding="utf-16")),
    "Latin-1 that is named": Dress(
        changed(umlauts),
        as_csv(encoding="latin-1"),
        request=replace(PENGUINS, table_format=TableFormat(encoding="latin-1")),
    ),
    "UTF-16 that it is not": Dress(
        penguins,
        as_csv(),
        request=replace(PENGUINS, table_format=TableFormat(encoding="utf-16")),
        accuracy=None,
        message="t.csv is not in utf-16: UTF-16 stream does not start with BOM; name the encoding that it is in",
    ),
    "gzip": Dress(penguins, as_csv(), "t.csv.gz"),
    "bzip2": Dress(penguins, as_csv(), "t.csv.bz2"),
    "xz": Dress(penguins, as_csv(), "t.csv.xz"),
    "zip": Dress(penguins, as_csv(), "t.csv.zip"),
    "Parquet": Dress(penguins, lambda frame, path: frame.to_parquet(path), "t.parquet"),
    "Parquet of categories": Dress(
        lambda: penguins().astype({"island": "category", "sex": "category", "species": "category"}),
        lambda frame, path: frame.to_parquet(path),
        "t.parquet",
    ),
    "Feather": Dress(penguins, lambda frame, path: frame.to_feather(path), "t.feather"),
    "JSON lines": Dress(penguins, lambda frame, path: frame.to_json(path, orient="records", lines=True), "t.jsonl"),
    "Excel": Dress(penguins, lambda frame, path: frame.to_excel(path, index=False), "t.xlsx"),
    "Excel with an empty line above": Dress(
        penguins, lambda frame, path: frame.to_excel(path, index=False, startrow=1), "t.xlsx"
    ),
    "standard input": Dress(penguins, as_csv(), "-"),
    "index column of a spreadsheet": Dress(penguins, as_csv(index=True), message="'(no name)' (the rows' names)"),
    "row names of R": Dress(
        lambda: penguins().rename_axis("rownames").reset_index(), as_csv(), message="'rownames' (the rows' names)"
    ),
    "an id": Dress(
        changed(lambda frame: frame.assign(key=[f"p-{row:04}" for row in range(len(frame))])),
        as_csv(),
        message="'key' (an id: 344 different texts in 344 rows)",
    ),
    "whole numbers that count up": Dress(
        changed(lambda frame: frame.assign(number=range(1, len(frame) + 1))),
        as_csv(),
        message="'number' (counts the rows)",
    ),
    "a constant": Dress(
        changed(lambda frame: frame.assign(country="Antarctica")), as_csv(), message="'country' (always 'Antarctica')"
    ),
    "free text": Dress(
        changed(lambda frame: frame.assign(note=[f"seen by {row % 97} people near nest {row}" for row in range(344)])),
        as_csv(),
        message="'note' (an id: 344 different texts in 344 rows)",
    ),
    "yes and no": Dress(
        changed(lambda frame: frame.assign(heavy=np.where(frame["body_mass_g"] > 4000, "yes", "no"))), as_csv()
    ),
    "true and false": Dress(changed(lambda frame: frame.assign(heavy=frame["body_mass_g"] > 4000)), as_csv()),
    "question marks for gaps": Dress(penguins, as_csv(na_rep="?")),
    "blanks around cells": Dress(penguins, as_text(lambda text: text.replace(",", " , "))),
    "Windows line ends": Dress(penguins, as_text(lambda text: text.replace("\n", "\r\n"))),
    "everything in quotes": Dress(penguins, as_csv(quoting=1)),
    "words among the numbers": Dress(
        with_cells("body_mass_g", range(10), "heavy"),
        as_csv(),
        message="cells of column 'body_mass_g' in training rows not a number, taken as missing; the first is 'heavy' "
        "(t.csv, line ",
    ),
    "rows without a label": Dress(
        changed(lambda frame: frame.assign(species=frame["species"].where(frame.index % 50 != 0))),
        as_csv(),
        message="7 rows without a label left out",
    ),
    "labels as numbers": Dress(changed(lambda frame: frame.assign(species=frame["species"].factorize()[0])), as_csv()),
    "groups": Dress(
        changed(lambda frame: frame.assign(nest=[f"n{row // 3}" for row in range(344)])),
        as_csv(),
        request=replace(PENGUINS, group="nest"),
        accuracy=0.9,
    ),
    "a number that is a category": Dress(penguins, as_csv(), request=replace(PENGUINS, categorical=("year",))),
    "columns that are dropped": Dress(penguins, as_csv(), request=replace(PENGUINS, drop=("year", "sex"))),
    "quantile scaling": Dress(penguins, as_csv(), request=replace(PENGUINS, scaling="quantile")),
    "robust scaling": Dress(penguins, as_csv(), request=replace(PENGUINS, scaling="robust")),
    "piecewise-linear scaling": Dress(penguins, as_csv(), request=replace(PENGUINS, scaling="ple")),
    "a rare class that is dropped": Dress(
        with_cells("species", range(1), "Emperor"),
        as_csv(),
        request=replace(PENGUINS, drop_rare_classes=True),
        message="1 rare class left out, 1 row: 'Emperor'",
    ),
    "a rare class": Dress(
        with_cells("species", range(1), "Emperor"),
        as_csv(),
        accuracy=None,
        message="'Emperor' has 1; add rows, or leave out 1 class with 1 row",
    ),
    "a quantity as label": Dress(
        penguins,
        as_csv(),
        request=DataRequest(None, "bill_length_mm"),
        accuracy=None,
        message="column 'bill_length_mm' is a quantity, with 164 different numbers from 32.1 to 59.6; only classes",
    ),
    "a misspelt label": Dress(
        penguins, as_csv(), request=DataRequest(None, "specis"), accuracy=None, message="did you mean 'species'?"
    ),
    "half numbers, half words": Dress(
        changed(
            lambda frame: frame.assign(
                code=[f"{row}" if row % 3 else f"word {row}" for row in range(344)],
                other=[f"{row}" if row % 3 else f"name {row}" for row in range(344)],
            )
        ),
        as_csv(),
        accuracy=None,
        message="or leave out code,other",
    ),
    "a row that is too long": Dress(
        penguins,
        as_text(lambda text: text.replace("\n", ",7\n", 3).replace(",7\n", "\n", 2)),
        accuracy=None,
        message="line 3: a row must have 8 cells like the header, found 9",
    ),
    "an unclosed quote": Dress(
        penguins, as_text(lambda text: text.replace("Dream", '"Dream', 1)), accuracy=None, message="check its quotes"
    ),
    "two columns of one name": Dress(
        penguins,
        as_text(lambda text: text.replace("island", "sex", 1)),
        accuracy=None,
        message="a column must have a name of its own, found 'sex' as columns 2 and 7; rename one",
    ),
    "an Excel file called CSV": Dress(
        penguins,
        lambda frame, path: (frame.to_excel(path.with_suffix(".xlsx")), path.with_suffix(".xlsx").rename(path)),
        accuracy=None,
        message="is no text: it holds NUL bytes",
    ),
    "a header alone": Dress(
        lambda: penguins()[:0], as_csv(), accuracy=None, message="has a header but no rows; add some"
    ),
}


@pytest.mark.parametrize("name", DRESSES)
def test_real_table_is_trained_on_or_refused_in_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dress = DRESSES[name]
    monkeypatch.chdir(tmp_path)
    path = Path("t.csv" if dress.file == "-" else dress.file)
    dress.write(dress.table(), path)
    if dress.file == "-":
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    request = replace(dress.request, train=Path(dress.file))
    if dress.accuracy is None:
        with pytest.raises(DataError) as caught:
            load_data(request, tmp_path / "cache")
        assert dress.message in str(caught.value)
        assert str(caught.value).isprintable()
        return
    splits = load_data(request, tmp_path / "cache").splits
    told = capsys.readouterr().err
    assert dress.message.casefold() in told.casefold()
    task = TrialTask(0, PARAMS, Recipe(EPOCHS), 0, np.full(EPOCHS, np.inf), "compiled", "cpu")
    result = run_trial(task, splits)
    assert result.valid_accuracy >= dress.accuracy, told


def test_there_are_more_than_forty_dresses() -> None:
    assert len(DRESSES) > 40
