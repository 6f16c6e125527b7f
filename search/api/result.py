"""What `run_search` returns."""

from __future__ import annotations

import math
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

from insects.errors import StudyError
from search.api.model import BestModel
from search.cli.output import search_json
from search.commands.search import SearchOutcome
from search.store.store import Store

if TYPE_CHECKING:
    import pandas as pd


class SearchResult:
    """A search that has ended.

    Args:
        outcome: What came out.
        store: Where it is kept.

    Attributes:
        study: The study's name.
        store: The store's folder.
        trials: A row a trial in the order of numbers, with the columns `number`, `state` (`complete`, `pruned`,
            `failed`), `depth`, `width`, `lr`, `batch_size`, `loss` and `accuracy` (on the validation rows, in the best
            epoch), the metric if it is another one, `epochs`, `best_epoch` and `seconds`.
        best: The best trial, as `insects-search --json` prints it; None if no trial ended with a finite loss.
        final: The final, as `insects-search --json` prints it; None if there was none.
        expected_accuracy: The accuracy to expect on new rows, a number in [0, 1]; None without a final.
        upload_error: What kept MLflow from being up to date; None if nothing did.
        seconds: Where the time went.
    """

    def __init__(self, outcome: SearchOutcome, store: Store) -> None:
        self._outcome, self._store = outcome, store
        content = search_json(outcome)
        self.study: str = content["study"]
        self.store = str(store.path)
        self.trials = _trial_frame(outcome)
        self.best: dict[str, Any] | None = content["best"]
        self.final: dict[str, Any] | None = content["final"]
        self.expected_accuracy: float | None = None if self.final is None else self.final["expected_accuracy"]
        self.upload_error: str | None = content["upload_error"]
        self.seconds: dict[str, float] = content["seconds"]

    def __repr__(self) -> str:
        expected = "" if self.expected_accuracy is None else f", expected accuracy {self.expected_accuracy:.4f}"
        return f"<study {self.study}: {len(self.trials)} trials{expected}>"

    @cached_property
    def model(self) -> BestModel:
        """The model that this search registered, loaded at its first use.

        Raises:
            StudyError: No model was registered.
        """
        registered = self._outcome.model
        if registered is None:
            raise StudyError(f"study {self.study} has no model: {self.upload_error or 'none was registered'}")
        return BestModel.load(self._store, f"models:/{registered.name}/{registered.version}")


def _trial_frame(outcome: SearchOutcome) -> pd.DataFrame:
    import pandas as pd

    rows = [
        {
            "number": result.number,
            "state": result.state,
            **asdict(result.params),
            **{
                name.removeprefix("valid_"): value if math.isfinite(value) else math.nan
                for name, value in result.best_figures.items()
            },
            "epochs": result.epochs,
            "best_epoch": result.best_epoch,
            "seconds": result.seconds,
        }
        for result in outcome.results
    ]
    return pd.DataFrame(rows)
