"""The parts of a report about the trials: the best of them, their history, the hyperparameters, curves and maps."""

from __future__ import annotations

import base64
import math
from collections import Counter
from collections.abc import Sequence
from functools import partial

import numpy as np

from insects import mlp
from insects.objective import figures_text, history_columns, metric_column, metric_name, needs_logits, objective_name
from insects.plots.comparison import RELIABLE
from insects.plots.plane import Projection
from insects.plots.style import png
from insects.plots.ticks import FLOOR, floor_note
from insects.plots.trial import THUMBNAIL, TrialFigures
from insects.plots.trial_axes import LABELS, short_name, spread_note, varying_axes
from insects.text import metric_text
from insects.trial import TrialResult
from search.reports.comparison import FEWEST_RANKED, importance_shares, searched_space, trial_figures
from search.reports.importance import TOP
from search.reports.model_figures import BOUNDARY, COLUMNS, model_figures
from search.reports.report_charts import Bar, Chart, Mark, Point, Scale, bars, key, linear, logarithmic, whole
from search.reports.report_contents import Contents, params_text
from search.reports.report_page import figure, paragraph, table

LISTED, DRAWN, EPOCHS, MAPS = 50, 1000, 300, 24
"""Most trials in the table, points of trials in a chart, epochs of a curve, and maps of trials."""

_PARTS = (("train", "training"), ("valid", "validation"))
_SLICED = DRAWN // 2  # points in each of up to four charts


def trials_section(contents: Contents) -> str:
    """Return the table of the best trials."""
    metric, results = contents.metric, contents.results
    ranked = sorted(results, key=lambda result: (result.state == "failed", result.rank))
    scored = needs_logits(metric)
    head = ["trial", "loss", "accuracy", *([metric_name(metric)] if scored else [])]
    head += ["depth", "width", "lr", "batch", "weights", "best epoch", "epochs", "seconds", "state"]
    rows = []
    for result in ranked[:LISTED]:
        params = result.params
        rows.append(
            [
                str(result.number),
                _number(result.valid_loss),
                f"{result.valid_accuracy:.4f}",
                *([f"{result.best_figures[metric_column(metric)]:.4f}"] if scored else []),
                str(params.depth),
                str(params.width),
                f"{params.lr:.2g}",
                str(params.batch_size),
                f"{result.parameters:,}",
                str(result.best_epoch),
                str(result.epochs),
                f"{result.seconds:.2f}",
                result.state,
            ]
        )
    states = Counter(result.state for result in results)
    note = ", ".join(f"{count:,} {state}" for state, count in states.items())
    what = f"Best by validation {metric_name(metric)}, in their best epochs, on the validation rows"
    left_out = len(results) - len(rows)
    more = (
        f"; the {len(rows)} best of {len(results):,} are listed, all are in <code>trials.csv</code> on the search's run"
        if left_out
        else ""
    )
    minor = [*range(head.index("weights"), len(head)), *((1, 2) if scored else ())]
    return paragraph(f"{what} ({note}){more}.", "note") + table(
        head, rows, texts=(len(head) - 1,), marked=0, minor=minor
    )


def search_section(contents: Contents) -> str:
    """Return the charts of the search: its history, the importance of the hyperparameters, and each of them."""
    slices, note = _slices(contents)
    drawings = "".join([_history(contents), _importances(contents), *slices])
    return f'<div class="grid">{drawings}</div>' + paragraph(note, "note")


def best_trial_section(contents: Contents) -> str:
    """Return the learning curves of the best trial."""
    best = contents.best
    if best is None:
        return paragraph("No trial ended with a finite loss.")
    columns = {column: best.history[:, place] for place, column in enumerate(history_columns(best.metric))}
    shown = _epochs_shown(best)
    drawings = []
    metrics = [("loss", "loss (nats)", "loss"), ("accuracy", "accuracy", "accuracy")]
    if needs_logits(best.metric):
        metrics.append((metric_column(best.metric).removeprefix("valid_"), *2 * (metric_name(best.metric),)))
    for column, unit, what in metrics:
        lines = {
            part: columns[f"{prefix}_{column}"][shown - 1] for prefix, part in _PARTS if f"{prefix}_{column}" in columns
        }
        finite = np.concatenate([*lines.values()])
        finite = finite[np.isfinite(finite)]
        if what == "loss":
            y = logarithmic(unit, max(float(finite.min()), FLOOR), max(float(finite.max()), 10 * FLOOR))
        else:
            y = linear(unit, min(float(finite.min()), 0.98), 1.0)
        chart = Chart(f"{what} of trial {best.number} by epoch", whole("epoch", 1, max(2, best.epochs)), y)
        chart.mark(best.best_epoch)
        for part, values in lines.items():
            chart.line(shown.tolist(), values.tolist(), "plain" if part == "training" else "")
            titles = [
                f"epoch {epoch}: {part} {what} {metric_text(value)}" for epoch, value in zip(shown, values, strict=True)
            ]
            chart.hover(shown.tolist(), values.tolist(), titles)
        legend = key("curve", "validation") + (key("curve plain", "training") if "training" in lines else "")
        caption = f"<b>{what[0].upper()}{what[1:]}</b> by epoch"
        drawings.append(figure(chart.svg(), caption, legend + key("mark", "best epoch")))
    note = f"Trial {best.number} ({params_text(best.params)}): {figures_text(best.best_figures)} in epoch "
    note += f"{best.best_epoch} of {best.epochs}."
    if len(shown) < best.epochs:
        note += f" {len(shown)} of its epochs are drawn."
    return paragraph(note) + f'<div class="grid">{"".join(drawings)}</div>'


