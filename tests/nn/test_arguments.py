"""Arguments that a layer doesn't have: refused when it is made, in its own name."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from bpcore import nn
from bpcore.nn import init

KINDS = {
    name: kind
    for module in (nn, init)
    for name in module.__all__
    if isinstance(kind := getattr(module, name), type) and kind is not nn.Module
}


class Bare(nn.Module):
    """No `__init__`."""

    def __call__(self, x: Any) -> Any:
        return x


class Named:
    """A class to be mixed in, which has one."""

    def __init__(self, name: str = "") -> None:
        self.name = name


class Mixed(nn.Module, Named):
    def __call__(self, x: Any) -> Any:
        return x


@pytest.mark.parametrize("name", KINDS)
def test_an_argument_that_there_is_not_is_refused_in_the_name_of_the_class(name: str) -> None:
    with pytest.raises(
        TypeError, match=rf"^{name}(\.__init__)?\(\) (got an unexpected .* 'other'|takes no )"
    ):
        KINDS[name](other=3)


@pytest.mark.parametrize("name", KINDS)
def test_no_class_takes_any_arguments_by_name(name: str) -> None:
    """So that help() shows all of them."""
    parameters = inspect.signature(KINDS[name]).parameters.values()
    assert all(each.kind is not each.VAR_KEYWORD for each in parameters)


@pytest.mark.parametrize("kind", [Bare, nn.Flatten, nn.GlobalAvgPool2D, nn.SinusoidalPositions, nn.ReLU])
def test_a_module_without_init_takes_none(kind: type[nn.Module]) -> None:
    assert not inspect.signature(kind).parameters
    for arguments, options in (((7,), {}), ((), {"keepdims": True})):
        with pytest.raises(TypeError, match=rf"^{kind.__name__}\(\) takes no arguments"):
            kind(*arguments, **options)


def test_a_module_takes_the_arguments_of_what_it_is_mixed_with() -> None:
    assert Mixed(name="x").name == "x"
    with pytest.raises(TypeError, match="'keepdims'"):
        Mixed(keepdims=True)  # type: ignore[call-arg]


def test_what_bpcore_keeps_belongs_to_each_module_alone() -> None:
    one, other = Bare(), Bare()
    one._bpcore.path = "a"
    assert other._bpcore.path == ""
    assert one._bpcore.path == "a"
    assert not hasattr(Bare, "_bpcore")


def test_a_module_may_be_called_while_one_walks_through_its_copy() -> None:
    """A copy has attributes before bpcore keeps anything with it."""
    copied = nn.Sequential(nn.Dense(2, in_features=2), nn.ReLU()).copy()
    for _ in copied.named_children():
        copied([[1.0, 2.0]])
