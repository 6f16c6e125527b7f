"""The report of a study: complete, self-contained, escaped, of bounded size, and the same for the same study."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from insects import mlp
from insects.baselines import Score
from insects.evaluation import evaluate
from insects.final import FoldResult
from insects.params import ClassWeight, TrialParams
from insects.trial import TrialResult
from search.reports.report import write_report
from search.reports.report_charts import Interval, intervals, linear, logarithmic
from search.reports.report_contents import majority_note, read_contents
from search.reports.report_page import escape, name
from search.reports.report_trials import best_trial_section, search_section, trials_section
from search.store.evaluation_record import EvaluationRecord
from search.store.final_record import FinalRecord
from search.store.study_folder import StudyFolder
from search.study.data import DataRequest, load_data
from tests.support.commands import Finished
from tests.support.studies import a_config, a_failure, a_result, begun_folder

URI = "sqlite:///mlflow.db"
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """A page's elements: which are open, what refers to other files, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.elements: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.references += [value or "" for key, value in attrs if key in {"src", "href", "srcset", "action"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words).replace("\u00a0", " ")


def with_weights(result: TrialResult, folder: StudyFolder) -> TrialResult:
    shape = folder.data().sample.shape
    count = mlp.parameter_count(result.params, shape)
    weights = np.random.default_rng(result.number).standard_normal(count).astype(np.float32)
    return replace(result, weights=weights, parameters=count)


def various(count: int) -> list[TrialResult]:
    generator = np.random.default_rng(0)
    points = [TrialParams(1 + n % 2, 8 + n % 9, float(10 ** generator.uniform(-4, -1)), 16) for n in range(count)]
    return [a_result(number, params, (2.0, 0.1 + 0.01 * number)) for number, params in enumerate(points)]


def a_study(store: Path, results: list[TrialResult]) -> StudyFolder:
    folder = begun_folder(store, a_config())
    for result in results:
        folder.save(with_weights(result, folder) if result.epochs else result)
    return folder


def written(folder: StudyFolder, version: str | None = "1") -> str:
    write_report(folder, URI, version)
    return folder.report.read_text(encoding="utf-8")


def an_evaluation(folder: StudyFolder, version: str = "1", looks: int = 1, seen: int | None = 0) -> EvaluationRecord:
    classes = folder.data().sample.classes
    y = np.arange(10, dtype=np.int32) % len(classes)
    logits = 5 * np.eye(len(classes), dtype=np.float32)[np.where(np.arange(10) == 3, 0, y)]
    return EvaluationRecord(
        version=version,
        source="held-out rows",
        looks=looks,
        seen=seen,
        unit="row",
        report=evaluate(logits, y, classes).as_dict(),
        baselines=[{"name": "majority", "accuracy": 0.2, "loss": 1.6}],
    )


def test_search_writes_its_report_and_logs_it(finished: Finished) -> None:
    path = finished.folder.report
    assert finished.answer["report"] == str(path)
    page = Page(path.read_text(encoding="utf-8"))
    (logged,) = finished.store.glob(f"artifacts/{finished.answer['study']}/*/artifacts/report.html")
    copy = logged.read_text(encoding="utf-8")
    (store,) = set(re.findall(r"--store ([^\s<]+)", copy))  # another test's: copies of the store share these artifacts
    assert copy.replace(store, str(finished.store)) == path.read_text(encoding="utf-8")
    accuracy = finished.answer["final"]["expected_accuracy"]
    assert f"expected accuracy {100 * accuracy:.1f} %" in page.text
    assert f"{accuracy:.4f}" in page.text
    for trial in finished.answer["trials"]:
        if trial["valid_loss"] is not None:
            assert f"{trial['valid_loss']:.4f}" in page.text
    assert f"models:/{finished.answer['model']['name']}/1" in page.text
    assert "gradient boosting" in page.text


def test_page_refers_to_nothing_outside_of_it(finished: Finished) -> None:
    html = finished.folder.report.read_text(encoding="utf-8")
    page = Page(html)
    outside = [place for place in page.references if not place.startswith(("#", "data:image/png;base64,"))]
    assert outside == []
    assert not re.search(r"url\(|@import|https?://", html)
    anchors = {place[1:] for place in page.references if place.startswith("#")}
    assert anchors == set(re.findall(r'<section id="([a-z]+)"', html))


def test_same_study_gives_the_same_report(tmp_path: Path) -> None:
    folder = a_study(tmp_path, various(12))
    assert written(folder) == written(folder)


def test_report_of_a_study_without_a_final_says_that_its_figure_is_too_good(tmp_path: Path) -> None:
    page = Page(written(a_study(tmp_path, various(12))))
    assert "which is too good a figure" in page.text
    assert "There was no final" in page.text
    assert "Learning curves" in page.text


