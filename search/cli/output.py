"""Outcomes of the commands as text for people and as JSON for programs."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insects.memory import gigabytes
from insects.objective import metric_column, metric_name, needs_logits
from insects.text import counted, listed, metric_text, shown
from search.store.tracking_uri import without_password
from search.system.terminal import duration

if TYPE_CHECKING:
    from insects.baselines import Score
    from insects.params import TrialParams
    from insects.trial import TrialResult
    from search.commands.check import PlannedSearch
    from search.commands.evaluation import Evaluation
    from search.commands.predict import Predictions
    from search.commands.search import SearchOutcome
    from search.commands.sync import SyncedStudy
    from search.store.final_record import FinalRecord
    from search.store.store import Store

SHOWN_TRIALS = 5
SHOWN_CLASSES = 10
NARROW = 70
"""Columns of a terminal below which tables have short headers and narrow columns."""

_HEADERS = ("trial", "depth", "width", "lr", "batch", "epoch", "loss", "accuracy", "")
_WIDTHS = (7, 7, 7, 10, 7, 7, 10, 10, 19)
_NARROW_HEADERS = ("#", "depth", "width", "lr", "batch", "epoch", "loss", "acc.", "")
_NARROW_WIDTHS = (3, 6, 6, 8, 6, 7, 7, 7, 18)
_MAIN_THREAD = ("imports", "sampling", "storing", "waiting", "finishing")
_BACKGROUND = ("training", "final", "figures", "tracking")


def search_json(outcome: SearchOutcome) -> dict[str, Any]:
    """Return the object that `insects-search --json` prints."""
    model = outcome.model
    return {
        "study": outcome.study,
        "study_digest": outcome.digest,
        "device": outcome.choice.device,
        "engine": outcome.choice.engine,
        "trials": [_trial(result) for result in outcome.results],
        "best": None if outcome.best is None else _trial(outcome.best),
        "final": None if outcome.final is None else _final(outcome, outcome.final),
        "model": None if model is None else asdict(model),
        "seconds": {name: round(seconds, 4) for name, seconds in outcome.seconds.items()},
        "upload_error": outcome.upload_error or None,
        "storage_error": outcome.storage_error or None,
        "interrupted": outcome.interrupted,
        "report": None if outcome.report is None else str(outcome.report),
    }


def search_text(
    outcome: SearchOutcome, store: Store, store_options: str, *, width: int | None = None, verbose: bool = False
) -> str:
    """Return the end of a search: the best trials, the final, how good the model is, what to type next.

    Args:
        outcome: The outcome.
        store: The store.
        store_options: The options by which the next command finds the store.
        width: Columns of the terminal; None: it goes to a file.
        verbose: Whether to say where the time went.
    """
    table = _Table(is_narrow=width is not None and width < NARROW)
    states = Counter(result.state for result in outcome.results)
    counted = ", ".join(f"{count} {state}" for state, count in states.items())
    lines = [f"Study {outcome.study}: {len(outcome.results)} trials ({counted}), {outcome.new} of them in this run", ""]
    lines += _trial_table(outcome.results, table)
    if outcome.final is not None:
        lines += ["", *_final_table(outcome, outcome.final, table)]
    lines += ["", _model_line(outcome)]
    if verbose:
        lines += ["", _time_line(outcome.seconds)]
    if outcome.upload_error:
        lines += [
            "",
            f"Not all is in MLflow yet: {outcome.upload_error}",
            f"Upload it with: insects-search --sync{store_options}",
        ]
    if outcome.storage_error:
        lines += [
            "",
            f"Not all trials are in the database yet: {outcome.storage_error}",
            f"Write them with: insects-search --sync{store_options} --storage URL",
        ]
    if outcome.interrupted:
        lines += ["", f"Interrupted after {len(outcome.results)} of {outcome.wanted} trials: the same command goes on."]
    elif len(outcome.results) < outcome.wanted:
        lines += ["", f"Out of time after {len(outcome.results)} of {outcome.wanted} trials: the same command goes on."]
    elif outcome.new == 0:
        lines += ["", f"All {len(outcome.results)} trials were done already; go on with a larger --trials."]
    lines += ["", "Where to look next:"]
    lines += [f"  {outcome.report}"] if outcome.report is not None else []
    if outcome.model:
        lines.append(f"  insects-evaluate --best{store_options}")
    lines.append(f"  open {store.shown_uri}" if store.is_server else f"  insects-ui{store_options}")
    return "\n".join(lines)


def check_json(planned: PlannedSearch) -> dict[str, Any]:
    """Return the object that `insects-search --check --json` prints."""
    config = planned.config
    return {
        "study": planned.study,
        "model": planned.model_name,
        "source": planned.source,
        "target": planned.target,
        "classes": planned.classes,
        "images": planned.images or None,
        "columns": planned.kinds,
        "dropped": dict(planned.dropped),
        "rows": planned.rows,
        "inputs": planned.inputs,
        "space": asdict(config.space),
        "recipe": asdict(config.recipe),
        "final": asdict(config.final),
        "trials": planned.trials,
        "done": planned.done,
        "device": config.choice.device,
        "engine": config.choice.engine,
        "workers": planned.at_once,
        "bytes": {"trial": planned.trial_bytes, "free": planned.free_bytes},
        "seconds": {name: round(seconds, 1) for name, seconds in asdict(planned.estimate).items()},
    }


def check_text(planned: PlannedSearch) -> str:
    """Return what a search would do, in words."""
    config, space, final = planned.config, planned.config.space, planned.config.final
    rows = sum(planned.rows.values())
    ranked = sorted(planned.classes.items(), key=lambda entry: -entry[1])
    classes = ", ".join(f"{shown(name)} {count:,}" for name, count in ranked[:SHOWN_CLASSES])
    classes += ", …" if len(ranked) > SHOWN_CLASSES else ""
    kinds = ", ".join(f"{counted(len(names), kind)} ({listed(names, 5)})" for kind, names in planned.kinds.items())
    dropped = listed([name for name, _ in planned.dropped], 5)
    memory = (
        gigabytes(planned.trial_bytes)
        if planned.trial_bytes >= 1e8
        else f"{max(0.1, planned.trial_bytes / 1e6):.1f} MB"
    )
    free = "" if planned.free_bytes is None else f", {gigabytes(planned.free_bytes)} free"
    done = f", {planned.done} of them done" if planned.done else ""
    networks = final.finalists * final.folds
    lines = [
        f"Data: {planned.source}, {counted(rows, 'row')}; label {planned.target}, {counted(len(ranked), 'class')}: "
        f"{classes}",
        (f"Images: {planned.images}" if planned.images else f"Columns: {kinds}")
        + f"; {counted(planned.inputs, 'input')} of the network"
        + (f"; not used: {dropped}" if dropped else ""),
        "Splits: " + ", ".join(f"{count:,} {part}" for part, count in planned.rows.items()) + " rows",
        f"Space: depth {_range(space.depth)}, width {_range(space.width)}, lr {_range(space.lr)}, batch size "
        + ", ".join(map(str, space.batch_size)),
        f"Study {planned.study}: {counted(planned.trials, 'trial')} of {counted(config.recipe.epochs, 'epoch')} by "
        f"{config.sampler}{done}; model {planned.model_name}",
        f"Final: {final.finalists} best trials on {final.folds} folds, {counted(networks, 'network')}"
        if networks
        else "Final: none",
        f"Engine: {config.choice.engine} on the {config.choice.device} ({config.choice.reason}), "
        f"{counted(planned.at_once, 'worker')}",
        f"Memory: up to {memory} a trial{free}",
        f"Time: about {duration(planned.estimate.trials)} for the trials"
        + (f" and {duration(planned.estimate.final)} for the final" if networks else "")
        + ", besides the uploads to MLflow",
        "Nothing was trained, and no study begun.",
    ]
    return "\n".join(lines)


def _range(bounds: tuple[float, float]) -> str:
    low, high = bounds
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def sync_json(studies: Sequence[SyncedStudy]) -> dict[str, Any]:
    """Return the object that `insects-search --sync --json` prints."""
    return {
        "studies": [
            {"study": s.study, "upload_error": s.upload_error or None, "storage_error": s.storage_error or None}
            for s in studies
        ]
    }


def evaluation_json(evaluation: Evaluation) -> dict[str, Any]:
    """Return the object that `insects-evaluate --json` prints."""
    scores = evaluation.baselines.scores
    return {
        **evaluation.report.as_dict(),
        "loss": _json_number(evaluation.report.loss),
        "baselines": None if scores is None else [score.as_dict() for score in scores],
        "model": evaluation.model,
        "test": evaluation.source,
        "test_looks": evaluation.test_looks,
        "seen_in_training": evaluation.seen,
    }


def evaluation_text(evaluation: Evaluation) -> str:
    """Return the report with its headline, and a word of caution at a second evaluation on the same data."""
    name, version, unit = evaluation.model["name"], evaluation.model["version"], evaluation.unit
    lines = [f"Model {name} version {version} on {evaluation.source}", "", evaluation.text]
    lines += ["", f"Report and figures are in MLflow: run '{evaluation.run_name}' of the model's study"]
    if evaluation.seen:
        were, them = ("was", "it") if evaluation.seen == 1 else ("were", "them")
        lines += [
            "",
            f"{evaluation.seen:,} of these {evaluation.report.total:,} {unit}s {were} part of the model's training or "
            f"validation data: how well it does on {them} says nothing about new {unit}s.",
        ]
    if evaluation.test_looks > 1:
        lines += [
            "",
            f"Evaluation {evaluation.test_looks} on these {unit}s: a model that is chosen by them needs others to be "
            "tested on.",
        ]
    return "\n".join(lines)


def prediction_json(predictions: Predictions, out: Path | None) -> dict[str, Any]:
    """Return the object that `insects-predict --json` prints; without a file it holds the rows."""
    content = {
        "model": predictions.model,
        "source": predictions.source,
        "rows": predictions.rows,
        "counts": predictions.counts,
    }
    return content | ({"out": str(out)} if out is not None else {"predictions": predictions.records})


def prediction_text(predictions: Predictions, out: Path | None) -> str:
    """Return the line that follows the rows: what labelled them, and how many of each class there are.

    Args:
        predictions: The predictions.
        out: The file they were written to; None: standard output.
    """
    name, version = predictions.model["name"], predictions.model["version"]
    ranked = sorted(predictions.counts.items(), key=lambda item: -item[1])
    counts = ", ".join(f"{shown(label)} {count:,}" for label, count in ranked[:SHOWN_CLASSES])
    counts += f", … and {len(ranked) - SHOWN_CLASSES} more classes" if len(ranked) > SHOWN_CLASSES else ""
    place = "" if out is None else f", written to {out}"
    return f"{counted(predictions.rows, 'row')} labelled by {name} version {version}{place}: {counts}"


def store_options(store: Path, tracking_uri: str | None) -> str:
    """Return the options by which the next command finds the same store, each after a blank.

    Args:
        store: The store's folder as it was given.
        tracking_uri: The tracking URI as it was given.
    """
    parts = ["--store", str(store)] if str(store) != "mlruns" else []
    parts += ["--tracking-uri", without_password(tracking_uri)] if tracking_uri else []
    return "".join(f" {shlex.quote(part)}" for part in parts)


def _trial(result: TrialResult) -> dict[str, Any]:
    return {
        "number": result.number,
        "state": result.state,
        "params": asdict(result.params),
        **{name: _json_number(value) for name, value in result.best_figures.items()},
        "epochs": result.epochs,
        "best_epoch": result.best_epoch,
        "seconds": round(result.seconds, 4),
    }


def _final(outcome: SearchOutcome, final: FinalRecord) -> dict[str, Any]:
    return {
        "folds": final.folds,
        "finalists": [
            {
                "number": finalist.number,
                "params": asdict(finalist.params),
                **{name: _json_number(value) for name, value in finalist.figures.items()},
            }
            for finalist in outcome.finalists
        ],
        "chosen": final.chosen,
        "members": 0 if final.chosen is None else final.folds,
        "expected_accuracy": final.accuracy,
        "interval": final.interval or None,
        "baselines": [score.as_dict() for score in outcome.baselines],
    }


def _json_number(value: float) -> float | None:
    """Return a number for JSON, which has none for infinity and not-a-number."""
    return value if math.isfinite(value) else None


class _Table:
    """Lines of a table of trials, as wide as the terminal allows."""

    def __init__(self, is_narrow: bool) -> None:
        self._widths = _NARROW_WIDTHS if is_narrow else _WIDTHS
        self._headers = _NARROW_HEADERS if is_narrow else _HEADERS

    def head(self, epoch: bool, metric: str = "") -> str:
        """Return the header.

        Args:
            epoch: Whether there is a column of epochs.
            metric: The name of a further metric.
        """
        names = [name if epoch or name != "epoch" else "" for name in self._headers[:-1]]
        return self.line([*names, *([metric] if metric else [])])

    def line(self, cells: Sequence[str]) -> str:
        """Return a line of cells, from the first column on."""
        return "".join(f"{cell:>{width}}" for cell, width in zip(cells, self._widths, strict=False))

    def trial(self, number: int, params: TrialParams, note: str, figures: Sequence[float]) -> str:
        """Return the line of a trial, with what stands in the column of epochs."""
        cells = [str(number), str(params.depth), str(params.width), f"{params.lr:.2g}", str(params.batch_size), note]
        return self.line([*cells, *map(metric_text, figures)])

    def baseline(self, name: str, loss: float, accuracy: float) -> str:
        """Return the line of a simple model."""
        return f"{name:>{sum(self._widths[:6])}}" + "".join(
            f"{metric_text(value):>{width}}" for value, width in zip((loss, accuracy), self._widths[6:8], strict=True)
        )


def _trial_table(results: Sequence[TrialResult], table: _Table) -> list[str]:
    metric = results[0].metric if results else "loss"
    ranked = sorted(results, key=lambda result: (result.state == "failed", result.rank))
    rows = []
    for result in ranked[:SHOWN_TRIALS]:
        figures = [result.valid_loss, result.valid_accuracy]
        figures += [result.best_figures[metric_column(metric)]] if needs_logits(metric) else []
        rows.append(table.trial(result.number, result.params, str(result.best_epoch), figures))
    more = [f"{'':>7}… and {len(results) - SHOWN_TRIALS} more"] if len(results) > SHOWN_TRIALS else []
    head = table.head(epoch=True, metric=metric_name(metric) if needs_logits(metric) else "")
    return [f"Best by validation {metric_name(metric)}, in their best epochs:", head, *rows, *more]


def _final_table(outcome: SearchOutcome, final: FinalRecord, table: _Table) -> list[str]:
    """The finalists, the accuracy to expect, and simple models on the same folds."""
    if final.chosen is None:
        return ["Final: no finalist could be trained on the folds; the model is that of the best trial."]
    extra = [name for name in outcome.finalists[0].figures if name not in ("loss", "accuracy")]
    rows = [
        table.trial(
            finalist.number,
            finalist.params,
            "chosen" if finalist.number == final.chosen else "",
            [finalist.figures[name] for name in ("loss", "accuracy", *extra)],
        )
        for finalist in outcome.finalists
    ]
    rows += [table.baseline(score.name, score.loss, score.accuracy) for score in outcome.baselines]
    low, high = final.interval
    return [
        f"Final: the best trials trained again on {final.folds} folds, each judged by the fold that it did not see:",
        table.head(epoch=False, metric=metric_name(outcome.results[0].metric) if extra else ""),
        *rows,
        "",
        f"Expected accuracy on new rows: {final.accuracy:.4f} (95 % interval {low:.4f}–{high:.4f})"
        + _against(outcome.baselines),
        *([outcome.majority_note] if outcome.majority_note else []),
    ]


def _against(baselines: Sequence[Score]) -> str:
    """What the accuracy of the model is to be compared with."""
    if not baselines:
        return ""
    best = max(baselines, key=lambda score: score.accuracy)
    return f", against {best.accuracy:.4f} of the best simple model ({best.name})"


def _model_line(outcome: SearchOutcome) -> str:
    if outcome.model is not None:
        return f"Model {outcome.model.name}: {outcome.model.note}; load it as {outcome.model.uri}"
    if outcome.upload_error:
        return "No model was registered."
    if outcome.best is None:
        return "No trial ended with a finite loss: no model."
    final = outcome.final
    which = f"trial {outcome.best.number}" if final is None or final.chosen is None else f"finalist {final.chosen}"
    return f"The model of {which} was deleted in MLflow and is not registered again."


def _time_line(seconds: dict[str, float]) -> str:
    main = ", ".join(f"{name} {seconds[name]:.1f}" for name in _MAIN_THREAD)
    background = ", ".join(f"{name} {seconds[name]:.1f}" for name in _BACKGROUND)
    return f"Time {seconds['total']:.1f} s: {main}; meanwhile: {background}"
