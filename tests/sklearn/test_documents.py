"""docs/sklearn.md has every parameter with its defaults, and every attribute."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6")

from bpcore.sklearn import BackpropClassifier, BackpropRegressor

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sklearn.md").read_text("utf-8")


def rows(section: str) -> dict[str, str]:
    """The first cell of each row of a section's table -> the second."""
    text = PAGE.partition(f"## {section}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", text, re.MULTILINE))


def test_every_parameter_is_there_with_its_defaults() -> None:
    found = rows("Parameters")
    kinds = [BackpropClassifier().get_params(), BackpropRegressor().get_params()]
    for name in {**kinds[0], **kinds[1]}:
        defaults = dict.fromkeys(repr(each[name]).replace("'", '"') for each in kinds if name in each)
        assert found.pop(name) == ", ".join(f"`{default}`" for default in defaults), name
    assert not found


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_attribute_is_there() -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(np.random.default_rng(0).normal(size=(30, 2)), columns=["a", "b"])
    model = BackpropClassifier(max_iter=2).fit(table, table.a > 0)
    assert rows("Attributes").keys() == {
        name for name in dir(model) if name.endswith("_") and not name.startswith("_")
    }


def test_the_example_runs() -> None:
    code = PAGE.partition("```python\n")[2].partition("```")[0]
    names: dict[str, object] = {}
    exec(code, names)  # noqa: S102
    assert names["search"].best_score_ >= 0.9  # type: ignore[attr-defined]
