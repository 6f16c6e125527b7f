"""The wheel holds every package folder."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_package_folder_is_packaged() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {
        ".".join(file.parent.relative_to(ROOT).parts)
        for package in ("insects", "search")
        for file in (ROOT / package).rglob("*.py")
    }
    assert set(setuptools["packages"]) == folders | {"insects.builtin"}
    assert setuptools["package-dir"] == {"insects.builtin": "data"}
