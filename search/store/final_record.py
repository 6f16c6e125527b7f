"""What a study keeps of the outcome of its final."""

from __future__ import annotations

from dataclasses import dataclass

from search.store.schema import Schema

FINAL: Schema = {
    "trials": str,
    "folds": int,
    "finalists": [int],
    "chosen": int | None,
    "accuracy": float | None,
    "interval": [float],
    "loss": float | None,
}
"""The schema of its file."""


@dataclass(frozen=True)
class FinalRecord:
    """The outcome of a final.

    Attributes:
        trials: The digest of the trials that the finalists are from.
        folds: The number of folds.
        finalists: The numbers of the trials that were trained on the folds, best trial first.
        chosen: The finalist whose networks are registered; None if every finalist failed.
        accuracy: The accuracy to expect of new rows; None if there is no chosen finalist.
        interval: Its 95 % interval; empty if there is none.
        loss: The loss of the chosen finalist out of fold.
    """

    trials: str
    folds: int
    finalists: list[int]
    chosen: int | None
    accuracy: float | None
    interval: list[float]
    loss: float | None