def boundaries_section(contents: Contents, figures: TrialFigures | None) -> str:
    """Return the decision boundary of the model, and maps of the best trials.

    Args:
        contents: The study.
        figures: What drew the figures of the trials, to be used again; None: it is made.
    """
    ranked = sorted((result for result in contents.results if result.epochs), key=lambda result: result.rank)
    chosen, shape = contents.chosen, contents.data.sample.shape
    if chosen is not None:
        trials = [fold.trial for fold in chosen.folds]
        title = f"finalist {chosen.number}, mean of {len(trials)} networks"
    elif contents.best is not None and (best := contents.folder.load(contents.best.number)) is not None:
        trials, title = [best], f"trial {best.number}"
    else:
        return paragraph("No trial ended with a finite loss.")
    figures = figures or trial_figures(contents.folder, contents.data)
    drawn = model_figures(figures, trials, shape, title, of_folds=chosen is not None)
    captions = {
        COLUMNS: "<b>The two most telling columns</b>, each on its own (ANOVA F)",
        BOUNDARY: "<b>Decision of the model</b>",
    }
    drawings = [
        figure(_image(drawn[name](), "decision", 700, 500), text) for name, text in captions.items() if name in drawn
    ]
    maps = []
    for light in ranked[:MAPS]:
        result = contents.folder.load(light.number)
        if result is not None:
            pixels = figures.thumbnail(partial(mlp.logits, result.weights, result.params, shape))
            picture = _image(png(pixels), f"decision of trial {result.number}", THUMBNAIL, THUMBNAIL)
            maps.append(f"<div>{picture}trial {result.number}<br>{_number(result.objective)}</div>")
    which = f"the best {len(maps)} of {len(ranked):,} trials" if len(maps) < len(ranked) else "all trials"
    off = ", on the plane of the projection" if isinstance(figures.plane, Projection) else ""
    caption = f"<b>Decisions of {which}</b>, best first, with the {objective_name(contents.metric)}{off}"
    atlas = f'<figure class="wide"><figcaption>{caption}</figcaption><div class="maps">{"".join(maps)}</div></figure>'
    return f'<div class="grid">{"".join(drawings)}</div>{atlas}'


def _history(contents: Contents) -> str:
    """The objective of each trial by its number, and the best so far."""
    results, metric = contents.results, contents.metric
    name = f"{objective_name(metric)}{' (nats)' if metric == 'loss' else ''}"
    y = _objective_scale(name, results)
    chart = Chart("history of the search", whole("trial", 0, max(1, results[-1].number)), y)
    records: list[tuple[int, float]] = []
    for result in results:
        if result.state == "complete" and result.objective < (records[-1][1] if records else math.inf):
            records.append((result.number, result.objective))
    shown = _shown(results, DRAWN)
    chart.points([Point(result.number, result.objective, _trial_title(result), _mark(result)) for result in shown])
    legend = ""
    if records:
        numbers, values = zip(*records, (results[-1].number, records[-1][1]), strict=True)
        chart.line(numbers, values, title="best so far", steps=True)
        legend = key("curve", "best so far")
    caption = "<b>History</b>: " + objective_name(metric) + " of each trial"
    note = floor_note(np.array([r.objective for r in shown if math.isfinite(r.objective)]))
    caption += f"; {note}" if note else ""
    caption += f"; {len(shown):,} of {len(results):,} trials are drawn" if len(shown) < len(results) else ""
    return figure(chart.svg(), caption, _marks_legend(shown) + legend)


