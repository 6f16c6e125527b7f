"""Trial results -> MLflow: a projection that can be made again at any time and never holds anything twice.

An experiment is a study, a parent run its search, a nested run one of its trials. Every run carries a tag that says
what it is and is looked up by it before an attempt to create it; a run is terminated last, so a terminated one is
whole.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insects import mlp
from insects.errors import StoreError
from insects.trial import TrialResult
from search import entries
from search.comparison import deliver_comparison, light_results
from search.held_out import FOLDER_TAG, HELD_OUT, HELD_OUT_IMAGES, SOURCE_TAG, save_images, save_table
from search.pages import VIEW_TAG, study_view
from search.plan import digest
from search.results import StudyFolder
from search.store import Store, reaching
from search.tags import IDENTITY_TAG, ROLE_TAG, STUDY_TAG, TRIAL_TAG
from search.temporary import temporary_folder

if TYPE_CHECKING:
    from insects.plots import TrialFigures

_STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
_METRICS_A_BATCH = 1000  # MLflow's limit
_KIND = "custom_model_development"  # the pages for training runs, not those for language models
_NOTE_TAG = "mlflow.note.content"  # what its pages show as a description
_DIGEST_LENGTH = 36  # MLflow's limit
_PAGE = 1000


@dataclass(frozen=True)
class _Run:
    """A trial's run as it is in MLflow. whole: it was terminated, so nothing of it is missing."""

    run_id: str
    artifact_uri: str
    whole: bool = False


