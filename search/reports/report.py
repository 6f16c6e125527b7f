"""The report of a study: one page about the data, the trials, the final and the model, made from the store alone."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from insects.text import counted
from search.reports.report_contents import Contents, majority_note, params_text, percent, read_contents
from search.reports.report_data import data_section, settings_section
from search.reports.report_model import (
    MAJORITY,
    columns_section,
    evaluation_section,
    expected_section,
    final_section,
    use_section,
)
from search.reports.report_page import Section, escape, name, page, paragraph
from search.reports.report_trials import best_trial_section, boundaries_section, search_section, trials_section
from search.store.study_folder import StudyFolder

if TYPE_CHECKING:
    from insects.plots import TrialFigures


def write_report(
    folder: StudyFolder, tracking_uri: str, version: str | None, figures: TrialFigures | None = None
) -> None:
    """Write the report of a study into its folder. The same study gives the same bytes.

    Args:
        folder: The study. Nothing is written before a trial has finished.
        tracking_uri: MLflow's URI, without its password.
        version: The version of the registered model; None if there is none.
        figures: What drew the figures of the trials, to be used again; None: it is made.

    Raises:
        StoreError: A file of the study cannot be read, or the report cannot be written.
    """
    contents = read_contents(folder, tracking_uri, version)
    if not contents.results:
        return
    sections = [Section("expected", "Accuracy to expect", expected_section(contents))]
    if contents.evaluation is not None:
        sections.append(Section("test", "Test evaluation", evaluation_section(contents, contents.evaluation)))
    sections += [
        Section("trials", "Best trials", trials_section(contents)),
        Section("search", "The search", search_section(contents)),
        Section("curves", "Learning curves", best_trial_section(contents)),
    ]
    if columns := columns_section(contents):
        sections.append(Section("columns", "Importance of the columns", columns))
    sections += [
        Section("boundaries", "Decision boundaries", boundaries_section(contents, figures)),
        Section("final", "The final", final_section(contents)),
        Section("data", "Data", data_section(contents)),
        Section("use", "Use the model", use_section(contents)),
        Section("settings", "Settings", settings_section(contents)),
    ]
    heading = f"{contents.model_name}: {_headline(contents)}"
    lead = paragraph(_summary(contents), "lead") + _facts(contents)
    note = paragraph(f"Study {name(folder.name, 80)}, made from the files in {escape(folder.path)}.")
    folder.save_report(page(f"{contents.model_name}, study {folder.name}", heading, lead, sections, note))


def _headline(contents: Contents) -> str:
    if contents.final is not None and contents.final.accuracy is not None:
        return f"expected accuracy {percent(contents.final.accuracy)}"
    if contents.best is None:
        return "no model"
    return f"validation accuracy {percent(contents.best.valid_accuracy)}"


def _summary(contents: Contents) -> str:
    """Two sentences: the data and the study, the model and what to expect of it."""
    sizes, classes = contents.fingerprint["data"], contents.data.sample.classes
    rows = counted(sizes["train_rows"] + sizes["valid_rows"], contents.unit)
    columns = "" if contents.table is None else f", {counted(len(contents.table.columns), 'column')}"
    first = (
        f"A search of {counted(len(contents.results), 'trial')} over depth, width, learning rate and batch size on "
        f"{name(contents.source, 60)} ({rows} for training and validation{columns}, {counted(len(classes), 'class')}), "
        f"study {name(contents.folder.name, 60)}."
    )
    final, chosen, best = contents.final, contents.chosen, contents.best
    if final is not None and chosen is not None and final.accuracy is not None:
        low, high = map(percent, final.interval)
        beside = ", ".join(
            f"{MAJORITY.get(score.name, score.name)} {percent(score.accuracy)}"
            for score in reversed(contents.baselines)
        )
        caution = majority_note(final, contents.baselines, contents.folder.class_weight)
        return (
            f"{first} The best configuration, trial {chosen.number} ({params_text(chosen.params)}), is expected to be "
            f"right on {percent(final.accuracy)} of new {contents.unit}s (95\u00a0% interval {low} to {high})"
            + (f"; for comparison: {beside}." if beside else ".")
            + (f" {caution}" if caution else "")
        )
    if best is None:
        return f"{first} No trial ended with a finite loss."
    return (
        f"{first} The best trial, {best.number} ({params_text(best.params)}), is right on "
        f"{percent(best.valid_accuracy)} of the validation {contents.unit}s, which is too good a figure, as they have "
        "chosen it."
    )


def _facts(contents: Contents) -> str:
    """The numbers to take home."""
    final, facts = contents.final, []
    if final is not None and final.accuracy is not None:
        low, high = (f"{100 * limit:.1f}" for limit in final.interval)
        facts.append((percent(final.accuracy), f"accuracy to expect, 95 % interval {low}–{high} %"))
    elif contents.best is not None:
        facts.append((percent(contents.best.valid_accuracy), "validation accuracy of the best trial"))
    if contents.evaluation is not None:
        report = contents.evaluation.report
        low, high = (f"{100 * limit:.1f}" for limit in report["interval"])
        about = f"test accuracy, 95 % interval {low}–{high} %"
        if contents.evaluation.seen:
            about += f", on {contents.unit}s of which {contents.evaluation.seen:,} were trained on"
        facts.append((percent(report["accuracy"]), about))
    else:
        facts.append(("–", "test accuracy: not evaluated yet"))
    if contents.baselines:
        best = max(contents.baselines, key=lambda score: score.accuracy)
        facts.append((percent(best.accuracy), f"{MAJORITY.get(best.name, best.name)}, the best simple model"))
    states = Counter(result.state for result in contents.results)
    about = ", ".join(f"{count:,} {state}" for state, count in states.items())
    facts.append((f"{len(contents.results):,}", f"trials: {about}"))
    cells = "".join(
        f"<div{'' if number else ' class=first'}><b>{value}</b><span>{text}</span></div>"
        for number, (value, text) in enumerate(facts)
    )
    return f'<div class="facts">{cells}</div>'