def test_curves_of_a_study_about_a_score_have_the_score_too(tmp_path: Path) -> None:
    folder = begun_folder(tmp_path, a_config(metric="roc-auc"))
    result = a_result(0, losses=(2.0, 0.5), metric="roc-auc")
    folder.save(with_weights(replace(result, best_epoch=2), folder))
    section = best_trial_section(read_contents(folder, URI, "1"))
    assert re.findall(r"<figcaption><b>(.*?)</b>", section) == ["Loss", "Accuracy", "ROC AUC"]
    score = result.history[1, 4]
    assert f"epoch 2: validation ROC AUC {score:.4f}" in section
    assert "training ROC AUC" not in section


@pytest.mark.parametrize("results", [[a_failure(0)], [a_failure(0), *various(3)[1:]], various(1)])
def test_study_of_any_states_has_a_report(results: list[TrialResult], tmp_path: Path) -> None:
    page = Page(written(a_study(tmp_path, results), version=None))
    assert f"{len(results)} trial" in page.text


def test_columns_of_a_table_have_their_importance(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    rows = [(x, "low" if x < 0 else "high", z) for x, z in generator.normal(size=(120, 2)).round(3).tolist()]
    table = tmp_path / "table.csv"
    text = "".join(f"{x},{'<b>' if n % 2 else 'c'},{z},{label}\n" for n, (x, label, z) in enumerate(rows))
    table.write_text("x,kind,z,labels\n" + text, encoding="utf-8")
    data = load_data(DataRequest(train=table, target="labels"), tmp_path)
    folder = StudyFolder(tmp_path / "store" / "trials" / "s")
    folder.make()
    folder.begin(a_config().fingerprint(data), "m-mlp", data)
    folder.save(with_weights(a_result(0, TrialParams(0, 8, 0.01, 32)), folder))
    fold_N = data.fold_rows.draw(2)
    folder.save_folds(fold_N)
    assert data.splits.classes == ("high", "low")
    weights = np.array([[0, 0, 0, 0], [-9, 0, 0, 0]], np.float32)  # x, z, kind=<b>, kind=c
    trial = replace(a_result(0, TrialParams(0, 8, 0.01, 32)), weights=np.append(weights, np.zeros(2, np.float32)))
    y = np.concatenate([data.splits.train_y, data.splits.valid_y])
    folder.save_fold(
        *(FoldResult(trial, f, np.zeros(((fold_N == f).sum(), 2), np.float32), y[fold_N == f]) for f in range(2))
    )
    folder.save_final(FinalRecord("", 2, [0], 0, 0.9, [0.8, 1.0], 0.1))
    page = Page(written(folder))
    assert "Importance of the columns" in page.text
    found = re.findall(r"(\w+)\nloss (\S+) nats, accuracy (\S+) %", page.text)
    assert [name for name, _, _ in found] == ["x", "kind", "z"]
    assert float(found[0][1]) > 1
    assert float(found[0][2].replace("\u2212", "-")) == pytest.approx(-50, abs=10)
    assert {(loss, accuracy) for _, loss, accuracy in found[1:]} == {("+0.000", "+0.0")}
    folder.save_final(FinalRecord("", 2, [], None, None, [], None))
    assert "Importance of the columns" not in written(folder)


@pytest.mark.parametrize(
    ("accuracy", "class_weight", "warned"),
    [(0.98, "none", True), (0.99, "none", True), (0.9905, "none", False), (0.98, "balanced", False)],
)
def test_model_that_is_no_better_than_the_most_frequent_class_has_a_caution(
    accuracy: float, class_weight: ClassWeight, warned: bool
) -> None:
    final = FinalRecord("", 2, [0], 0, accuracy, [0.9, 1.0], 0.1)
    scores = [Score("majority", 0.99, 0.06), Score("logistic regression", 0.5, 0.06)]
    assert ("(0.9900)" in majority_note(final, scores, class_weight)) == warned
    assert majority_note(final, scores[1:], class_weight) == ""
    assert majority_note(None, scores, class_weight) == ""


def test_caution_about_the_accuracy_is_in_the_report(tmp_path: Path) -> None:
    folder = a_study(tmp_path, various(1))
    trial, sample = folder.load(0), folder.data().sample
    assert trial is not None
    folder.save_fold(
        *(FoldResult(trial, f, np.zeros((2, len(sample.classes)), np.float32), sample.valid_y[:2]) for f in range(2))
    )
    folder.save_final(FinalRecord("", 2, [0], 0, 0.9, [0.8, 1.0], 0.1))
    folder.save_baselines([Score("majority", 0.9, 0.5)])
    note = majority_note(folder.final(), folder.baselines(), "none")
    assert note in Page(written(folder)).text
    folder.save_baselines([Score("majority", 0.8, 0.5)])
    assert "Always answering" not in Page(written(folder)).text


def test_study_without_a_trial_has_no_report(tmp_path: Path) -> None:
    folder = a_study(tmp_path, [])
    write_report(folder, URI, None)
    assert not folder.report.exists()


def test_evaluation_is_part_of_the_report(tmp_path: Path) -> None:
    folder = a_study(tmp_path, various(3))
    folder.save_evaluation(an_evaluation(folder))
    assert folder.evaluation() == an_evaluation(folder)
    page = Page(written(folder))
    assert "9 of 10 rows right, accuracy 90.0 %" in page.text
    assert "evaluation 2" not in page.text
    assert (
        page.elements.count("table")
        == Page(written(a_study(tmp_path / "other", various(3)))).elements.count("table") + 4
    )


def test_evaluation_of_another_version_or_of_known_rows_says_so(tmp_path: Path) -> None:
    folder = a_study(tmp_path, various(3))
    folder.save_evaluation(an_evaluation(folder, version="1", looks=2, seen=4))
    text = Page(written(folder, version="2")).text
    assert "That is not version 2" in text
    assert "4 of these rows were part of its training or validation data" in text
    assert "evaluation 2 on these rows" in text


def test_names_of_the_data_cannot_be_markup(tmp_path: Path) -> None:
    column, label = '"><img src=x onerror=alert(1)>', "</title><script>alert(2)</script>"
    rows = [f'{n / 7},{n % 5},"{label}"\n{-n / 7},{n % 3},b&amp;b\n' for n in range(1, 60)]
    table = tmp_path / "<b>.csv"
    quoted = column.replace('"', '""')
    table.write_text(f'"{quoted}",y,labels\n{"".join(rows)}', encoding="utf-8")
    data = load_data(DataRequest(train=table, target="labels"), tmp_path)
    folder = StudyFolder(tmp_path / "store" / "trials" / "<i>s</i>")
    folder.make()
    folder.begin(a_config().fingerprint(data), "m-mlp", data)
    for result in various(3):
        folder.save(with_weights(result, folder))
    folder.save_evaluation(an_evaluation(folder))
    html = written(folder)
    page = Page(html)
    assert column in html_attributes(html)
    assert page.elements.count("script") == 1
    assert "onerror" not in {key for tag in re.findall(r"<[a-z][^>]*>", html) for key in re.findall(r" (\w+)=", tag)}
    assert "b&amp;b" in page.text


def html_attributes(html: str) -> set[str]:
    """The values of all `title` attributes and the texts of a page, as a browser reads them."""
    found: set[str] = set()

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.update(value or "" for key, value in attrs if key == "title")

        def handle_data(self, data: str) -> None:
            found.add(data)

    Reader().feed(html)
    return found


def test_ten_thousand_trials_are_capped_and_counted(tmp_path: Path) -> None:
    folder = a_study(tmp_path, various(2))
    contents = replace(read_contents(folder, URI, "1"), results=various(10_000))
    listed, drawn = trials_section(contents), search_section(contents)
    assert "the 50 best of 10,000 are listed" in listed
    assert "1,000 of 10,000 trials are drawn" in drawn
    assert drawn.count("<circle") < 4_000
    assert len(listed) + len(drawn) < 1_000_000


def test_long_and_unprintable_names_are_shortened_and_shown_on_hovering() -> None:
    assert name("a" * 100, 9) == f'<span title="{"a" * 100}">aaaaaa…aa</span>'
    assert escape("a\x00b\u202e<") == "a\ufffdb\ufffd&lt;"
    assert name("plain") == "plain"


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.97, 0.99), (-3.0, 1e6), (5.0, 5.0)])
def test_linear_axis_holds_its_values_between_round_ticks(low: float, high: float) -> None:
    scale = linear("x", low, high)
    assert scale.low <= low <= high <= scale.high
    assert 2 <= len(scale.ticks) <= 8
    assert scale.share(scale.ticks[0][0]) == pytest.approx(0)
    assert scale.share(scale.ticks[-1][0]) == pytest.approx(1)


def test_logarithmic_axis_has_equal_distances_for_equal_factors() -> None:
    scale = logarithmic("loss", 0.01, 1.0)
    assert scale.share(0.1) - scale.share(0.01) == pytest.approx(scale.share(1.0) - scale.share(0.1))
    assert scale.share(0.0) == 0


def test_far_lower_baseline_is_an_arrow_so_that_the_interval_can_be_seen() -> None:
    own = Interval("expected", 0.99, 0.98, 0.995, is_own=True)
    drawing = intervals("accuracy", "accuracy", [own, Interval("majority", 0.2)])
    assert drawing.count('class="off"') == 1
    assert "majority: 0.2000" in drawing
    start, end = map(float, re.findall(r'class="span" d="M([\d.]+) \d+H([\d.]+)', drawing)[0])
    assert end - start > 10
    assert intervals("accuracy", "accuracy", [own, Interval("majority", 0.97)]).count('class="off"') == 0
