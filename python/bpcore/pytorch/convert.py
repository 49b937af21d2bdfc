"""A model's weights as PyTorch names and lays them out, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bpcore.basics.arrays import FLOATS
from bpcore.basics.settings import flag
from bpcore.nn.module import build
from bpcore.nn.module.weights import fits, listed
from bpcore.pytorch.links import links
from bpcore.pytorch.tensors import read

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from bpcore.basics.arrays import Array
    from bpcore.nn import Module
    from bpcore.nn.module.parameter import Variable
    from bpcore.pytorch.links import Link

__all__ = ["Unmatched", "load_state_dict", "state_dict"]

_COUNTER = "num_batches_tracked"  # of every BatchNorm in PyTorch; here only of those that use it


class Unmatched(NamedTuple):
    """What `load_state_dict` found no partner for."""

    missing: list[str]  # PyTorch's names of what the model has, and the tensors don't
    unexpected: list[str]  # names of tensors that the model has no place for


def state_dict(
    model: Module,
    names: Mapping[str, str] | None = None,
    *,
    flatten: Mapping[str, Sequence[int] | None] | None = None,
) -> dict[str, Array]:
    """The parameters and states of `model` as arrays in PyTorch's layout, by PyTorch's names.

    They are what an equal PyTorch model's ``state_dict()`` would be, and what its ``load_state_dict`` takes,
    as tensors. Copies: nothing is shared with `model`.

    Args:
        model: a module whose parameters exist or can, its sizes being known.
        names: paths of layers or parameters in `model` -> what they are called in PyTorch: ``{"0": "fc1"}``,
            ``{"0.weight": "fc1.weight"}``, ``{"": "backbone"}`` for the whole. What is below a layer follows
            it. Without, the paths are the same; in a Sequential, all layers count, those without parameters
            too.
        flatten: path of a Dense -> shape (channels, ...) of the images that are flattened before it, which
            PyTorch has in another order, or None if it hasn't. It is found out for a `nn.Flatten` in a
            `nn.Sequential`.

    Raises RuntimeError if sizes are not known yet; ValueError for names of nothing, tensors that would have
    the same name, and a Flatten whose order isn't known; TypeError for arguments of another kind.
    """
    groups = links("pytorch.state_dict", model, names, flatten)
    model._exist()
    found: dict[str, Array] = {}
    for link in (link for group in groups for link in group):
        tensors = link.layout.to_torch([variable.value for variable in link.variables])
        for name, tensor in zip(link.names, tensors, strict=True):
            found[name] = np.array(tensor, order="C")
    return found


def load_state_dict(
    model: Module,
    tensors: Mapping[str, Any] | str | os.PathLike[str],
    names: Mapping[str, str] | None = None,
    strict: bool = True,
    *,
    flatten: Mapping[str, Sequence[int] | None] | None = None,
) -> Unmatched:
    """Gives `model` the values of a PyTorch model.

    A model that doesn't exist yet takes its sizes and dtype from the tensors. Nothing is said of settings
    without weights: activations, eps and the like have to be equal, too.

    Args:
        model: a module.
        tensors: a PyTorch model's ``state_dict()``, or any mapping of names to tensors or arrays; or the path
            of a safetensors file. float16 and bfloat16 are widened.
        names, flatten: as for `state_dict`.
        strict: False loads what there is, and leaves the rest of the model as it is.

    Returns what was missing and unexpected, empty lists if `strict`. A BatchNorm's num_batches_tracked that
    isn't used here is neither.

    Raises ValueError, and changes nothing, if tensors are missing or unexpected, if one has another shape, a
    dtype that doesn't fit, if tied ones differ, and for a file that is damaged; and as `state_dict` does.
    """
    who = "pytorch.load_state_dict"
    strict = flag(who, "strict", strict)
    groups = links(who, model, names, flatten)
    source, given = read(who, tensors)
    expected = {name for group in groups for link in group for name in link.names}
    unexpected = [n for n in given if n not in expected and n.rpartition(".")[2] != _COUNTER]
    missing: list[str] = []
    present: list[Link] = []
    for group in groups:
        whole = [link for link in group if all(name in given for name in link.names)]
        present += whole
        if not whole:
            missing += [name for name in group[0].names if name not in given]
    wrong = {
        "missing": missing if strict else [],
        "unexpected": sorted(unexpected) if strict else [],
        "of another shape": _misshapen(present, given),
        "of a dtype that does not fit": _unfit(present, given),
    }
    problems = [f"{what}: {listed(each)}" for what, each in wrong.items() if each]
    if problems:
        raise ValueError(f"{source} does not fit this model; {'; '.join(problems)}")
    _assign(model, _values(source, present, given))
    return Unmatched(missing, sorted(unexpected))


def _misshapen(present: list[Link], given: dict[str, Array]) -> list[str]:
    return [
        f"{name} is {given[name].shape}, not {sizes}".replace("None", "?")
        for link in present
        for name, sizes in zip(link.names, link.shapes(), strict=True)
        if not fits(sizes, given[name].shape)
    ]


def _unfit(present: list[Link], given: dict[str, Array]) -> list[str]:
    """Those that are no floats, and float64 ones for what is float32."""
    found = []
    for link in present:
        narrow = any(each.storage is not None and each.dtype == "float32" for each in link.variables)
        for name in link.names:
            kind = given[name].dtype.name
            counter = name.rpartition(".")[2] == _COUNTER
            if not counter and (kind not in FLOATS or (narrow and kind == "float64")):
                found.append(f"{name} ({kind})")
    return found


def _values(source: str, present: list[Link], given: dict[str, Array]) -> list[tuple[Variable, Array]]:
    """The variables with their new values; ValueError if tied ones were to have two."""
    found: dict[int, tuple[Variable, Array, str]] = {}
    for link in present:
        try:
            arrays = link.layout.from_torch([given[name] for name in link.names])
        except ValueError as error:  # the size of flattened images, which only the tensor tells
            raise ValueError(f"{source} does not fit this model; {link.names[0]}: {error}") from None
        for variable, array in zip(link.variables, arrays, strict=True):
            _, known, name = found.setdefault(id(variable), (variable, array, link.names[0]))
            if known is not array and not np.array_equal(known, array, equal_nan=True):
                raise ValueError(
                    f"{source} does not fit this model; {name} and {link.names[0]} differ, but are one "
                    "parameter here"
                )
    return [(variable, array) for variable, array, _ in found.values()]


def _assign(model: Module, values: list[tuple[Variable, Array]]) -> None:
    """Writes the values, or makes the parameters exist with them, as far as all sizes are known then."""
    existing = [(variable, array) for variable, array in values if variable.storage is not None]
    fresh = [(variable, array) for variable, array in values if variable.storage is None]
    with build.attempt(model):
        for variable, array in fresh:
            variable.infer(array.shape)
            variable.given = np.array(array, order="C")
        everything = [variable for _, variable in model.named_variables()]
        if fresh and all(variable.known for variable in everything):
            build.pack(model, 0, build.dtype_of(model) or "float32")
    for variable, array in existing:
        variable.value[...] = array
