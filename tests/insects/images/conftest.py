"""The demo images, drawn once for all tests of images."""

from __future__ import annotations

from pathlib import Path

import pytest

from insects.images.demo import make_demo


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The annotations CSV and the image folder."""
    return make_demo(tmp_path_factory.mktemp("demo"), seed=0)
