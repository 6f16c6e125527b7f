"""The parts of a report about the model: the accuracy to expect, its evaluation, the final, and how to use it."""

from __future__ import annotations

import json
import shlex

import numpy as np

from insects.evaluation import MATRIX_CLASSES
from insects.objective import metric_name
from insects.permutation import REPEATS, permutation_importances
from insects.plots.ticks import FLOOR, floor_note
from insects.text import counted, metric_text, shortened
from search.reports.report_charts import Bar, Chart, Interval, bars, intervals, logarithmic, whole
from search.reports.report_contents import Contents, params_text, percent
from search.reports.report_page import code, escape, figure, name, paragraph, table
from search.store.evaluation_record import EvaluationRecord

LISTED_CLASSES, CURVE_EPOCHS, LISTED_COLUMNS = 50, 300, 20
"""Most classes in the table of an evaluation, epochs of a fold's curve, and columns with their importance."""

MAJORITY = {"majority": "most frequent class"}
"""Names of baselines for people, where they differ."""


def expected_section(contents: Contents) -> str:
    """Return the accuracy to expect of new rows beside baselines and the evaluation."""
    final, evaluation, lines, note = contents.final, contents.evaluation, [], []
    if final is not None and final.accuracy is not None:
        low, high = final.interval
        lines.append(Interval("expected", final.accuracy, low, high, is_own=True))
        note.append(
            "<b>expected</b>: the mean of the finalists' probabilities, each row judged by networks that did not see "
            "it; the interval is Wilson's, at 95 %. No test row takes part in it."
        )
    elif contents.best is not None:
        lines.append(Interval("best trial, validation", contents.best.valid_accuracy, is_own=True))
        note.append(
            "<b>best trial, validation</b>: too good, since these rows have chosen the epoch and the trial; a final "
            "(<code>--finalists</code>) estimates the accuracy of new rows."
        )
    if evaluation is not None:
        report = evaluation.report
        low, high = report["interval"]
        lines.append(Interval("test", report["accuracy"], low, high, is_own=True))
        note.append(f"<b>test</b>: {name(evaluation.source, 80)}.")
    of_test = [] if evaluation is None else evaluation.baselines
    scores = {score.name: score.accuracy for score in contents.baselines}
    scores = scores or {score["name"]: score["accuracy"] for score in of_test}
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    lines += [Interval(MAJORITY.get(text, text), accuracy) for text, accuracy in ranked]
    if contents.baselines:
        note.append("The simple models are fitted and scored on the folds of the final.")
    elif of_test:
        note.append("The simple models are scored on the test rows.")
    if not lines:
        return paragraph("No trial ended with a finite loss: there is no model.")
    chart = intervals("accuracy of the model and of simple models", f"accuracy, share of {contents.unit}s", lines)
    return figure(chart, "<b>Accuracy</b> of the model, and of simple models for comparison") + "".join(
        paragraph(part, "note") for part in note
    )


def evaluation_section(contents: Contents, evaluation: EvaluationRecord) -> str:
    """Return the evaluation on test rows: figures, metrics of each class, mistakes."""
    report = evaluation.report
    low, high = report["interval"]
    groups = "" if report["groups"] is None else f", each of {counted(report['groups'], 'group')} counted once"
    text = (
        f"Version {name(evaluation.version)} on {name(evaluation.source, 80)}: {report['correct']:,} of "
        f"{counted(report['total'], evaluation.unit)} right, accuracy {percent(report['accuracy'])} (95\u00a0% "
        f"interval {percent(low)} to {percent(high)}{groups})."
    )
    if contents.version is not None and evaluation.version != contents.version:
        text += f" That is not version {name(contents.version)}, which the other figures are about."
    if evaluation.seen:
        text += f" {evaluation.seen:,} of these {evaluation.unit}s were part of its training or validation data."
    if evaluation.looks > 1:
        text += (
            f" It was evaluation {evaluation.looks} on these {evaluation.unit}s: a model that is chosen by them needs "
            "others to be tested on."
        )
    measures = [
        ("balanced accuracy", report["balanced_accuracy"], "mean recall of the classes"),
        ("ROC AUC", report["roc_auc"], "1 ranks without error, 0.5 is chance"),
        ("log loss", report["loss"], "mean cross entropy in nats"),
        ("calibration error", report["calibration_error"], "mean gap of confidence and accuracy"),
    ]
    shown = [[text, "–" if value is None else metric_text(value), about] for text, value, about in measures]
    shown = [["accuracy", f"{report['accuracy']:.4f}", f"share of {evaluation.unit}s that are right"], *shown]
    body = paragraph(text) + table(["metric", "value", ""], shown, texts=(0, 2), wrapped=2)
    body += _per_class(evaluation) + _confusion(evaluation)
    if evaluation.baselines:
        scores = [[MAJORITY.get(s["name"], s["name"]), f"{s['accuracy']:.4f}", metric_text(s["loss"])] for s in
                  [{"name": "the model", **report}, *reversed(evaluation.baselines)]]  # fmt: skip
        body += paragraph(f"Beside simple models on the same {evaluation.unit}s:", "note")
        body += table(["model", "accuracy", "log loss"], scores, marked=0)
    return body


