"""The end of a search, for a person and for a program."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from insects.trial import TrialResult
from search.commands.search import Outcome
from search.store.store import Store
from search.study.config import json_number

ROWS = 5
MAIN_THREAD = ("imports", "sampling", "storing", "waiting", "finishing")
BACKGROUND = ("training", "figures", "tracking")


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The object that `insects-search --json` prints."""
    model = outcome.model
    return {
        "study": outcome.study,
        "study_digest": outcome.digest,
        "device": outcome.choice.device,
        "engine": outcome.choice.engine,
        "trials": [_trial(result) for result in outcome.results],
        "best": None if outcome.best is None else _trial(outcome.best),
        "model": None if model is None else asdict(model),
        "seconds": {name: round(seconds, 4) for name, seconds in outcome.seconds.items()},
        "trouble": outcome.trouble or None,
    }


def as_text(outcome: Outcome, store: Store, store_option: str) -> str:
    """Several lines: the best trials, the model, where the time went, what to type next."""
    states = Counter(result.state for result in outcome.results)
    counted = ", ".join(f"{count} {state}" for state, count in states.items())
    lines = [f"Study {outcome.study}: {len(outcome.results)} trials ({counted}), {outcome.new} of them in this run", ""]
    lines += _table(outcome.results)
    lines += ["", _model_line(outcome), "", *_time_lines(outcome.seconds)]
    if outcome.trouble:
        lines += [
            "",
            f"Not all is in MLflow yet: {outcome.trouble}",
            f"Deliver it with: insects-search --sync{store_option}",
        ]
    if len(outcome.results) < outcome.wanted:
        lines += ["", f"Out of time after {len(outcome.results)} of {outcome.wanted} trials: the same command goes on."]
    elif outcome.new == 0:
        lines += ["", f"All {len(outcome.results)} trials were done already; go on with a larger --trials."]
    lines += ["", "Next:"]
    if outcome.model:
        named = "" if outcome.model.name == "insects-mlp" else f" --model-name {outcome.model.name}"
        lines.append(f"  insects-evaluate --best{named}{store_option}")
    lines.append(f"  open {store.shown_uri}" if store.is_server else f"  insects-ui{store_option}")
    return "\n".join(lines)


def _trial(result: TrialResult) -> dict[str, Any]:
    return {
        "number": result.number,
        "state": result.state,
        "params": asdict(result.params),
        "valid_accuracy": result.valid_accuracy,
        "valid_loss": json_number(result.valid_loss),
        "epochs": result.epochs,
        "best_epoch": result.best_epoch,
        "seconds": round(result.seconds, 4),
    }


def _table(results: list[TrialResult]) -> list[str]:
    ranked = sorted(results, key=lambda result: (result.state == "failed", result.valid_loss, result.number))
    head = f"{'trial':>7}{'depth':>7}{'width':>7}{'lr':>10}{'batch':>7}{'epoch':>7}{'loss':>10}{'accuracy':>10}"
    rows = [
        f"{r.number:>7}{r.params.depth:>7}{r.params.width:>7}{r.params.lr:>10.2g}{r.params.batch_size:>7}"
        f"{r.best_epoch:>7}{r.valid_loss:>10.4f}{r.valid_accuracy:>10.4f}"
        for r in ranked[:ROWS]
    ]
    more = [f"{'':>7}… and {len(results) - ROWS} more"] if len(results) > ROWS else []
    return ["Best by validation loss, in their best epochs:", head, *rows, *more]


def _model_line(outcome: Outcome) -> str:
    if outcome.model is None:
        return "No model was registered." if outcome.trouble else "No trial ended with a finite loss: no model."
    return f"Model {outcome.model.name}: {outcome.model.note}; load it as {outcome.model.uri}"


def _time_lines(seconds: dict[str, float]) -> list[str]:
    main = ", ".join(f"{name} {seconds[name]:.1f}" for name in MAIN_THREAD)
    background = ", ".join(f"{name} {seconds[name]:.1f}" for name in BACKGROUND)
    return [f"Time {seconds['total']:.1f} s: {main}; meanwhile: {background}"]
