"""What a trainer does with gradients before the optimizer's step, and with weights after it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bpcore.basics.settings import number

__all__ = ["GradientControl", "layers_of"]


@dataclass(frozen=True)
class GradientControl:
    """Settings of a trainer, under the names of its arguments; see `bpcore.Trainer`."""

    clip_norm: float | None = None
    clip_layer_norm: float | None = None
    clip_value: float | None = None
    nonfinite: str | None = None
    ema: float | None = None

    def __post_init__(self) -> None:
        clips = [name for name in ("clip_norm", "clip_layer_norm", "clip_value") if self._check(name)]
        if len(clips) > 1:
            raise ValueError(f"Trainer: give only one of {' and '.join(clips)}")
        self._check("ema", 1.0)
        if self.nonfinite not in (None, "stop", "skip"):
            raise ValueError(f'Trainer: nonfinite must be "stop", "skip" or None, got {self.nonfinite!r}')

    def _check(self, name: str, below: float | None = None) -> bool:
        """Whether a setting is given; it must then be a number above 0 and less than `below`."""
        value = getattr(self, name)
        if value is None:
            return False
        value = number("Trainer", name, value, above=0, below=below)
        object.__setattr__(self, name, value)
        return True

    def native(self) -> dict[str, Any]:
        """The arguments of the core's optimizer."""
        return {
            "clip_norm": self.clip_norm or 0.0,
            "clip_layer_norm": self.clip_layer_norm or 0.0,
            "clip_value": self.clip_value or 0.0,
            "check_gradients": self.nonfinite is not None,
            "average": self.ema or 0.0,
        }

    def config(self) -> dict[str, Any]:
        """What makes the same settings again."""
        return asdict(self)


def layers_of(names: tuple[str, ...]) -> tuple[list[str], list[int]]:
    """The paths of the modules that hold parameters of these names, and the number of each one's."""
    paths = [name.rpartition(".")[0] for name in names]
    layers = list(dict.fromkeys(paths))
    return layers, [layers.index(path) for path in paths]
