"""Adult income and California housing, as well as is known of networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6")

from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from bpcore.sklearn import BackpropClassifier, BackpropRegressor

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def test_adult_income(data_dir: Path) -> None:
    pandas = pytest.importorskip("pandas")
    if not (data_dir / "tabular" / "adult-train.csv").is_file():
        pytest.skip("no tabular data there")
    options = {"header": None, "skipinitialspace": True, "na_values": "?"}
    train, test = (
        pandas.read_csv(data_dir / "tabular" / f"adult-{part}.csv", **options).dropna(subset=[14])
        for part in ("train", "test")
    )
    columns = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="number")),
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            make_column_selector(dtype_exclude="number"),
        ),
    )
    model = make_pipeline(columns, BackpropClassifier(early_stopping=True, random_state=0))
    model.fit(train.iloc[:, :14], train[14].str.startswith(">50K"))
    assert model.score(test.iloc[:, :14], test[14].str.startswith(">50K")) >= 0.85


def test_california_housing(data_dir: Path) -> None:
    path = data_dir / "tabular" / "cal.housing.arff"
    if not path.is_file():
        pytest.skip("no tabular data there")
    lines = path.read_text("utf-8").partition("@data")[2].split()
    table = np.array([line.split(",") for line in lines], float)
    x, test_x, y, test_y = train_test_split(table[:, :-1], table[:, -1] / 1e5, test_size=0.2, random_state=0)
    network = BackpropRegressor((128, 64), early_stopping=True, n_iter_no_change=20, random_state=0)
    model = make_pipeline(StandardScaler(), network).fit(x, y)
    assert model.score(test_x, test_y) >= 0.78
