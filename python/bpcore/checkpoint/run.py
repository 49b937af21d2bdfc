"""Where a run of `fit` stands, as JSON and arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bpcore.basics import texts
from bpcore.checkpoint.strict_json import NUMBER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bpcore.basics.arrays import Array
    from bpcore.callbacks import Callback

__all__ = ["PREFIX", "CallbackState", "RunState", "pack", "state_of", "unpack"]

PREFIX = "run:"  # of the names of tensors that belong to a run

_TENSOR = "__tensor__"  # the only key of what stands for an array in JSON
_WIDEST = 8  # bytes of a number that a file can hold


class CallbackState(NamedTuple):
    """What a callback remembers, and which one it is: its kind, the value it looks at, its settings as text.

    `settings` are None in older files, which don't have the last two.
    """

    kind: str
    state: dict[str, Any]
    monitor: str | None = None
    settings: str | None = None

    def same_kind(self, other: CallbackState) -> bool:
        """Whether `other` may go on from here: one that looks at another value can't."""
        return self.kind == other.kind and (self.settings is None or self.monitor == other.monitor)

    def same_settings(self, other: CallbackState) -> bool:
        """Whether `other` is the same to all appearances."""
        return self.same_kind(other) and self.settings == other.settings


@dataclass
class RunState:
    """What a checkpoint holds besides the trainer, so that a run goes on as if it had never stopped.

    `settings` are those that the place in an epoch depends on: samples, batch_size, accumulate, shuffle; and
    class_weight, on which the loss does.
    `names` are those of an epoch's values. `position` counts the steps done of the epoch at hand, of which
    `skipped` were left out; None between two epochs. `totals` and `collected` are what the session has summed
    and kept of them, `seconds` the time they took. `stopped` says why a callback has ended the run for good,
    None if none has. `lr` is the learning rate that the run began with, as a config. `callbacks` has the
    state of each.
    """

    settings: dict[str, Any]
    names: list[str]
    position: int | None = None
    skipped: int = 0
    totals: list[float] = field(default_factory=list)
    collected: dict[int, Array] = field(default_factory=dict)
    seconds: float = 0.0
    stopped: str | None = None
    lr: Any = None
    callbacks: list[CallbackState] = field(default_factory=list)

    def packed(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """JSON, and the tensors that it speaks of."""
        tensors: dict[str, Array] = {}
        values = {**vars(self), "collected": {str(key): rows for key, rows in self.collected.items()}}
        found: dict[str, Any] = pack(values, PREFIX, tensors)
        return found, tensors

    @classmethod
    def unpacked(cls, packed: Mapping[str, Any], tensors: Mapping[str, Array]) -> RunState:
        """The inverse of `packed`. ValueError for what it can't have given."""
        try:
            values = unpack(packed, tensors)
            state = cls(**values)
            state.collected = {int(key): np.asarray(rows) for key, rows in state.collected.items()}
            state.callbacks = [
                CallbackState(str(kind), dict(each), *rest) for kind, each, *rest in state.callbacks
            ]
            state.totals = [float(each) for each in state.totals]
            state.seconds = float(state.seconds)
            well = (
                isinstance(state.settings, dict)
                and isinstance(state.names, list)
                and all(isinstance(name, str) for name in state.names)
                and isinstance(state.stopped, (str, type(None)))
                and type(state.skipped) is int
                and (state.position is None or type(state.position) is int)
                and 0 <= state.skipped <= (state.position or 0)
            )
            if not well:
                raise ValueError("its values make no sense")
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise ValueError(f"the state of its run is damaged: {error}") from None
        return state

    def check(self, who: str, settings: Mapping[str, Any], names: Sequence[str]) -> None:
        """ValueError, beginning with `who`, unless a run of these settings can go on from here."""
        if list(names) != self.names:
            raise ValueError(
                f"{who} has the values {', '.join(self.names)}, this run would have {', '.join(names)}; give "
                "the same metrics and validation, or another path"
            )
        for name, value in settings.items():
            saved = self.settings.get(name, value)  # older files don't have them all
            within = self.position is not None  # a new epoch may be another one
            if saved != value and (within or name == "class_weight"):
                place = "in the middle of an epoch" if within else "of a run"
                raise ValueError(
                    f"{who} is {place} with {name}={saved}, this run has {name}={value}; use the same, or "
                    "another path"
                )

    def restore_callbacks(self, who: str, callbacks: Sequence[Callback]) -> None:
        """Gives each callback its state: that of one with its settings, else the first of its kind.

        One that the run did not have begins anew; a state that finds no callback is dropped. ValueError,
        beginning with `who`, for a state that a callback can't go on from.
        """
        waiting = {number: _described(each, {}) for number, each in enumerate(callbacks)}
        found: dict[int, int] = {}  # the number of a callback by that of its state
        for alike in (CallbackState.same_settings, CallbackState.same_kind):
            for number, saved in enumerate(self.callbacks):
                own = next((own for own, each in waiting.items() if alike(saved, each)), None)
                if number not in found and own is not None:
                    found[number] = own
                    del waiting[own]
        for number, own in sorted(found.items()):
            kind, state, *_ = self.callbacks[number]
            try:
                callbacks[own].restore_state(state)
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                why = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
                raise ValueError(f"{who}: {kind} can't go on from its state there: {why}") from error


def state_of(callback: Callback) -> CallbackState:
    """The state of a callback. TypeError for one that would not come back from a file."""
    kind, state = type(callback).__name__, callback.state()
    if not isinstance(state, dict):
        raise TypeError(f"{kind}.state must return a dict, got {type(state).__name__}")
    _check(state, f"{kind}.state()")
    return _described(callback, state)


def _described(callback: Callback, state: dict[str, Any]) -> CallbackState:
    monitor = getattr(callback, "monitor", None)
    settings = texts.without_addresses(texts.call(callback, texts.settings_of(callback)))
    return CallbackState(
        type(callback).__name__, state, monitor if isinstance(monitor, str) else None, settings
    )


def _check(value: Any, place: str) -> None:
    """TypeError, which says where, for what is neither a value of JSON nor an array of numbers."""
    if isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(key, str) or key in (_TENSOR, NUMBER):
                taken = NUMBER if key == NUMBER else _TENSOR
                raise TypeError(
                    f"{place}: the keys of a dict must be strings, {taken!r} is taken; got {key!r}"
                )
            _check(each, f"{place}[{key!r}]")
    elif isinstance(value, (list, tuple)):
        for i, each in enumerate(value):
            _check(each, f"{place}[{i}]")
    elif isinstance(value, (np.ndarray, np.generic)):
        if value.dtype.kind not in "buif" or value.dtype.itemsize > _WIDEST:
            raise TypeError(f"{place} must be an array of numbers, got one of dtype {value.dtype}")
    elif value is not None and not isinstance(value, (bool, int, float, str)):
        raise TypeError(
            f"{place} must be made of dicts, lists, numbers, strings, None and arrays, got "
            f"{type(value).__name__}"
        )


def pack(value: Any, name: str, tensors: dict[str, Array]) -> Any:
    """`value` as JSON, where arrays become references to `tensors`, to which they are added below `name`."""
    if isinstance(value, np.ndarray):
        key = name.rstrip(".")
        while key in tensors:  # of a key with a dot in it
            key += "_"
        tensors[key] = value
        return {_TENSOR: key}
    if isinstance(value, dict):
        return {key: pack(each, f"{name}{key}.", tensors) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [pack(each, f"{name}{i}.", tensors) for i, each in enumerate(value)]
    if isinstance(value, np.generic):
        return value.item()
    return value


def unpack(value: Any, tensors: Mapping[str, Array]) -> Any:
    """The inverse of `pack`; KeyError for a tensor that isn't there."""
    if isinstance(value, dict):
        if set(value) == {_TENSOR} and isinstance(value[_TENSOR], str):
            return tensors[value[_TENSOR]]
        return {key: unpack(each, tensors) for key, each in value.items()}
    if isinstance(value, list):
        return [unpack(each, tensors) for each in value]
    return value
