"""nn.fold_batch_norm: the same function with fewer layers, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, optim


def _settled(model: nn.Module, dtype: str = "float32", features: int = 4) -> Any:
    """`model` with values of their own in all arrays."""
    model.build(features, dtype=dtype)
    return _filled(model)


def _filled(model: Any) -> Any:
    for i, (name, variable) in enumerate(model.named_variables()):
        rng = np.random.default_rng(i)
        if name.endswith("running_var"):
            variable.value[...] = rng.uniform(0.1, 3, variable.shape)
        else:
            variable.value[...] += rng.normal(0, 0.5, variable.shape)
    return model


def _kinds(model: Any) -> list[str]:
    return [type(layer).__name__ for layer in model.layers]


def _assert_same(folded: nn.Module, model: nn.Module, dtype: str = "float32", features: int = 4) -> None:
    x = np.random.default_rng(0).normal(size=(50, features)).astype(dtype)
    expected = model(x)
    assert folded(x).dtype == dtype
    error = np.abs(folded(x) - expected).max() / np.abs(expected).max()
    assert error <= {"float32": 1e-6, "float64": 1e-12}[dtype]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("activation", [None, "linear", nn.Identity()])
def test_it_computes_the_same(activation: Any, use_bias: bool, affine: bool, dtype: str) -> None:
    model = _settled(
        nn.Sequential(
            nn.Dense(8, activation, use_bias=use_bias), nn.BatchNorm(affine=affine), nn.ReLU(),
            nn.Dense(6, use_bias=use_bias), nn.BatchNorm(eps=0.1, momentum=None), nn.Tanh(), nn.Dense(3),
        ), dtype,
    )  # fmt: skip
    folded = nn.fold_batch_norm(model)
    assert _kinds(folded) == ["Dense", "Identity", "ReLU", "Dense", "Identity", "Tanh", "Dense"]
    _assert_same(folded, model, dtype)
    assert list(folded.parameters) == [f"{i}.{name}" for i in (0, 3, 6) for name in ("weight", "bias")]
    assert not any(variable.is_state for _, variable in folded.named_variables())


def test_it_costs_nothing_that_a_batch_norm_was_there() -> None:
    model = _settled(nn.Sequential(nn.Dense(8), nn.BatchNorm(), nn.ReLU()))
    folded = nn.fold_batch_norm(model)
    folded(np.zeros((5, 4), np.float32))
    (compiled,) = folded._bpcore.plans._entries.values()
    assert compiled.plan.instructions == ["dense[relu] (5, 8)"]


def test_the_original_is_untouched_and_shares_nothing() -> None:
    model = _settled(nn.Sequential(nn.Dense(8), nn.BatchNorm(), nn.ReLU(), nn.Dense(3)))
    before = {name: variable.value.copy() for name, variable in model.named_variables()}
    folded = nn.fold_batch_norm(model)
    for value in folded.parameters.values():
        value += 1
    assert _kinds(model) == ["Dense", "BatchNorm", "ReLU", "Dense"]
    assert {name for name, _ in model.named_variables()} == set(before)
    for name, variable in model.named_variables():
        np.testing.assert_array_equal(variable.value, before[name])


def test_a_trained_model_folds_and_the_folded_one_trains_on() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 4)), rng.integers(0, 3, 200)
    model = nn.Sequential(nn.Dense(16), nn.BatchNorm(), nn.ReLU(), nn.Dense(3))
    trainer = bp.Trainer(model, "cross_entropy", optim.SGD(0.1))
    trainer.fit(x, y, epochs=3, progress=False)
    folded = nn.fold_batch_norm(model)
    _assert_same(folded, model)
    again = bp.Trainer(folded, "cross_entropy", optim.SGD(0.1))
    loss = again.evaluate(x, y)["loss"]
    assert loss == pytest.approx(trainer.evaluate(x, y)["loss"], rel=1e-5)
    assert again.fit(x, y, epochs=3, progress=False)["loss"][-1] < loss


class _Block(nn.Module):
    """A module of one's own around a Sequential."""

    def __init__(self, net: nn.Module) -> None:
        self.net = net

    def __call__(self, x: Any) -> Any:
        return x + self.net(x)