class Projection:
    """One study's experiment in MLflow.

    Raises, from every method: StoreError: MLflow is away or broken; what was written is found again next time.
    """

    def __init__(self, store: Store, folder: StudyFolder) -> None:
        self._store, self._folder = store, folder
        self._identity = folder.identity()
        self._data = folder.data()
        self._client = store.client()
        self._figures: TrialFigures | None = None
        self._runs: dict[int, _Run] | None = None
        self.seconds = {"figures": 0.0, "tracking": 0.0}
        with reaching(store.tracking_uri):
            self.experiment_id = self._experiment()
            self.search_run_id = self._search_run()

    def deliver(self, number: int) -> str:
        """Bring a finished trial's run to its final state and return the run's id."""
        known = self._known_runs().get(number)
        if known is not None and known.whole:
            return known.run_id
        result = self._folder.load(number)
        if result is None:
            raise StoreError(
                f"the result of trial {number} of study {self._folder.name} was damaged and is set aside: run the same "
                "search again, which trains the trial anew"
            )
        with temporary_folder() as folder:
            started = time.perf_counter()
            self._draw(result, folder)
            drawn = time.perf_counter()
            try:
                with reaching(self._store.tracking_uri):
                    run = self._write(result, known, str(folder))
            except BaseException:
                self._runs = None  # a lost answer may hide a run that was made: look again before making one
                raise
            self.seconds["figures"] += drawn - started
            self.seconds["tracking"] += time.perf_counter() - drawn
        self._known_runs()[number] = replace(run, whole=True)
        return run.run_id

    def deliver_missing(self) -> None:
        """Deliver every finished trial that has no whole run yet."""
        for number in self._folder.numbers():
            self.deliver(number)

    def compare(self) -> None:
        """Bring the figures of the best trial, and those that compare all trials, to the search's run."""
        with reaching(self._store.tracking_uri):
            results = light_results(self._folder)
            complete = [result for result in results if result.state == "complete" and result.best_epoch]
            best = min(complete, key=lambda r: (r.valid_loss, r.number), default=None)
            if best is not None:
                self._client.log_batch(self.search_run_id, metrics=entries.best_metrics(best))
                note = f"Best of {len(results)} trials on {self._folder.source()}: {entries.trial_summary(best)}"
                self._client.set_tag(self.search_run_id, _NOTE_TAG, note)
            run = (self._client, self.search_run_id)
            deliver_comparison(*run, self._folder, results, self._figures, self.seconds)

    def finish(self, status: str) -> None:
        """Close the search's own run: `FINISHED`, or `KILLED` after an interrupt."""
        with reaching(self._store.tracking_uri):
            self._client.set_terminated(self.search_run_id, status)

    def _experiment(self) -> str:
        name, identity = self._folder.name, digest(self._identity)
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            location = self._store.artifact_location(name)
            tags = {STUDY_TAG: name, IDENTITY_TAG: identity, "mlflow.experimentKind": _KIND, VIEW_TAG: study_view()}
            tags[_NOTE_TAG] = f"A search on {self._folder.source()}"
            return str(self._client.create_experiment(name, location, tags))
        if experiment.tags.get(IDENTITY_TAG) != identity:
            deleted = experiment.lifecycle_stage == "deleted"
            raise StoreError(
                f"experiment {name} at {self._store.shown_uri} is of something else than this study, or of other "
                f"data or settings: {'remove it for good with `mlflow gc`' if deleted else 'rename it'}, or search "
                "with another --study"
            )
        if experiment.lifecycle_stage == "deleted":
            self._client.restore_experiment(experiment.experiment_id)
        return str(experiment.experiment_id)

    def _search_run(self) -> str:
        found = self._client.search_runs([self.experiment_id], f"tags.`{ROLE_TAG}` = 'search'", max_results=1)
        if found:
            run_id = str(found[0].info.run_id)
            self._client.update_run(run_id, "RUNNING")
        else:
            tags = {ROLE_TAG: "search", STUDY_TAG: self._folder.name}
            run = self._client.create_run(self.experiment_id, tags=tags, run_name=f"search {self._folder.name}")
            run_id = str(run.info.run_id)
        if not found or "seed" not in found[0].data.params:
            self._describe_search(run_id)
        return run_id

    def _describe_search(self, run_id: str) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source, data_digest = self._folder.source(), self._identity["data"]["digest"]
        dataset = Dataset(source, data_digest[:_DIGEST_LENGTH], "local", source)
        self._client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
        with temporary_folder() as folder:
            images = self._folder.images()
            if images is None:
                save_table(self._data.held_out, folder / HELD_OUT)
            else:
                save_images(images, self._data.held_out, folder / HELD_OUT_IMAGES)
            with reaching(self._store.tracking_uri):
                for key, value in {FOLDER_TAG: images.folder, SOURCE_TAG: source}.items() if images else ():
                    self._client.set_tag(run_id, key, value)
                self._client.log_artifacts(run_id, str(folder))
        # Last, since they mark the description as whole.
        self._client.log_batch(run_id, params=entries.parameters(self._identity))

    def _known_runs(self) -> dict[int, _Run]:
        if self._runs is None:
            with reaching(self._store.tracking_uri):
                self._runs = self._list_runs()
        return self._runs

    def _list_runs(self) -> dict[int, _Run]:
        runs: dict[int, _Run] = {}
        token = None
        while True:
            page = self._client.search_runs(
                [self.experiment_id], f"tags.`{ROLE_TAG}` = 'trial'", max_results=_PAGE, page_token=token
            )
            for run in page:
                number, whole = int(run.data.tags[TRIAL_TAG]), run.info.status in _STATUS.values()
                runs[number] = _Run(str(run.info.run_id), str(run.info.artifact_uri), whole)
            token = page.token
            if not token:
                return runs

    def _draw(self, result: TrialResult, folder: Path) -> None:
        if not result.epochs:
            (folder / "traceback.txt").write_text(result.reason, encoding="utf-8", errors="backslashreplace")
            return
        if self._figures is None:
            from insects.plots import TrialFigures

            unit = "row" if self._folder.images() is None else "image"
            self._figures = TrialFigures(self._data.sample, unit)
        title = entries.trial_title(result.number, result.params)
        curves = self._figures.loss_curves(result.history, result.best_epoch, title)
        boundary = self._figures.decision_boundary(
            lambda x_NF: mlp.logits(result.weights, result.params, self._data.sample.shape, x_NF), title
        )
        (folder / "loss_curves.png").write_bytes(curves)
        (folder / "decision_boundary.png").write_bytes(boundary)
        shutil.copyfile(self._folder.file(result.number), folder / "trial.npz")

    def _write(self, result: TrialResult, known: _Run | None, artifacts: str) -> _Run:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        run = known or self._create_run(result)
        params = entries.trial_params(result, self._identity, self._data.sample.shape)
        metrics = entries.epoch_metrics(result) + entries.best_metrics(result)
        room = _METRICS_A_BATCH - len(params)
        self._client.log_batch(run.run_id, metrics=metrics[:room], params=params)
        for start in range(room, len(metrics), _METRICS_A_BATCH):
            self._client.log_batch(run.run_id, metrics=metrics[start : start + _METRICS_A_BATCH])
        # `client.log_artifacts` would ask for the run again, to learn where its files go.
        files: Any = get_artifact_repository(run.artifact_uri, tracking_uri=self._store.tracking_uri)
        files.log_artifacts(artifacts)
        self._client.set_terminated(run.run_id, _STATUS[result.state], entries.ended(result))
        return run

    def _create_run(self, result: TrialResult) -> _Run:
        tags = {
            ROLE_TAG: "trial",
            TRIAL_TAG: str(result.number),
            STUDY_TAG: self._folder.name,
            "mlflow.parentRunId": self.search_run_id,
            "state": result.state,
            **entries.notes(result),
        }
        name, started = f"trial-{result.number:04d}", int(result.started * 1000)
        run = self._client.create_run(self.experiment_id, start_time=started, run_name=name, tags=tags)
        return _Run(str(run.info.run_id), str(run.info.artifact_uri))