def final_section(contents: Contents) -> str:
    """Return the finalists and the curves of the chosen one."""
    final, chosen = contents.final, contents.chosen
    if final is None or not contents.finalists:
        return paragraph("There was no final: the network of the best trial is the model.")
    text = (
        f"The {counted(len(contents.finalists), 'best trial')} of the search trained again on {final.folds} folds of "
        f"the training and validation {contents.unit}s, each network judged by the fold that it did not see."
    )
    if chosen is None:
        text += " No finalist could be trained on the folds: the network of the best trial is the model."
    else:
        text += (
            f" Trial {chosen.number} has the best {metric_name(chosen.metric)} and was chosen; the mean of the "
            f"probabilities of its {len(chosen.folds)} networks is the model."
        )
    extra = [key for key in contents.finalists[0].figures if key not in ("loss", "accuracy")]
    head = ["trial", "depth", "width", "lr", "batch", "loss", "accuracy", *(key.replace("_", " ") for key in extra), ""]
    rows, marked = [], None
    for number, finalist in enumerate(contents.finalists):
        params, figures = finalist.params, finalist.figures
        is_chosen = chosen is not None and finalist.number == chosen.number
        marked = number if is_chosen else marked
        rows.append(
            [
                str(finalist.number),
                str(params.depth),
                str(params.width),
                f"{params.lr:.2g}",
                str(params.batch_size),
                *(metric_text(figures[key]) for key in ("loss", "accuracy", *extra)),
                "chosen" if is_chosen else "",
            ]
        )
    for score in reversed(contents.baselines):
        own = [MAJORITY.get(score.name, score.name), *[""] * 4, metric_text(score.loss), f"{score.accuracy:.4f}"]
        rows.append([*own, *[""] * len(extra), ""])
    curves = "" if chosen is None else _fold_curves(contents)
    return paragraph(text) + table(head, rows, texts=(0, len(head) - 1), marked=marked, minor=range(1, 5)) + curves


def columns_section(contents: Contents) -> str:
    """Return how much the model depends on each column; empty where that is not known, or there are two columns."""
    chosen, fold_N, data = contents.chosen, contents.folder.folds(), contents.data
    if contents.table is None or chosen is None or fold_N is None or len(data.sample.encoder.columns) <= 2:
        return ""
    raw_NK = np.concatenate([data.train_raw, data.valid_raw])
    y_N = np.concatenate([data.sample.train_y, data.sample.valid_y])
    found = permutation_importances(chosen, data.sample.encoder, raw_NK, y_N, fold_N)
    if not found:
        return ""
    largest = max(found[0].loss, 1e-12)
    lines = []
    for column in found[:LISTED_COLUMNS]:
        loss = _signed(column.loss, 3)
        accuracy = f"{_signed(-100 * column.accuracy, 1)} %"
        title = f"{column.name}\nloss {loss} nats, accuracy {accuracy}"
        share = max(column.loss, 0.0) / largest
        lines.append(Bar(shortened(column.name, 24), share, f"{loss} / {accuracy}", title))
    text = (
        "How much the loss (nats) and the accuracy (percentage points) change if the values of a column are shuffled "
        f"among the {contents.unit}s that a network of the final did not see, as a mean of {REPEATS} shuffles. "
        "Columns that tell the same hide each other: each looks less important than both are."
    )
    caption = "<b>Permutation importance</b>: change of the loss / of the accuracy"
    if len(found) > len(lines):
        caption += f"; the first {len(lines)} of {len(found):,} columns"
    return figure(bars("permutation importance of each column", lines), caption) + paragraph(text, "note")


def use_section(contents: Contents) -> str:
    """Return commands and Python lines with the names of this study."""
    store = f" --store {shlex.quote(str(contents.store))}"
    own = f"sqlite:///{contents.store / 'mlflow.db'}"
    store += "" if contents.tracking_uri == own else f" --tracking-uri {shlex.quote(contents.tracking_uri)}"
    uri = shlex.quote(contents.model_uri)
    rows = "more.csv" if contents.images is None else "--images photos"
    commands = [
        f"insects-predict --model {uri} {rows} --out labels.csv{store}",
        f"insects-evaluate --model {uri}{store}",
        f"insects-ui --study {shlex.quote(contents.folder.name)}{store}",
    ]
    lines = ["import mlflow"]
    lines += ["import pandas as pd"] if contents.table is not None else []
    lines += [
        "",
        f"mlflow.set_tracking_uri({_quoted(contents.tracking_uri)})",
        f"model = mlflow.pyfunc.load_model({_quoted(contents.model_uri)})",
    ]
    if contents.table is not None:
        lines += [
            'predictions = model.predict(pd.read_csv("more.csv"))',
            f"print(predictions[{_quoted('predicted_' + contents.table.target)}])",
        ]
    else:
        lines += [
            "logits = model.predict(images)  # uint8 (N, 3, H, W); classes: " + _quoted(contents.data.sample.classes)
        ]
    if contents.version is None:
        note = "No version of the model is known to be registered yet: <code>insects-search --sync</code> registers it."
    else:
        note = f"The model is version {name(contents.version)} of <b>{name(contents.model_name)}</b>."
    return (
        paragraph(note)
        + paragraph("Predict, evaluate, look at all runs:", "note")
        + code("\n".join(commands))
        + paragraph("In Python:", "note")
        + code("\n".join(lines))
    )


