"""Trial results -> MLflow: a projection that can be made again at any time and never holds anything twice.

An experiment is a study, a parent run its search, a nested run one of its trials. Every run carries a tag that says
what it is and is looked up by it before an attempt to create it; a run is terminated last, so a terminated one is
whole.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insects import mlp
from insects.errors import StoreError
from insects.trial import TrialResult, best_of
from search.reports.comparison import COMPARED_TAG, deliver_comparison, light_results
from search.store.store import Store, reaching
from search.store.study_folder import StudyFolder
from search.study.config import study_digest
from search.system.temporary import temporary_folder
from search.tracking import run_values
from search.tracking.experiment import sees_files, study_experiment
from search.tracking.run_lookup import PARENT_TAG, TrialRun
from search.tracking.search_run import open_runs, restore_files
from search.tracking.tags import NOTE_TAG, ROLE_TAG, STUDY_TAG, TRIAL_TAG

if TYPE_CHECKING:
    from insects.plots import TrialFigures

_STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
_METRICS_A_BATCH = 1000  # MLflow's limit
_ROUNDS = 3  # in which another deliverer may delete what this one made


class Projection:
    """One study's experiment in MLflow. Made anew after an error, it finds what is there by then.

    seconds: `figures` and `tracking` grow by what was spent.
    Raises, from every method: StoreError: MLflow is away or broken; what was written is found again next time.
    """

    def __init__(self, store: Store, folder: StudyFolder, seconds: dict[str, float] | None = None) -> None:
        self._store, self._folder = store, folder
        self._identity = folder.identity()
        self._data = folder.data()
        self._client = store.client()
        self._figures: TrialFigures | None = None
        self.seconds = {"figures": 0.0, "tracking": 0.0} if seconds is None else seconds
        with reaching(store.tracking_uri):
            self.experiment_id = study_experiment(self._client, store, folder)
            self._runs = open_runs(self._client, self.experiment_id, folder)
        self.search_run_id = str(self._runs.search_run.info.run_id)

    def deliver(self, number: int) -> str:
        """Bring a finished trial's run to its final state and return the run's id."""
        with reaching(self._store.tracking_uri):
            run = self._runs.whole(number)
        return run.run_id if run else self._bring(number)

    def deliver_missing(self) -> None:
        """Deliver every finished trial that has no whole run yet, and leave each with just one."""
        self._complete(self._folder.numbers())

    def settled(self, number: int) -> str:
        """The same for one trial; the id of its run, the one that all deliverers choose."""
        self._complete([number])
        return self.deliver(number)

    def restore_files(self) -> None:
        """Bring files again that were deleted under runs which are whole."""
        with reaching(self._store.tracking_uri):
            if not sees_files(self._client, self._store, self._folder, self.experiment_id):
                return
            restore_files(self._client, self.search_run_id, self._folder)
        for number in self._folder.numbers():
            with reaching(self._store.tracking_uri):
                run = self._runs.whole(number)
                found = {entry.path for entry in self._files_of(run).list_artifacts()} if run else set()
            result = self._folder.load(number)
            if run is None or result is None:  # deleted or damaged meanwhile: told by whoever delivers it
                continue
            if found >= _file_names(result):
                continue
            with temporary_folder() as folder:
                self._draw(result, folder)
                with reaching(self._store.tracking_uri):
                    self._files_of(run).log_artifacts(str(folder))

    def compare(self) -> None:
        """Bring the figures of the best trial, and those that compare all trials, to the search's run."""
        results = light_results(self._folder)
        best = best_of(results)
        with reaching(self._store.tracking_uri):
            search = self._client.get_run(self.search_run_id)
            compared = search.data.tags.get(COMPARED_TAG)
            if not results or compared == study_digest(results):
                return
            if compared is not None and self._runs.count() > len(results):
                return  # another store has more of its trials, and compares them all
            if best is not None:
                # As another deliverer would: with the time that MLflow has, and a step that grows from best to best.
                run = self._runs.whole(best.number)
                ended = run.ended if run else run_values.ended(best)
                self._client.log_batch(self.search_run_id, metrics=run_values.best_metrics(best, ended, len(results)))
                note = f"Best of {len(results)} trials on {self._folder.source()}: {run_values.trial_summary(best)}"
                self._client.set_tag(self.search_run_id, NOTE_TAG, note)
            deliver_comparison(self._client, search, self._folder, results, self._figures, self.seconds)

    def finish(self, status: str) -> None:
        """Close the search's own run: `FINISHED`, or `KILLED` after an interrupt."""
        with reaching(self._store.tracking_uri):
            self._client.set_terminated(self.search_run_id, status)

    def _complete(self, numbers: list[int]) -> None:
        for _ in range(_ROUNDS):
            if self._store.is_shared:
                self._runs.forget()  # to be looked at as another deliverer left them
            with reaching(self._store.tracking_uri):
                missing = [number for number in numbers if self._runs.whole(number) is None]
            if not missing:
                return
            for number in missing:
                self._bring(number)
        raise StoreError(
            f"the runs of study {self._folder.name} at {self._store.shown_uri} are deleted as fast as they are made: "
            "see who does that"
        )

    def _bring(self, number: int) -> str:
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
                    run = self._write(result, str(folder))
            except BaseException:
                self._runs.forget()  # a lost answer may hide a run that was made: look again before making one
                raise
            self.seconds["figures"] += drawn - started
            self.seconds["tracking"] += time.perf_counter() - drawn
        return run.run_id

    def _draw(self, result: TrialResult, folder: Path) -> None:
        if not result.epochs:
            (folder / "traceback.txt").write_text(result.reason, encoding="utf-8", errors="backslashreplace")
            return
        if self._figures is None:
            from insects.plots import TrialFigures

            unit = "row" if self._folder.images() is None else "image"
            self._figures = TrialFigures(self._data.sample, unit)
        title = run_values.trial_title(result.number, result.params)
        curves = self._figures.loss_curves(result.history, result.best_epoch, title)
        boundary = self._figures.decision_boundary(
            lambda x_NF: mlp.logits(result.weights, result.params, self._data.sample.shape, x_NF), title
        )
        (folder / "loss_curves.png").write_bytes(curves)
        (folder / "decision_boundary.png").write_bytes(boundary)
        shutil.copyfile(self._folder.file(result.number), folder / "trial.npz")

    def _write(self, result: TrialResult, artifacts: str) -> TrialRun:
        """The trial's whole run: the one that another deliverer has made meanwhile, or the one written here."""
        run = self._begin(result)
        if run.whole:
            return run
        params = run_values.trial_params(result, self._identity, self._data.sample.shape)
        best = run_values.best_metrics(result, run_values.ended(result), result.best_epoch)
        metrics = run_values.epoch_metrics(result) + best
        room = _METRICS_A_BATCH - len(params)
        self._client.log_batch(run.run_id, metrics=metrics[:room], params=params)
        for start in range(room, len(metrics), _METRICS_A_BATCH):
            self._client.log_batch(run.run_id, metrics=metrics[start : start + _METRICS_A_BATCH])
        self._files_of(run).log_artifacts(artifacts)
        self._client.set_terminated(run.run_id, _STATUS[result.state], run_values.ended(result))
        run = replace(run, ended=run_values.ended(result), whole=True)
        self._runs.add(run)
        return run

    def _begin(self, result: TrialResult) -> TrialRun:
        """The run to write, or another deliverer's that is whole.

        Looked for before and after one is made: whoever settles the runs later than that either sees the new one, or
        had a whole one before.
        """
        run = self._run_of(result)
        if run is None:
            made = self._create_run(result)
            run = self._run_of(result) or made
            if run.run_id != made.run_id:
                self._client.delete_run(made.run_id)
        return run

    def _run_of(self, result: TrialResult) -> TrialRun | None:
        if self._store.is_shared:
            self._runs.look(result.number)
        return self._runs.whole(result.number) or self._runs.begun(result.number, _started(result))

    def _create_run(self, result: TrialResult) -> TrialRun:
        tags = {
            ROLE_TAG: "trial",
            TRIAL_TAG: str(result.number),
            STUDY_TAG: self._folder.name,
            PARENT_TAG: self.search_run_id,
            "state": result.state,
            **run_values.notes(result),
        }
        name, started = f"trial-{result.number:04d}", _started(result)
        run = self._client.create_run(self.experiment_id, start_time=started, run_name=name, tags=tags)
        return TrialRun(result.number, str(run.info.run_id), str(run.info.artifact_uri), started)

    def _files_of(self, run: TrialRun) -> Any:
        """Its files; the client's own methods would ask for the run again, to learn where they are."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        # An ArtifactRepository, whose methods have no types.
        return get_artifact_repository(run.artifact_uri, tracking_uri=self._store.tracking_uri)


def _started(result: TrialResult) -> int:
    """When training began, in milliseconds since 1970."""
    return int(result.started * 1000)


def _file_names(result: TrialResult) -> set[str]:
    """What a run has of files at least."""
    return {"loss_curves.png", "decision_boundary.png", "trial.npz"} if result.epochs else {"traceback.txt"}
