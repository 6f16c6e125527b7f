"""Real tables that packages ship: penguins, cars, weather, iris, wine, tumours, digits."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
from sklearn import datasets


def shipped(package: str, path: str) -> Path:
    """A file in an installed package, which is not imported."""
    found = find_spec(package)
    assert found is not None
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0], path)


@cache
def penguins() -> pd.DataFrame:
    """344 rows, label `species`: two categories, gaps."""
    return pd.read_csv(shipped("palmerpenguins", "data/penguins.csv"))


@cache
def raw_penguins() -> pd.DataFrame:
    """344 rows, label `Species`: the table of the field work, with ids, comments, dates and constants."""
    return pd.read_csv(shipped("palmerpenguins", "data/penguins-raw.csv"))


@cache
def cars() -> pd.DataFrame:
    """406 rows, label `Origin`: names, dates, gaps."""
    return pd.read_json(shipped("vega_datasets", "_data/cars.json"))


@cache
def weather() -> pd.DataFrame:
    """1,461 rows, label `weather`: dates, five classes, some of them rare."""
    return pd.read_csv(shipped("vega_datasets", "_data/seattle-weather.csv"))


@cache
def of_scikit_learn(name: str) -> pd.DataFrame:
    """A table of scikit-learn, label `target` with the names of the classes."""
    bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    frame: pd.DataFrame = bunch.frame
    return frame.assign(target=bunch.target_names[bunch.target])