def _importances(contents: Contents) -> str:
    """Bars of the hyperparameters' importances, or what they need."""
    ranked, shares = importance_shares(contents.folder, contents.results)
    if not shares:
        return figure("", f"<b>Importance</b>: it takes at least {FEWEST_RANKED} complete trials that differ to tell")
    caption = f"<b>Importance</b> for being among the best {TOP:.0%} of {len(ranked):,} trials (PED-ANOVA)"
    caption = caption.replace("%", " %") + ("" if len(ranked) >= RELIABLE else f"; a rough guess below {RELIABLE}")
    named = [(short_name(parameter), share) for parameter, share in shares.items()]
    lines = [Bar(text, share, f"{100 * share:.0f} %", f"{text}: {100 * share:.1f} %") for text, share in named]
    return figure(bars("importance of each hyperparameter", lines), caption)


def _slices(contents: Contents) -> tuple[list[str], str]:
    """Each hyperparameter that varies against the objective, and a note about the charts."""
    shown = _shown([result for result in contents.results if result.epochs], _SLICED)
    if not shown:
        return [], ""
    order = sorted(shown, key=lambda result: result.rank, reverse=True)  # the best on top
    y = _objective_scale(objective_name(contents.metric), order)
    drawings, axes = [], varying_axes(order, vars(searched_space(contents.folder, order)))
    for axis in axes:
        x = Scale(LABELS[axis.name], axis.low, axis.high, axis.ticks)
        chart = Chart(f"objective by {short_name(axis.name)}", x, y)
        places = axis.spread(len(order) - 1).tolist()
        best = None if contents.best is None else contents.best.number
        chart.points(
            [
                Point(at, r.objective, _trial_title(r), "best" if r.number == best else _mark(r))
                for at, r in zip(places, order, strict=True)
            ]
        )
        legend = key("best", "best trial") + _marks_legend(order)
        drawings.append(figure(chart.svg(), f"<b>{short_name(axis.name).capitalize()}</b>", legend))
    note = f"Each hyperparameter against the {objective_name(contents.metric)}; hovering names a trial."
    note += (
        f" {len(shown):,} of {len(contents.results):,} trials are drawn." if len(shown) < len(contents.results) else ""
    )
    spread = spread_note(axes)
    return drawings, note + (f" {spread.capitalize()}, so that trials hide each other less." if spread else "")


def _objective_scale(name: str, results: Sequence[TrialResult]) -> Scale:
    finite = [max(r.objective, FLOOR) for r in results if math.isfinite(r.objective) and r.state != "failed"]
    return logarithmic(name, min(finite, default=0.1), max(finite, default=1.0))


def _shown(results: Sequence[TrialResult], most: int) -> list[TrialResult]:
    """At most so many trials by number: the best fifth, and an even sample of the others."""
    if len(results) <= most:
        return list(results)
    best = {result.number for result in sorted(results, key=lambda result: result.rank)[: most // 5]}
    others = [result for result in results if result.number not in best]
    places = np.linspace(0, len(others) - 1, most - len(best)).astype(int)
    sampled = {others[place].number for place in places}
    return [result for result in results if result.number in best or result.number in sampled]


def _epochs_shown(result: TrialResult) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """The epochs that are drawn, from 1: the first, the best, the last, and others between them."""
    epochs = np.linspace(1, result.epochs, min(result.epochs, EPOCHS)).round().astype(np.intp)
    return np.unique([*epochs, result.best_epoch])


def _mark(result: TrialResult) -> Mark:
    if result.state == "failed" or not math.isfinite(result.objective):
        return "lost"
    return "ring" if result.state == "pruned" else "dot"


def _marks_legend(results: Sequence[TrialResult]) -> str:
    names: dict[Mark, str] = {"dot": "trial", "ring": "pruned", "lost": "failed or diverged"}
    used = {_mark(result) for result in results}
    return "".join(key(mark, name) for mark, name in names.items() if mark in used)


def _trial_title(result: TrialResult) -> str:
    if result.state == "failed":
        return f"trial {result.number}: failed\n{params_text(result.params)}"
    return f"trial {result.number}: {figures_text(result.best_figures)}\n{params_text(result.params)}"


def _number(value: float) -> str:
    """A loss or an objective."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "–"
    return metric_text(value)


def _image(content: bytes, about: str, width: int, height: int) -> str:
    encoded = base64.b64encode(content).decode()
    return f'<img alt="{about}" width="{width}" height="{height}" src="data:image/png;base64,{encoded}">'
