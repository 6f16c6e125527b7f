"""The command line: options become a request, an outcome becomes text or JSON."""

from search.cli.main import describe, evaluate, search, ui

__all__ = ["describe", "evaluate", "search", "ui"]
