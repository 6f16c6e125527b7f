"""Outcomes of the commands as text for people and as JSON for programs."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insects.objective import metric_column, metric_name, needs_logits
from insects.text import counted, shown
from search.store.tracking_uri import without_password

if TYPE_CHECKING:
    from insects.params import TrialParams
    from insects.trial import TrialResult
    from search.commands.evaluate import Evaluation
    from search.commands.predict import Predictions
    from search.commands.search import SearchOutcome
    from search.commands.sync import SyncedStudy
    from search.store.store import Store
    from search.store.study_folder import FinalRecord

SHOWN_TRIALS = 5
SHOWN_CLASSES = 10
_CONFIGURATION = f"{'trial':>7}{'depth':>7}{'width':>7}{'lr':>10}{'batch':>7}"
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
        "report": None if outcome.report is None else str(outcome.report),
    }


def search_text(outcome: SearchOutcome, store: Store, store_options: str) -> str:
    """Return the end of a search: the best trials, the model, where the time went, what to type next.

    Args:
        outcome: The outcome.
        store: The store.
        store_options: The options by which the next command finds the store.
    """
    states = Counter(result.state for result in outcome.results)
    counted = ", ".join(f"{count} {state}" for state, count in states.items())
    lines = [f"Study {outcome.study}: {len(outcome.results)} trials ({counted}), {outcome.new} of them in this run", ""]
    lines += _trial_table(outcome.results)
    if outcome.final is not None:
        lines += ["", *_final_table(outcome, outcome.final)]
    lines += ["", _model_line(outcome), "", *_time_lines(outcome.seconds)]
    if outcome.upload_error:
        lines += [
            "",
            f"Not all is in MLflow yet: {outcome.upload_error}",
            f"Upload it with: insects-search --sync{store_options}",
        ]
    if len(outcome.results) < outcome.wanted:
        lines += ["", f"Out of time after {len(outcome.results)} of {outcome.wanted} trials: the same command goes on."]
    elif outcome.new == 0:
        lines += ["", f"All {len(outcome.results)} trials were done already; go on with a larger --trials."]
    lines += ["", f"Report: {outcome.report}"] if outcome.report is not None else []
    lines += ["", "Next:"]
    if outcome.model:
        lines.append(f"  insects-evaluate --best{store_options}")
    lines.append(f"  open {store.shown_uri}" if store.is_server else f"  insects-ui{store_options}")
    return "\n".join(lines)


def sync_json(studies: Sequence[SyncedStudy]) -> dict[str, Any]:
    """Return the object that `insects-search --sync --json` prints."""
    return {"studies": [{"study": s.study, "upload_error": s.upload_error or None} for s in studies]}


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


def _trial_table(results: Sequence[TrialResult]) -> list[str]:
    metric = results[0].metric if results else "loss"
    ranked = sorted(results, key=lambda result: (result.state == "failed", result.rank))
    head = f"{_CONFIGURATION}{'epoch':>7}{'loss':>10}{'accuracy':>10}"
    head += f"{metric_name(metric):>19}" if needs_logits(metric) else ""
    rows = [
        f"{_configuration(r.number, r.params)}{r.best_epoch:>7}{r.valid_loss:>10.4f}{r.valid_accuracy:>10.4f}"
        + (f"{r.best_figures[metric_column(metric)]:>19.4f}" if needs_logits(metric) else "")
        for r in ranked[:SHOWN_TRIALS]
    ]
    more = [f"{'':>7}… and {len(results) - SHOWN_TRIALS} more"] if len(results) > SHOWN_TRIALS else []
    return [f"Best by validation {metric_name(metric)}, in their best epochs:", head, *rows, *more]


def _configuration(number: int, params: TrialParams) -> str:
    """The first columns of a table of trials, under `_CONFIGURATION`."""
    return f"{number:>7}{params.depth:>7}{params.width:>7}{params.lr:>10.2g}{params.batch_size:>7}"


def _final_table(outcome: SearchOutcome, final: FinalRecord) -> list[str]:
    """The finalists, the accuracy to expect, and simple models on the same folds."""
    if final.chosen is None:
        return ["Final: no finalist could be trained on the folds; the model is that of the best trial."]
    head = f"{_CONFIGURATION}{'':>7}{'loss':>10}{'accuracy':>10}"
    extra = [name for name in outcome.finalists[0].figures if name not in ("loss", "accuracy")]
    head += "".join(f"{name.replace('_', ' '):>19}" for name in extra)
    rows = [
        f"{_configuration(f.number, f.params)}"
        f"{'chosen' if f.number == final.chosen else '':>7}{f.figures['loss']:>10.4f}{f.figures['accuracy']:>10.4f}"
        + "".join(f"{f.figures[name]:>19.4f}" for name in extra)
        for f in outcome.finalists
    ]
    rows += [f"{score.name:>45}{score.loss:>10.4f}{score.accuracy:>10.4f}" for score in outcome.baselines]
    low, high = final.interval
    return [
        f"Final: the best trials trained again on {final.folds} folds, each judged by the fold that it did not see:",
        head,
        *rows,
        "",
        f"Expected accuracy on new rows: {final.accuracy:.4f} (95 % interval {low:.4f}–{high:.4f})",
    ]


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


def _time_lines(seconds: dict[str, float]) -> list[str]:
    main = ", ".join(f"{name} {seconds[name]:.1f}" for name in _MAIN_THREAD)
    background = ", ".join(f"{name} {seconds[name]:.1f}" for name in _BACKGROUND)
    return [f"Time {seconds['total']:.1f} s: {main}; meanwhile: {background}"]
