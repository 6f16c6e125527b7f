"""The commands as functions, for scripts and notebooks: keywords in, objects and data frames out. Imports every other
wing."""

from search.api.functions import load_best, run_search
from search.api.model import BestModel
from search.api.result import SearchResult

__all__ = ["BestModel", "SearchResult", "load_best", "run_search"]
