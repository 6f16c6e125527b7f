"""The files of a registered model: whole, and without anything that could run code, before they are loaded."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from insects.errors import InsectsError, StoreError

PROGRAM = "model.pt2"


@contextmanager
def reading_model_files(uri: str) -> Iterator[None]:
    """Turn what missing and damaged files of a model raise into one line; that MLflow is away stays what it is.

    Raises: StoreError: the files are not whole.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (InsectsError, OSError, ImportError, MemoryError):
        raise
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise _damaged(uri, error) from error
    except Exception as error:  # yaml, zipfile and torch raise a dozen kinds, all of which mean other bytes
        raise _damaged(uri, error) from error


def check_program(uri: str, folder: Path, flavor: dict[str, Any]) -> None:
    """See that a downloaded model is one whole `torch.export` program and nothing else.

    Raises: StoreError: it needs pickle or code to load. zipfile.BadZipFile: the program is damaged.
    """
    data = folder / str(flavor.get("model_data", "data"))
    files = {path.name for path in data.rglob("*") if path.is_file()}
    if not files:
        raise zipfile.BadZipFile(f"{PROGRAM} is missing")
    if files != {PROGRAM} or flavor.get("code"):
        found = ", ".join(sorted(files))
        raise StoreError(f"{uri} needs pickle or code to load (its data holds {found}): only pt2 models are evaluated")
    (program,) = data.rglob(PROGRAM)
    with zipfile.ZipFile(program) as archive:  # MLflow takes a damaged one for a pickle
        if min(entry.header_offset for entry in archive.infolist()) > 0:  # what is left is an archive inside of it
            raise zipfile.BadZipFile(f"{PROGRAM} has lost its end")
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"{damaged} in {PROGRAM} is not what was written")


def _damaged(uri: str, error: Exception) -> StoreError:
    cause = " ".join(str(error).split())[:200]
    return StoreError(
        f"the files of {uri} are damaged ({cause}): restore them, choose another --model, or delete this version and "
        "its logged model in MLflow and run insects-search --sync, which registers the best trial of a study again"
    )
