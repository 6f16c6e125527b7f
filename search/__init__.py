"""The search: Optuna proposes, `insects` trains, MLflow tracks, Click commands.

Imports go down this list only: api, cli, commands, upload, registry, tracking, reports, study, store, system.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.api import load_best, run_search

__all__ = ["load_best", "run_search"]


def __getattr__(name: str) -> Any:
    # Loaded at its first use: every command imports this package, and starts without what the functions need.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from search import api

    return getattr(api, name)