def _per_class(evaluation: EvaluationRecord) -> str:
    per_class = evaluation.report["per_class"]
    rows = [
        [name(row["name"]), *(f"{row[key]:.4f}" for key in ("precision", "recall", "f1")), f"{row['support']:,}"]
        for row in per_class[:LISTED_CLASSES]
    ]
    note = ""
    if len(per_class) > len(rows):
        note = paragraph(f"The first {len(rows)} of {len(per_class):,} classes.", "note")
    return table(["class", "precision", "recall", "F1", f"{evaluation.unit}s"], rows) + note


def _confusion(evaluation: EvaluationRecord) -> str:
    """The confusion matrix, or the most frequent mistakes where there are many classes."""
    confusion = np.array(evaluation.report["confusion"])
    classes = [row["name"] for row in evaluation.report["per_class"]]
    if len(classes) > MATRIX_CLASSES:
        mistakes = confusion - np.diag(np.diag(confusion))
        order = np.argsort(-mistakes, axis=None, kind="stable")[: min(MATRIX_CLASSES, np.count_nonzero(mistakes))]
        pairs = [divmod(int(cell), len(classes)) for cell in order]
        rows = [[name(classes[true]), name(classes[other]), f"{mistakes[true, other]:,}"] for true, other in pairs]
        head = ["true class", "predicted as", f"{evaluation.unit}s"]
        return paragraph("The most frequent mistakes:", "note") + table(head, rows, texts=(0, 1))
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    names = "".join(f'<th class="n" scope=col>{name(text, 12)}</th>' for text in classes)
    body = []
    for true, text in enumerate(classes):
        cells = "".join(
            f'<td class="n" title="{_pair(text, classes[other], count)}" style="background:color-mix(in srgb,'
            f'var(--accent) {60 * share[true, other]:.0f}%,transparent)">{count:,}</td>'
            for other, count in enumerate(confusion[true].tolist())
        )
        body.append(f"<tr><th scope=row>{name(text, 20)}</th>{cells}</tr>")
    return paragraph("Confusion matrix: true classes in rows, predicted classes in columns.", "note") + (
        f'<div class="scroll"><table class="matrix"><thead><tr><th>true</th>{names}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _pair(true: str, predicted: str, count: int) -> str:
    return escape(f"{true} predicted as {predicted}: {count:,}")


def _fold_curves(contents: Contents) -> str:
    """The validation loss of each fold of the chosen finalist by epoch."""
    chosen = contents.chosen
    assert chosen is not None, "the caller asks only then"
    curves = [np.maximum(fold.trial.valid_losses, FLOOR) for fold in chosen.folds]
    finite = np.concatenate(curves)
    finite = finite[np.isfinite(finite)]
    epochs = max(len(curve) for curve in curves)
    scale = logarithmic("validation loss (nats)", float(finite.min()), float(max(finite.max(), 10 * FLOOR)))
    chart = Chart("validation loss of each fold by epoch", whole("epoch", 1, max(2, epochs)), scale)
    for fold, curve in zip(chosen.folds, curves, strict=True):
        at = np.unique(np.linspace(0, len(curve) - 1, min(len(curve), CURVE_EPOCHS)).round().astype(int))
        best = f"fold {fold.fold}: {metric_text(fold.trial.valid_loss)} in epoch {fold.trial.best_epoch}"
        chart.line((at + 1).tolist(), curve[at].tolist(), "thin", best)
    caption = f"<b>Validation loss</b> of each fold's network of trial {chosen.number} ({params_text(chosen.params)})"
    note = floor_note(np.concatenate([fold.trial.valid_losses for fold in chosen.folds]))
    caption += f"; {note}" if note else ""
    return figure(chart.svg(), caption)


def _signed(value: float, digits: int) -> str:
    """A rounded number with its sign."""
    return f"{round(value, digits) + 0.0:+.{digits}f}".replace("-", "\u2212")  # + 0.0: no negative zero


def _quoted(value: object) -> str:
    """A value as a Python literal."""
    return json.dumps(value, ensure_ascii=False)
