"""Evaluation reports: metrics of worked examples, intervals equal to SciPy's, text and JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score, log_loss, precision_recall_fscore_support, roc_auc_score

from insects.calibration import softmax
from insects.evaluation import Report, cross_entropy, evaluate, wilson_interval


def report_of(confusion: list[list[int]], classes: tuple[str, ...]) -> Report:
    """Evaluate rows whose confusion matrix is the given one."""
    pairs = [(t, p) for t, row in enumerate(confusion) for p, rows in enumerate(row) for _ in range(rows)]
    true, predicted = np.array(pairs).T
    return evaluate(np.eye(len(classes), dtype=np.float32)[predicted], true.astype(np.int32), classes)


def test_metrics_of_a_small_confusion_matrix_equal_those_worked_by_hand() -> None:
    report = report_of([[3, 1, 0], [1, 4, 0], [0, 0, 0]], ("ant", "bee", "cicada"))
    assert (report.correct, report.total, report.accuracy) == (7, 9, 7 / 9)
    np.testing.assert_array_equal(report.confusion, [[3, 1, 0], [1, 4, 0], [0, 0, 0]])
    ant, bee, cicada = report.per_class
    assert ant == {"name": "ant", "precision": 0.75, "recall": 0.75, "f1": 0.75, "support": 4}
    assert bee == pytest.approx({"name": "bee", "precision": 0.8, "recall": 0.8, "f1": 0.8, "support": 5})
    assert cicada == {"name": "cicada", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}


@pytest.mark.parametrize("classes", [2, 3, 12])
def test_metrics_equal_scikit_learns(classes: int) -> None:
    generator = np.random.default_rng(classes)
    y = generator.integers(0, classes, 300)
    logits = (2 * np.eye(classes)[y] + generator.normal(size=(300, classes))).astype(np.float32)
    report = evaluate(logits, y, tuple(map(str, range(classes))))
    predicted, probability = logits.argmax(axis=1), softmax(logits)
    assert report.balanced_accuracy == pytest.approx(balanced_accuracy_score(y, predicted))
    scores = probability[:, 1] if classes == 2 else probability
    assert report.roc_auc == pytest.approx(roc_auc_score(y, scores, average="macro", multi_class="ovr"))
    assert report.loss == pytest.approx(log_loss(y, probability))
    found = [[row[key] for row in report.per_class] for key in ("precision", "recall", "f1", "support")]
    np.testing.assert_allclose(found, np.array(precision_recall_fscore_support(y, predicted)))


def test_classes_without_rows_count_neither_for_balanced_accuracy_nor_for_auc() -> None:
    report = report_of([[3, 1, 0], [0, 4, 0], [0, 0, 0]], ("ant", "bee", "cicada"))
    assert (report.balanced_accuracy, report.roc_auc) == (7 / 8, None)
    assert report.text().splitlines()[2] == "ROC AUC                 –  not defined, as a class has no rows"
    assert report.as_dict()["roc_auc"] is None


def test_row_whose_logits_are_not_finite_leaves_no_probability_to_judge() -> None:
    logits = np.array([[2, 0], [0, 2], [np.nan, 0]])
    report = evaluate(logits, np.array([0, 1, 1]), ("ant", "bee"))
    assert (report.roc_auc, report.calibration, report.calibration_error) == (None, None, None)
    assert report.balanced_accuracy == 0.75
    calibration = report.text().splitlines()[4]
    assert calibration == "calibration error       –  not defined, as a probability is not finite"


def test_interval_follows_wilsons_formula() -> None:
    report = report_of([[200, 1], [1, 97]], ("ant", "bee"))
    share, z2 = 297 / 299, 1.959963984540054**2
    centre = (share + z2 / 598) / (1 + z2 / 299)
    half = np.sqrt(z2 * (share * (1 - share) / 299 + z2 / (4 * 299**2))) / (1 + z2 / 299)
    assert report.interval == pytest.approx((centre - half, centre + half), abs=1e-12)
    assert report.text().splitlines()[0] == "accuracy           0.9933  297 of 299 right, 95 % interval 0.9759–0.9982"


def test_interval_of_groups_counts_each_group_once() -> None:
    logits_NC = np.eye(2, dtype=np.float32)[[0, 0, 0, 0, 1, 1, 1, 0]]
    y_N = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    alone = evaluate(logits_NC, y_N, ("ant", "bee"))
    report = evaluate(logits_NC, y_N, ("ant", "bee"), groups=["a", "a", "b", "b", "c", "c", "d", "d"])
    assert (alone.groups, report.groups, report.accuracy) == (None, 4, alone.accuracy)
    assert report.interval == pytest.approx(wilson_interval(7 / 8, 4))
    assert report.interval[0] < alone.interval[0]
    assert report.interval[1] > alone.interval[1]
    assert report.text().splitlines()[0].endswith(", each of 4 groups counted once")


@pytest.mark.parametrize(("right", "draws"), [(0, 7), (3, 7), (7, 7), (297, 299)])
def test_interval_equals_scipys(right: int, draws: int) -> None:
    expected = binomtest(right, draws).proportion_ci(0.95, method="wilson")
    assert wilson_interval(right / draws, draws) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_equal_logits_predict_the_lower_class() -> None:
    assert evaluate(np.zeros((2, 2), np.float32), np.array([0, 1]), ("ant", "bee")).correct == 1


def test_loss_is_the_mean_cross_entropy_even_with_large_logits() -> None:
    assert cross_entropy(np.zeros((3, 5)), np.array([0, 1, 4])) == pytest.approx(np.log(5))
    assert cross_entropy(np.array([[1000.0, 0.0]]), np.array([1])) == pytest.approx(1000)


def test_dictionary_of_a_report_is_json() -> None:
    report = report_of([[3, 1], [1, 4]], ("ant", "bee"))
    loaded = json.loads(json.dumps(report.as_dict()))
    assert loaded == report.as_dict()
    assert loaded["confusion"] == [[3, 1], [1, 4]]
    assert loaded["per_class"][1]["name"] == "bee"


def test_text_is_aligned_and_shortens_long_names() -> None:
    lines = report_of([[30, 1], [1, 4]], ("Carabus violaceus purpurascens", "bee")).text().splitlines()
    assert lines == [
        "accuracy           0.9444  34 of 36 right, 95 % interval 0.8186–0.9846",
        "balanced accuracy  0.8839  mean recall of the classes",
        "ROC AUC            0.8839  of two classes; 1 ranks without error, 0.5 is chance",
        "log loss           0.3688  mean cross entropy in nats; 0 is certain and right",
        "calibration error  0.2134  mean gap of confidence and accuracy in 15 bins",
        "",
        "class                 precision  recall      f1  rows",
        "Carabus viola…ascens     0.9677  0.9677  0.9677    31",
        "bee                      0.8000  0.8000  0.8000     5",
        "",
        "true \\ predicted      Carabus viola…ascens  bee",
        "Carabus viola…ascens                    30    1",
        "bee                                      1    4",
    ]


def test_text_of_many_classes_lists_the_most_frequent_mistakes() -> None:
    confusion = np.diag(np.full(30, 5))
    confusion[3, 7], confusion[2, 1] = 4, 2
    lines = report_of(confusion.tolist(), tuple(f"species {c}" for c in range(30))).text().splitlines()
    assert lines[-2:] == ["species 3     species 7     4", "species 2     species 1     2"]


def test_mistakes_that_are_not_listed_are_counted() -> None:
    confusion = np.diag(np.full(30, 5))
    confusion[np.arange(25), np.arange(1, 26)] = 3
    confusion[20, 21] = 1
    lines = report_of(confusion.tolist(), tuple(f"species {c}" for c in range(30))).text().splitlines()
    assert lines[-2:] == ["species 19    species 20     3", "… and 5 more pairs, 13 rows"]


def test_text_of_many_classes_without_mistakes_says_so() -> None:
    confusion = np.diag(np.full(30, 5))
    assert report_of(confusion.tolist(), tuple(map(str, range(30)))).text().endswith("\nno mistakes")


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((0, 2)), np.zeros(0, np.int32), "at least one row"),
        (np.zeros((3, 3)), np.zeros(3, np.int32), r"shape \(3, 2\)"),
        (np.zeros((2, 2)), np.array([0, 2]), r"in \[0, 2\), found 0 to 2"),
        (np.zeros((2, 2)), np.array([-1, 0]), "found -1 to 0"),
    ],
)
def test_inconsistent_arrays_are_refused(logits: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(logits, labels, ("ant", "bee"))
