"""The command line: options become requests, outcomes become text or JSON. Imports every other wing."""

from search.cli.main import describe, evaluate, predict, search, ui

__all__ = ["describe", "evaluate", "predict", "search", "ui"]
