"""docs/vocabulary.md, docs/ops.md and the package: every name is in a table, and what it says of it is so."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import bpcore as bp
from bpcore import (
    activations,
    callbacks,
    data,
    decoding,
    losses,
    metrics,
    nn,
    ops,
    optim,
    plotting,
    schedules,
)
from bpcore.engine.control import GradientControl
from bpcore.nn.activations import resolve as resolve_activation
from tests.training.schedule_cases import EVERY
from tests.training.test_optimizer import FORMULAS

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = (DOCS / "vocabulary.md", DOCS / "ops.md")

# The column heads that stand for a module whose names are all in the tables.
COMPLETE: dict[str, Any] = {
    "activations": activations,
    "callbacks": callbacks,
    "decoding": decoding,
    "losses": losses,
    "metrics": metrics,
    "nn": nn,
    "nn.init": nn.init,
    "ops": ops,
    "optim": optim,
    "plotting": plotting,
    "schedules": schedules,
}
# Those of which the tables have a part; for functions, it is their arguments.
PARTIAL: dict[str, set[str]] = {
    "data": set(data.__all__),
    "Trainer": set(inspect.signature(bp.Trainer).parameters),
    "Trainer.fit": set(inspect.signature(bp.Trainer.fit).parameters),
    "nn.Module": set(dir(nn.Module)),
}


class Row(NamedTuple):
    """The cells of a table's row, by the heads of their columns, without backticks around heads."""

    section: str
    cells: dict[str, str]

    def names(self, head: str) -> list[str]:
        return re.findall(r"`([^`]+)`", self.cells.get(head, ""))

    def strings(self) -> list[str]:
        return re.findall(r'`"([^"`]+)"`', self.cells.get("string", ""))


def rows_of(text: str) -> list[Row]:
    """All rows of the tables in a page of Markdown, in order."""
    found: list[Row] = []
    section, heads = "", None
    for line in text.splitlines():
        if line.startswith("#"):
            section = line.lstrip("# ")
        if not line.startswith("|"):
            heads = None
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if heads is None:
            heads = [cell.strip("`") for cell in cells]
        elif set(line) - set("|-"):
            found.append(Row(section, dict(zip(heads, cells, strict=True))))
    return found


ROWS = [row for page in PAGES for row in rows_of(page.read_text("utf-8"))]


def _named(head: str) -> list[str]:
    return [name for row in ROWS for name in row.names(head)]


def test_the_tables_are_read() -> None:
    head = "# Kind\n\n| `losses` | string |\n|---|---|\n"
    first, second = rows_of(head + '| `mae` | `"mae"`, `"l1"` |\n| `x` | \\|d\\| |\n\n| `nn` |\n')
    assert (first.section, first.names("losses"), first.strings()) == ("Kind", ["mae"], ["mae", "l1"])
    assert (second.names("losses"), second.strings(), second.cells["string"]) == (["x"], [], r"\|d\|")
    assert {head for row in ROWS for head in row.cells} >= {*COMPLETE, *PARTIAL, "string", "PyTorch"}


# Names


@pytest.mark.parametrize("head", COMPLETE)
def test_every_public_name_is_in_a_table_once(head: str) -> None:
    counted, public = Counter(_named(head)), set(COMPLETE[head].__all__)
    missing = sorted(public - set(counted))
    page = "docs/ops.md" if head == "ops" else "docs/vocabulary.md"
    assert not missing, f"{page} has no row for {head}: {', '.join(missing)}"
    unknown = sorted(set(counted) - public)
    assert not unknown, f"{page} has rows for what {head} does not export: {', '.join(unknown)}"
    assert max(counted.values()) == 1, f"{page} has two rows of {head} for one name: {counted}"


@pytest.mark.parametrize("head", PARTIAL)
def test_every_name_of_a_partial_table_exists(head: str) -> None:
    unknown = set(_named(head)) - PARTIAL[head]
    assert not unknown, f"docs/vocabulary.md has rows for what {head} does not have: {unknown}"


def test_all_ways_to_control_gradients_are_in_the_table() -> None:
    assert {each.name for each in dataclasses.fields(GradientControl)} <= set(_named("Trainer"))


def test_every_cell_says_something() -> None:
    empty = [row for row in ROWS for head, cell in row.cells.items() if not cell and head != "string"]
    assert empty == []


# Strings


def _is_activation(name: str, string: str) -> bool:
    found = resolve_activation(string)
    if isinstance(found, nn.Module):
        kind = type(found).__name__
        return any(row.names("activations") == [name] for row in ROWS if kind in row.names("nn"))
    return found is getattr(activations, name)


def _is_metric(name: str, string: str) -> bool:
    found = metrics.resolve([string], losses.resolve("mse"))[0][string]
    return getattr(metrics, name) in (found, type(found))


# By column: whether a string means the thing of a name, and what raises an error that lists all strings.
STRINGS: dict[str, tuple[Callable[[str, str], bool], Callable[[str], Any]]] = {
    "activations": (_is_activation, resolve_activation),
    "losses": (lambda name, string: losses.resolve(string).name == name, losses.resolve),
    "metrics": (_is_metric, lambda string: metrics.resolve([string], losses.resolve("mse"))),
    "nn.init": (
        lambda name, string: type(nn.init.resolve(string)) is getattr(nn.init, name),
        nn.init.resolve,
    ),
    "optim": (lambda name, string: type(optim.resolve(string)) is getattr(optim, name), optim.resolve),
    "schedules": (
        lambda name, string: getattr(schedules, name).name == string,
        lambda string: schedules.from_config({"name": string}),
    ),
}


def test_strings_stand_beside_the_names_of_one_of_these_modules() -> None:
    assert all(set(row.cells) & set(STRINGS) for row in ROWS if row.strings())


