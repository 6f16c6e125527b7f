"""What a report is made of: the files of a study, read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from insects.baselines import Score
from insects.final import Finalist
from insects.params import ClassWeight, Metric, TrialParams
from insects.trial import TrialResult, best_of
from search.store.evaluation_record import EvaluationRecord
from search.store.final_record import FinalRecord
from search.store.image_manifest import ImageManifest
from search.store.serialization import StudyData
from search.store.study_folder import StudyFolder
from search.store.table_manifest import TableManifest
from search.study.final import finalists_in


@dataclass(frozen=True)
class Contents:
    """A study.

    Attributes:
        folder: Its files.
        tracking_uri: MLflow's URI, without its password.
        version: The version of the registered model; None if there is none.
        source: The name of the data.
        model_name: The registered model.
        fingerprint: Everything that the results depend on.
        results: All trials by number, without weights.
        best: The best trial; None if no loss is finite.
        final: The outcome of the final; None: there was none.
        finalists: The finalists, best trial first.
        baselines: How well simple models do on the same folds.
        evaluation: The last evaluation; None: there was none.
        data: The sample of the splits.
        table: The table; None in a study on images.
        images: The image files; None in a study on a table.
    """

    folder: StudyFolder
    tracking_uri: str
    version: str | None
    source: str
    model_name: str
    fingerprint: dict[str, Any]
    results: list[TrialResult]
    best: TrialResult | None
    final: FinalRecord | None
    finalists: list[Finalist]
    baselines: list[Score]
    evaluation: EvaluationRecord | None
    data: StudyData
    table: TableManifest | None
    images: ImageManifest | None

    @property
    def metric(self) -> Metric:
        """What the study is about."""
        metric: Metric = self.fingerprint["metric"]
        return metric

    @property
    def chosen(self) -> Finalist | None:
        """The finalist that the final chose."""
        number = None if self.final is None else self.final.chosen
        return next((finalist for finalist in self.finalists if finalist.number == number), None)

    @property
    def store(self) -> Path:
        """The store that the study is in."""
        return self.folder.path.parent.parent

    @property
    def model_uri(self) -> str:
        """The URI of the registered model."""
        return f"models:/{self.model_name}" + (f"/{self.version}" if self.version else "@best")

    @property
    def unit(self) -> str:
        """What a row is to the user."""
        return "row" if self.images is None else "image"


def read_contents(folder: StudyFolder, tracking_uri: str, version: str | None) -> Contents:
    """Read a study; see `Contents` for the arguments.

    Raises:
        StoreError: A file cannot be read.
    """
    results = folder.results_without_weights()
    return Contents(
        folder=folder,
        tracking_uri=tracking_uri,
        version=version,
        source=folder.source,
        model_name=folder.model_name,
        fingerprint=folder.fingerprint,
        results=results,
        best=best_of(results),
        final=folder.final(),
        finalists=finalists_in(folder),
        baselines=folder.baselines(),
        evaluation=folder.evaluation(),
        data=folder.data(),
        table=folder.table(),
        images=folder.images(),
    )


def majority_note(final: FinalRecord | None, baselines: Sequence[Score], class_weight: ClassWeight) -> str:
    """Return a caution about a model that is right no more often than always the most frequent class; else nothing.

    Args:
        final: The outcome of the final; None: there was none.
        baselines: How well simple models do on the same folds.
        class_weight: What a row counts in the loss. A search with balanced classes gives up accuracy on purpose.
    """
    majority = next((score.accuracy for score in baselines if score.name == "majority"), None)
    if majority is None or final is None or final.accuracy is None or class_weight != "none":
        return ""
    if final.accuracy > majority:
        return ""
    return (
        f"Always answering the most frequent class is at least as often right ({majority:.4f}): where a rarer class "
        "matters, search with --class-weight balanced --metric balanced-accuracy."
    )


def percent(share: float) -> str:
    """Return a share as a percentage with one decimal; the blank does not break."""
    return f"{100 * share:.1f}\u00a0%"


def params_text(params: TrialParams) -> str:
    """Return hyperparameters in words."""
    return f"depth {params.depth}, width {params.width}, lr {params.lr:.2g}, batch {params.batch_size}"
