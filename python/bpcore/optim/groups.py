"""Groups of parameters that are trained by settings of their own."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from bpcore.basics.settings import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bpcore.optim.base import LearningRate

__all__ = ["Group"]


class Group:
    """Parameters, chosen by name, with settings that differ from the optimizer's.

    ``optim.AdamW(1e-3, groups=[optim.Group("encoder", lr=1e-4), optim.Group(max_ndim=1, weight_decay=0)])``
    trains the layers of ``encoder`` at a smaller rate and decays neither biases nor the scales of
    normalisation. A parameter belongs to the first group that it matches.

    Args:
        match: the name of a parameter or the path of a layer, as ``model.parameters`` shows them ("0",
            "encoder.0.weight"), a pattern with ``*``, ``?`` and ``[...]`` for names ("*.bias"), or several of
            these.
        max_ndim: only parameters of so many axes at most; 1 means biases and scales.
        lr: learning rate in place of the optimizer's, of the same kinds.
        settings: the optimizer's arguments to replace, by name.

    The optimizer checks the settings when it is made. A group that matches no parameter is a ValueError when
    the trainer is made. To keep layers as they are, see `Module.freeze`.
    """

    def __init__(
        self,
        match: str | Sequence[str] = "*",
        *,
        max_ndim: int | None = None,
        lr: LearningRate | None = None,
        **settings: Any,
    ) -> None:
        patterns: list[Any] = list(match) if isinstance(match, (list, tuple)) else [match]
        if not patterns or any(not isinstance(pattern, str) for pattern in patterns):
            raise TypeError(f"Group: match must be names, paths or patterns, got {match!r}")
        self.match = tuple(patterns)
        self.max_ndim = None if max_ndim is None else count("Group", "max_ndim", max_ndim, 0)
        self.lr = lr
        self.settings = settings

    def matches(self, name: str, ndim: int) -> bool:
        """Whether a parameter of this name and number of axes belongs here."""
        if self.max_ndim is not None and ndim > self.max_ndim:
            return False
        return any(fnmatchcase(name, each) or name.startswith(f"{each}.") for each in self.match)

    def __repr__(self) -> str:
        shown = {"max_ndim": self.max_ndim, "lr": self.lr, **self.settings}
        rest = "".join(f", {key}={value!r}" for key, value in shown.items() if value is not None)
        return f"Group({self.match[0] if len(self.match) == 1 else list(self.match)!r}{rest})"