@pytest.mark.parametrize("head", STRINGS)
def test_strings_mean_what_stands_beside_them_and_none_is_missing(head: str) -> None:
    means, resolve = STRINGS[head]
    given = [(name, string) for row in ROWS for name in row.names(head) for string in row.strings()]
    assert [(name, string) for name, string in given if not means(name, string)] == []
    with pytest.raises(ValueError, match="unknown .* known: ") as caught:
        resolve("?")
    known = str(caught.value).partition("known: ")[2].split(", ")
    assert sorted(string for _, string in given) == known, f"strings of docs/vocabulary.md beside {head}"


def test_the_module_of_an_activation_is_its_function() -> None:
    x = np.random.default_rng(0).normal(size=(3, 4))
    for row in ROWS:
        if row.section == "Activations":
            (function,), (module,) = row.names("activations"), row.names("nn")
            weight = (0.25,) if function == "prelu" else ()
            expected = getattr(activations, function)(x.astype(np.float32), *weight)
            np.testing.assert_array_equal(getattr(nn, module)()(x.astype(np.float32)), expected)


# Tests of each: of values for what is in tables of cases, of gradients here, of one case each.


def test_every_optimizer_is_among_those_whose_steps_are_checked() -> None:
    strings = [string for row in ROWS if "optim" in row.cells for string in row.strings()]
    classes = {type(optim.resolve(string)) for string in strings}
    checked = {type(optimizer) for optimizer, _ in FORMULAS.values()}
    checked.add(optim.LBFGS)  # in tests/golden/test_lbfgs.py
    assert checked == classes, "FORMULAS in tests/training/test_optimizer.py has no case, or one too many"


def test_every_schedule_is_among_those_whose_rates_are_checked() -> None:
    names = {name for row in ROWS if "rate" in row.cells for name in row.names("schedules")}
    assert {type(schedule).__name__ for schedule in EVERY.values()} == names


RNG = np.random.default_rng(3)
X, T = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 3))
CLASSES, SIGNS, SHARES = np.array([0, 2, 1, 0]), np.where(T > 0, 1.0, -1.0), RNG.dirichlet(np.ones(3), 4)

LOSSES: dict[str, Callable[[Any], Any]] = {
    "binary_cross_entropy": lambda x: losses.binary_cross_entropy(x, SHARES),
    "cosine_similarity": lambda x: losses.cosine_similarity(x, T),
    "cross_entropy": lambda x: losses.cross_entropy(x, CLASSES),
    "ctc": lambda x: losses.ctc(ops.reshape(x, (1, 4, 3)), np.array([[1, 1, -1]])),
    "focal": lambda x: losses.focal(x, SHARES),
    "gaussian_nll": lambda x: losses.gaussian_nll((x, ops.exp(0.3 * x)), T),
    "hinge": lambda x: losses.hinge(x, SIGNS),
    "huber": lambda x: losses.huber(x, T),
    "kl_divergence": lambda x: losses.kl_divergence(ops.log_softmax(x), SHARES),
    "log_cosh": lambda x: losses.log_cosh(x, T),
    "mae": lambda x: losses.mae(x, T),
    "mse": lambda x: losses.mse(x, T),
    "multi_margin": lambda x: losses.multi_margin(x, CLASSES),
    "nll": lambda x: losses.nll(ops.log_softmax(x), CLASSES),
    "poisson_nll": lambda x: losses.poisson_nll(x, SHARES),
    "quantile": lambda x: losses.quantile(x, T, q=0.3),
    "smooth_l1": lambda x: losses.smooth_l1(x, T),
    "squared_hinge": lambda x: losses.squared_hinge(x, SIGNS),
    "triplet_margin": lambda x: losses.triplet_margin(x, T, SHARES, margin=5.0),
}
LAYERS: dict[str, Callable[[], Any]] = {
    "AlphaDropout": lambda: nn.AlphaDropout(0.3),
    "BatchNorm": nn.BatchNorm,
    "Dropout": lambda: nn.Dropout(0.3),
    "GaussianNoise": lambda: nn.GaussianNoise(0.5),
    "GroupNorm": lambda: nn.GroupNorm(2),
    "InstanceNorm": nn.InstanceNorm,
    "LayerNorm": nn.LayerNorm,
    "RMSNorm": nn.RMSNorm,
    "WeightNorm": lambda: nn.WeightNorm(nn.Dense(3, "tanh")),
}
TERMS: dict[str, Callable[[Any], Any]] = {"L1": nn.L1(0.3), "L2": nn.L2(0.3), "L1L2": nn.L1L2(0.2, 0.3)}
WITHOUT_GRADIENTS = {"MaxNorm", "NonNegative", "fold_batch_norm"}


def test_every_loss_layer_and_term_has_its_gradient_checked() -> None:
    def names(head: str, *sections: str, formula: str) -> set[str]:
        return {
            n for row in ROWS if row.section in sections and formula in row.cells for n in row.names(head)
        }

    assert names("losses", "Losses", formula="loss of an element") == set(LOSSES)
    norms = names("nn", "Normalisation", formula="mean and variance")
    rest = names("nn", "Regularisation", formula="what it is")
    assert norms | rest == {*LAYERS, *TERMS, *WITHOUT_GRADIENTS}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_of_a_loss(name: str) -> None:
    bp.check_gradients(LOSSES[name], X)


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_of_a_layer_in_training(name: str) -> None:
    x = np.random.default_rng(5).normal(size=(3, 5, 4))
    layer = LAYERS[name]()
    layer.build((None, 5, 4), dtype="float64")
    with bp.training(1):
        bp.check_gradients(layer, x)


@pytest.mark.parametrize("name", TERMS)
def test_gradients_of_a_term(name: str) -> None:
    bp.check_gradients(TERMS[name], X)
