"""What an evaluation has found."""

from __future__ import annotations

from dataclasses import dataclass

from insects.baselines import Score
from insects.evaluation import Report
from search.commands.evaluation_baselines import Baselines


@dataclass(frozen=True)
class Evaluation:
    """A model's evaluation.

    Attributes:
        report: The figures.
        baselines: Scores of simple models on the same rows.
        model: `name`, `version` and `uri` of the model.
        source: The name of the test data.
        test_looks: Evaluations of this search on this data, this one included.
        seen: Rows that the search trained on or validated with; None if that is not known.
        unit: What a row is to the user, `row` or `image`.
    """

    report: Report
    baselines: Baselines
    model: dict[str, str]
    source: str
    test_looks: int
    seen: int | None
    unit: str

    @property
    def run_name(self) -> str:
        """The name of its run in MLflow."""
        return evaluation_run_name(self.model["version"])

    @property
    def text(self) -> str:
        """The report and the baselines as plain text."""
        own = Score(model_title(self.model["name"], self.model["version"]), self.report.accuracy, self.report.loss)
        return f"{self.report.text()}\n\n{self.baselines.text(own)}"


def model_title(name: str, version: str) -> str:
    return f"{name} version {version}"


def evaluation_run_name(version: str) -> str:
    return f"evaluation of version {version}"
