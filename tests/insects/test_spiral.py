"""The built-in data: the generator, its files, and where an installed package finds them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from insects.spiral import ARMS, FEATURES, builtin_tables, spiral, write
from tests.support.tables import read_numbers

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT.parent / "shared" / "data" / "insects_train.csv"


def angle_noise(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The noise in each point's angle. The radius of a point gives its place on the arm, and so the exact angle."""
    place = np.hypot(x[:, 0], x[:, 1])
    residual = np.arctan2(x[:, 0], x[:, 1]) - 5 * (y + place)
    noise = (residual + np.pi) % (2 * np.pi) - np.pi
    return np.asarray(noise[place > 0])


def test_files_hold_what_the_generator_draws() -> None:
    x, y = spiral(0)
    train, test = builtin_tables()
    np.testing.assert_allclose(np.concatenate([train.x, test.x]), x, atol=1e-6, rtol=0)
    np.testing.assert_array_equal(np.concatenate([train.y, test.y]), y)


def test_first_points_are_the_same_in_every_version() -> None:
    x, y = spiral(0)
    np.testing.assert_allclose(
        x[:3], [[-0.250718446, 0.205876586], [0.133695358, 0.788070913], [-0.06721517, 0.470135828]], atol=1e-9
    )
    assert y[:3].tolist() == [2, 3, 2]


def test_written_files_equal_the_packaged_ones(tmp_path: Path) -> None:
    write(tmp_path)
    for name in ("insects_train.csv", "insects_test.csv"):
        written, packaged = (
            np.loadtxt(folder / name, delimiter=",", skiprows=1) for folder in (tmp_path, ROOT / "data")
        )
        np.testing.assert_allclose(written, packaged, atol=1e-6, rtol=0)
        assert (tmp_path / name).read_text().splitlines()[0] == "labels,feature1,feature2"


def test_builtin_tables_have_1200_and_300_rows_of_five_classes() -> None:
    train, test = builtin_tables()
    assert (train.x.shape, test.x.shape) == ((1200, 2), (300, 2))
    assert train.features == test.features == FEATURES
    assert train.classes == test.classes == ("0", "1", "2", "3", "4")
    assert (np.bincount(train.y) + np.bincount(test.y)).tolist() == [300] * ARMS
    assert train.x.dtype == np.float32
    assert train.x.flags.c_contiguous


@pytest.mark.parametrize("name", ["insects_train.csv", "insects_test.csv"])
def test_builtin_table_equals_its_file_read_as_a_table(name: str) -> None:
    table = read_numbers(ROOT / "data" / name)
    builtin = builtin_tables()[name == "insects_test.csv"]
    np.testing.assert_array_equal(table.x, builtin.x)
    np.testing.assert_array_equal(table.y, builtin.y)
    assert (table.features, table.classes) == (builtin.features, builtin.classes)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_points_lie_on_five_arms_with_normal_angles(seed: int) -> None:
    x, y = spiral(seed, per_class=2000)
    assert np.bincount(y).tolist() == [2000] * ARMS
    for arm in range(ARMS):
        radius = np.sort(np.sqrt((x[y == arm] ** 2).sum(axis=1)))
        np.testing.assert_allclose(radius, np.linspace(0, 1, 2000), atol=1e-12)
    noise = angle_noise(x, y) / 0.1
    # Five standard errors of 10,000 normal draws; the fourth moment of the normal distribution is 3.
    assert abs(noise.mean()) < 0.05
    assert abs(noise.std() - 1) < 0.036
    assert abs((noise**4).mean() - 3) < 0.5


def test_statistics_equal_those_of_the_reference_table() -> None:
    x, _ = spiral(0)
    # Reference, of 1200 rows: std 0.406383 and 0.407423, means -0.005 and -0.012, correlation -0.01.
    np.testing.assert_allclose(x.std(axis=0, ddof=1), [0.406383, 0.407423], atol=0.01)
    np.testing.assert_allclose(x.mean(axis=0), [0, 0], atol=0.02)
    assert abs(np.asarray(np.corrcoef(x.T))[0, 1]) < 0.05


@pytest.mark.skipif(not REFERENCE.exists(), reason="the reference tables are not beside the project")
def test_reference_table_follows_the_same_distribution() -> None:
    table = read_numbers(REFERENCE)
    noise = angle_noise(table.x.astype(np.float64), table.y)
    assert abs(noise.mean()) < 0.015
    assert abs(noise.std() - 0.1) < 0.011


def test_rows_are_shuffled() -> None:
    _, y = spiral(0)
    assert np.count_nonzero(np.diff(y)) > 1100  # 1200 of 1499 neighbours differ on average


def test_points_follow_from_the_seed() -> None:
    x, y = spiral(3)
    np.testing.assert_array_equal(x, spiral(3)[0])
    np.testing.assert_array_equal(y, spiral(3)[1])
    assert not np.isin(x[x != 0], spiral(4)[0]).any()  # all arms begin at the origin


def test_installed_package_reads_its_own_files_from_anywhere(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "insects", tmp_path / "site" / "insects")
    shutil.copytree(ROOT / "data", tmp_path / "site" / "insects" / "builtin")
    code = "from insects.spiral import builtin_tables; print([len(t.y) for t in builtin_tables()])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[1200, 300]\n"
