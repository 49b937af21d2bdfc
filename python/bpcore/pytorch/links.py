"""Which tensors of a PyTorch model belong to which parameters and states of one here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bpcore import nn
from bpcore.pytorch.flattening import orders
from bpcore.pytorch.layouts import Axes, Layout, Order, Sizes
from bpcore.pytorch.table import Piece, parts_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bpcore.nn.module.parameter import Variable

__all__ = ["Link", "links"]


@dataclass(frozen=True)
class Link:
    """Variables at one place of a model, and PyTorch's tensors for them."""

    own: tuple[str, ...]  # paths
    names: tuple[str, ...]  # of the tensors
    variables: tuple[Variable, ...]
    layout: Layout
    known: bool  # whether a layer that PyTorch has says so

    def shapes(self) -> list[Sizes]:
        """The tensors' shapes."""
        return self.layout.shapes([variable.sizes for variable in self.variables])


def links(who: str, model: nn.Module, names: Any, flatten: Any) -> list[list[Link]]:
    """The links of all variables that PyTorch has, those of the same ones (which are tied) side by side.

    The first of each group says the layout. Raises TypeError if `model` is no module or `names` no mapping of
    strings, ValueError for names of nothing, two tensors of one name, and what `flattening.orders` refuses.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"{who}: model must be a nn.Module, got {type(model).__name__}")
    walk = _Walk(who, _checked_names(who, names))
    found = list(walk.links(model, "", walk.names.get("", "")))
    unknown = sorted(walk.names.keys() - walk.used - {""})
    if unknown:
        raise ValueError(
            f"{who}: names has {', '.join(unknown)}, but the model has no such layer or parameter"
        )
    owners: dict[str, Link] = {}
    for link in found:
        for name in link.names:
            other = owners.setdefault(name, link)
            if list(map(id, other.variables)) != list(map(id, link.variables)):
                both = f"{other.own[0]} and {link.own[0]}"
                raise ValueError(f"{who}: {both} would both be PyTorch's {name}; give them other names")
    flat = orders(who, model, flatten)
    groups: dict[tuple[int, ...], list[Link]] = {}
    for link in found:
        groups.setdefault(tuple(map(id, link.variables)), []).append(link)
    return [_with_one_layout(group, flat) for group in groups.values()]


def _checked_names(who: str, names: Any) -> dict[str, str]:
    if names is None:
        return {}
    if not isinstance(names, Mapping) or not all(
        isinstance(each, str) for pair in names.items() for each in pair
    ):
        raise TypeError(f"{who}: names must map paths in the model to PyTorch's, got {names!r}")
    return dict(names)


def _join(prefix: str, path: str) -> str:
    return f"{prefix}.{path}" if prefix and path else prefix or path


class _Walk:
    """A walk through a model, with the names that its places were given."""

    def __init__(self, who: str, names: dict[str, str]) -> None:
        self.who = who
        self.names = names
        self.used: set[str] = set()
        self._above: list[nn.Module] = []

    def links(
        self, module: nn.Module, path: str, torch: str, hidden: Variable | None = None
    ) -> Iterator[Link]:
        """Those of `module`, at `path` here and at `torch` there, and of all below, without `hidden`."""
        if any(module is each for each in self._above):
            return
        parts = parts_of(module)
        for piece in parts.pieces:
            variables = tuple(parts.variables[name] for name in piece.own)
            if not any(each is hidden for each in variables):
                own = tuple(_join(path, name) for name in piece.own)
                names = self._tensors(piece, own, torch)
                yield Link(own, names, variables, piece.layout, parts.known)
        self._above.append(module)
        inner = module.weight_v if isinstance(module, nn.WeightNorm) else None
        for name, child in module.named_children():
            if isinstance(child, nn.Module) and name in parts.children:
                here = _join(path, name)
                there = self.names.get(here, _join(torch, parts.children[name]))
                self.used.add(here)
                yield from self.links(child, here, there, inner)
        self._above.pop()

    def _tensors(self, piece: Piece, own: tuple[str, ...], torch: str) -> tuple[str, ...]:
        """The names of a piece's tensors; a parameter may have been given one of its own."""
        self.used.update(own)
        given = [path for path in own if path in self.names]
        if given and len(piece.own) == len(piece.torch) == 1:
            return (self.names[given[0]],)
        if given:
            raise ValueError(
                f"{self.who}: {given[0]} is {' and '.join(piece.torch)} in PyTorch; name its layer instead"
            )
        return tuple(_join(torch, name) for name in piece.torch)


def _with_one_layout(group: list[Link], flat: dict[int, list[Order]]) -> list[Link]:
    """The same variables' links: one whose layer says the layout comes first, and the others have it too."""
    first = next((link for link in group if link.known), group[0])
    if len(first.variables) == 1 and isinstance(first.layout, Axes):
        order = tuple(flat.get(id(first.variables[0]), ()))
        first = replace(first, layout=replace(first.layout, flat=order))
    others = [link for link in group if link.names != first.names]
    alike = len(first.names)
    return [
        first,
        *(replace(each, layout=first.layout) if len(each.names) == alike else each for each in others),
    ]