@pytest.mark.parametrize(
    ("make", "left"),
    [
        (lambda d, b: nn.Sequential(nn.Sequential(d(4), b()), nn.Sequential(nn.Sequential(d(4), b()))), 0),
        (lambda d, b: nn.Sequential(nn.Sequential(nn.ReLU(), d(4)), b(), d(3)), 0),
        (lambda d, b: nn.Sequential(d(4), nn.Sequential(b(), nn.ReLU()), d(3)), 0),
        (lambda d, b: nn.Sequential(_Block(nn.Sequential(d(4), b(), nn.ReLU())), d(3)), 0),
        (lambda d, b: _Block(nn.Sequential(d(4), b())), 0),
        (lambda d, b: nn.Sequential(b(), d(4), nn.ReLU(), b(), d(3)), 2),
        (lambda d, b: nn.Sequential(d(4, "relu"), b(), d(3)), 1),
        (lambda d, b: nn.Sequential(d(4), lambda h: 2 * h, b()), 1),
        (lambda d, b: nn.Sequential(d(4), nn.LayerNorm(), b()), 1),
        (lambda d, b: nn.Sequential(nn.WeightNorm(d(4)), b()), 1),
        (lambda d, b: nn.Sequential(_Block(d(4)), b()), 1),
    ],
)
def test_which_ones_go_and_which_stay(make: Any, left: int) -> None:
    model = _settled(make(nn.Dense, nn.BatchNorm))
    folded = nn.fold_batch_norm(model)
    assert sum(isinstance(each, nn.BatchNorm) for _, each in folded.named_modules()) == left
    _assert_same(folded, model)


def test_layers_used_in_several_places_keep_their_meaning() -> None:
    first, second, third = (nn.Dense(4, in_features=4) for _ in range(3))
    norm, inner = nn.BatchNorm(4), nn.Sequential(nn.Dense(4, in_features=4))
    third.weight = first.weight
    models = [
        (nn.Sequential(first, norm, nn.ReLU(), first), 1),  # the Dense comes twice
        (nn.Sequential(first, norm, nn.ReLU(), second, norm), 0),  # the BatchNorm does
        (nn.Sequential(inner, norm, nn.ReLU(), inner), 1),  # a Sequential does
        (nn.Sequential(third, norm, nn.ReLU(), first), 1),  # a weight does
    ]
    for made, left in models:
        model = made.copy()
        model.parameters  # noqa: B018 - makes them exist
        _filled(model)
        folded = nn.fold_batch_norm(model)
        assert sum(isinstance(each, nn.BatchNorm) for _, each in folded.named_modules()) == left
        _assert_same(folded, model)


def test_statistics_of_the_batch_cannot_be_folded() -> None:
    model = _settled(nn.Sequential(nn.Dense(5), nn.BatchNorm(track_running_stats=False)))
    folded = nn.fold_batch_norm(model)
    assert _kinds(folded) == ["Dense", "BatchNorm"]
    _assert_same(folded, model)


class _Doubled(nn.Dense):
    def __call__(self, x: Any) -> Any:
        return super().__call__(x) ** 2


def test_a_derived_layer_that_computes_something_else_stays() -> None:
    model = _settled(nn.Sequential(_Doubled(5), nn.BatchNorm()))
    folded = nn.fold_batch_norm(model)
    assert _kinds(folded) == ["_Doubled", "BatchNorm"]
    _assert_same(folded, model)


def test_what_cannot_be_folded_is_refused() -> None:
    with pytest.raises(TypeError, match="fold_batch_norm: model must be a nn.Module, got int"):
        nn.fold_batch_norm(3)  # type: ignore[type-var]
    with pytest.raises(RuntimeError, match="not known yet"):
        nn.fold_batch_norm(nn.Sequential(nn.Dense(3), nn.BatchNorm()))


def test_a_model_without_parameters_is_copied() -> None:
    x = np.ones((2, 3))
    np.testing.assert_array_equal(nn.fold_batch_norm(nn.Sequential(nn.ReLU()))(x), x)
