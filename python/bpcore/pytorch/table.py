"""PyTorch's names and layouts for the parameters of each layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from bpcore import nn
from bpcore.nn.affine import Affine
from bpcore.nn.attention.block import Block
from bpcore.nn.recurrent.base import Recurrent
from bpcore.nn.recurrent.cells import Cell
from bpcore.pytorch.layouts import Axes, Column, Counter, GRUBiases, Layout, SummedBiases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bpcore.nn.module.parameter import Variable

__all__ = ["Piece", "parts_of"]


class Piece(NamedTuple):
    """Variables of a layer, by their paths in it, and the names and layout of PyTorch's tensors."""

    own: tuple[str, ...]
    torch: tuple[str, ...]
    layout: Layout


class Parts(NamedTuple):
    """What a layer is made of."""

    pieces: list[Piece]
    variables: dict[str, Variable]  # by the paths of the pieces
    children: dict[str, str]  # path of a module in this one: path in PyTorch's, "" for that of the layer
    known: bool  # whether PyTorch has such a layer


def parts_of(module: nn.Module) -> Parts:
    """The pieces of `module`, and the modules in it that have their own."""
    pieces: list[Piece] = []
    variables = dict(_variables(module))
    children = {path: path for path, child in module.named_children() if isinstance(child, nn.Module)}
    find = next((_TABLE[kind] for kind in type(module).__mro__ if kind in _TABLE), None)
    if find is not None:
        pieces += find(module)
    if isinstance(module, Recurrent):  # a single layer there; what `stateful` carries is not in files
        cells = [(path, child) for path, child in module.named_children() if isinstance(child, Cell)]
        variables = {f"{path}.{name}": each for path, cell in cells for name, each in _variables(cell)}
        children = {}
    if isinstance(module, nn.WeightNorm):
        children["layer"] = ""
    if isinstance(module, Block):
        children = {path: _BLOCK.get(path, torch) for path, torch in children.items()}
    done = {path for piece in pieces for path in piece.own}
    pieces += [Piece((path,), (path,), Axes()) for path in variables if path not in done]
    return Parts(pieces, variables, children, find is not None)


def _variables(module: nn.Module) -> Iterator[tuple[str, Variable]]:
    for path, child in module.named_children():
        if not isinstance(child, nn.Module):
            yield path, child


# PyTorch's names of what the layers of encoders and decoders are made of.
_BLOCK = {
    "attention": "self_attn",
    "cross_attention": "multihead_attn",
    "dense1": "linear1",
    "dense2": "linear2",
}


def _outputs_first(axes: int) -> tuple[int, ...]:
    """From (..., in, out) to (out, in, ...)."""
    return (axes - 1, axes - 2, *range(axes - 2))


def _affine(layer: Any) -> Iterator[Piece]:
    yield Piece(("weight",), ("weight",), Axes(_outputs_first(len(layer.weight.sizes))))


def _norm(layer: Any) -> Iterator[Piece]:
    for name in ("weight", "bias"):
        variable = getattr(layer, name)
        # The sizes of an image: (height, width, channels) here, (channels, height, width) there.
        if variable is not None:
            yield Piece((name,), (name,), Axes((2, 0, 1) if len(variable.sizes) == 3 else None))


def _batch_norm(layer: Any) -> Iterator[Piece]:
    if layer.num_batches_tracked is not None:
        yield Piece(("num_batches_tracked",), ("num_batches_tracked",), Counter())


def _weight_norm(layer: Any) -> Iterator[Piece]:
    axes = len(layer.weight_v.sizes)
    name = "parametrizations.weight.original"
    yield Piece(("weight_g",), (f"{name}0",), Column(axes))
    yield Piece(("weight_v",), (f"{name}1",), Axes(_outputs_first(axes)))


def _cell(cell: Any, own: str = "", suffix: str = "") -> Iterator[Piece]:
    yield Piece((f"{own}weight",), (f"weight_ih{suffix}",), Axes((1, 0)))
    yield Piece((f"{own}recurrent_weight",), (f"weight_hh{suffix}",), Axes((1, 0)))
    if cell.bias is not None:
        biases = (f"bias_ih{suffix}", f"bias_hh{suffix}")
        if isinstance(cell, nn.GRUCell):
            yield Piece((f"{own}bias", f"{own}recurrent_bias"), biases, GRUBiases())
        else:
            yield Piece((f"{own}bias",), biases, SummedBiases())


def _recurrent(layer: Any) -> Iterator[Piece]:
    for depth, cell in enumerate(layer.cells):
        yield from _cell(cell, f"cells.{depth}.", f"_l{depth}")
        if layer.bidirectional:
            yield from _cell(layer.backward_cells[depth], f"backward_cells.{depth}.", f"_l{depth}_reverse")


def _attention(layer: Any) -> Iterator[Piece]:
    names = {"in_weight": "in_proj_weight", "out_weight": "out_proj.weight"}
    names |= {f"{each}_weight": f"{each[0]}_proj_weight" for each in ("query", "key", "value")}
    for own, torch in names.items():
        if hasattr(layer, own):
            yield Piece((own,), (torch,), Axes((1, 0)))
    for own, torch in (("in_bias", "in_proj_bias"), ("out_bias", "out_proj.bias")):
        if getattr(layer, own) is not None:
            yield Piece((own,), (torch,), Axes())


def _same(layer: Any) -> Iterator[Piece]:  # noqa: ARG001 - the others look at it
    yield from ()


# What isn't said here of a layer's parameters is as PyTorch has it: the same name, the same layout.
_TABLE: dict[type, Callable[[Any], Iterator[Piece]]] = {
    Affine: _affine,
    nn.BatchNorm: _batch_norm,
    nn.LayerNorm: _norm,
    nn.RMSNorm: _norm,
    nn.GroupNorm: _same,
    nn.InstanceNorm: _same,
    nn.Embedding: _same,
    nn.PReLU: _same,
    nn.WeightNorm: _weight_norm,
    nn.MultiHeadAttention: _attention,
    Recurrent: _recurrent,
    Cell: _cell,
}
