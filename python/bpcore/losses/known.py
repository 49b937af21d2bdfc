"""The losses that a trainer knows, by name or as functions, and what it makes of others."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from bpcore.basics import names, texts
from bpcore.losses.binary import binary_cross_entropy, focal, hinge, squared_hinge
from bpcore.losses.classes import cross_entropy, multi_margin, nll
from bpcore.losses.common import PARTS
from bpcore.losses.distributions import gaussian_nll, kl_divergence, poisson_nll
from bpcore.losses.embedding import cosine_similarity, triplet_margin
from bpcore.losses.regression import huber, log_cosh, mae, mse, quantile, smooth_l1
from bpcore.losses.sequences import ctc
from bpcore.losses.targets import PADDING
from bpcore.symbolic.tensor import Tensor

__all__ = ["Loss", "Resolved", "resolve"]

Loss: TypeAlias = Callable[[Any, Any], Any]

_KNOWN: tuple[Callable[..., Any], ...] = (
    binary_cross_entropy, cosine_similarity, cross_entropy, ctc, focal, gaussian_nll, hinge, huber,
    kl_divergence, log_cosh, mae, mse, multi_margin, nll, poisson_nll, quantile, smooth_l1, squared_hinge,
)  # fmt: skip
_NAMED = {function.__name__: function for function in _KNOWN}
_ELSEWHERE = {  # what is less like the name that is meant than like another one
    "bce": "binary_cross_entropy",
    "categorical_crossentropy": "cross_entropy",
    "l1": "mae",
    "l2": "mse",
    "mean_absolute_error": "mae",
    "mean_squared_error": "mse",
    "sparse_categorical_crossentropy": "cross_entropy",
}
_BINARY = {each.__name__ for each in (binary_cross_entropy, focal, hinge, squared_hinge)}
_LABELS = {each.__name__ for each in (ctc, multi_margin, nll)}

_NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


class Resolved(NamedTuple):
    """A loss as a trainer takes it: a known one gives its parts, with `options` other than its defaults."""

    name: str | None
    function: Loss | None
    known: bool = False
    options: Mapping[str, Any] = _NO_OPTIONS

    @property
    def by_name(self) -> bool:
        """Whether its name alone is enough to find it again."""
        return self.known and not self.options

    @property
    def binary(self) -> bool:
        """Whether each output is for two classes, with 0 between them."""
        return self.known and self.name in _BINARY

    @property
    def labels(self) -> bool:
        """Whether its targets are classes in a way that a plan's bounds don't tell."""
        return self.known and (self.name in _LABELS or self.ignore_index is not None)

    @property
    def ignore_index(self) -> int | None:
        """The class that does not count."""
        if self.known and self.name == "ctc":
            return PADDING
        index: int | None = self.options.get("ignore_index") if self.known else None
        return index


def resolve(loss: Any) -> Resolved:
    """The loss given by name, as a function, or as a `functools.partial` of one; nothing for None.

    Raises ValueError for an unknown name, TypeError for what is neither, and for options that a known loss
    does not have.
    """
    if loss is None:
        return Resolved(None, None)
    if isinstance(loss, str):
        apart = {"triplet_margin": triplet_margin}
        loss = apart.get(loss) or names.lookup("loss", loss, _NAMED, elsewhere=_ELSEWHERE)
    partial = isinstance(loss, functools.partial)
    function, options = (loss.func, loss.keywords) if partial else (loss, {})
    if not callable(loss) or isinstance(function, (type, Tensor)):
        raise TypeError(f"a loss is a name or a function of (prediction, target), got {texts.kind(function)}")
    if function is triplet_margin:
        raise TypeError(
            "triplet_margin compares three arrays, not (prediction, target); use it in an objective"
        )
    if function in _KNOWN and "reduction" not in options and not (partial and loss.args):
        return _known(function, options)
    return Resolved(getattr(function, "__name__", type(function).__name__), loss)


def _known(function: Callable[..., Any], options: Mapping[str, Any]) -> Resolved:
    try:
        inspect.signature(function).bind(None, None, **options)
    except TypeError as error:
        raise TypeError(f"{function.__name__}: {error}") from None
    parts = functools.partial(function, **options, reduction=PARTS)
    return Resolved(function.__name__, parts, True, MappingProxyType(dict(options)))
