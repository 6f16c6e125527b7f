"""The search that scenarios disturb, undisturbed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import kills


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the search prints, and the contents of its store, if it is neither killed nor without its MLflow."""
    store = tmp_path_factory.mktemp("undisturbed")
    answer = kills.run_to_the_end(store)
    return answer, kills.contents(store)
