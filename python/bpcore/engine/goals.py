"""The goals of training: one loss for all that a model returns, or one for each of several outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from bpcore import losses
from bpcore import metrics as metrics_
from bpcore.basics import names
from bpcore.basics.settings import number
from bpcore.losses import targets as of_losses
from bpcore.metrics import targets as of_metrics

if TYPE_CHECKING:
    from bpcore.basics.arrays import Array
    from bpcore.intake import Keys
    from bpcore.losses import Resolved
    from bpcore.metrics import Metric
    from bpcore.metrics.base import Function

__all__ = ["Goal", "Goals", "resolve"]


class Goal(NamedTuple):
    """What is learned of an output, by its place or name, or of all by None: a loss, if any, and metrics."""

    key: int | str | None
    loss: Resolved
    weight: float  # of the loss in the sum of all
    metrics: dict[str, Function | Metric]  # by their names in logs

    @property
    def loss_name(self) -> str:
        """The loss's name in logs."""
        return "loss" if self.key is None else f"{self.key}_loss"

    def check_target(self, who: str, target: Array) -> None:
        """ValueError, which begins with `who`, for values that the loss or a metric can't have."""
        of_losses.check(who, self.loss, target)
        of_metrics.check(who, self.loss, self.metrics, target)

    def looks_at(self, target: Array) -> bool:
        """Whether `check_target` depends on the values of a target like this one."""
        found = of_losses.has_rule(self.loss, target)
        return found or of_metrics.has_rule(self.loss, self.metrics.values(), target)

    def part(self, what: str, whole: Any) -> Any:
        """Of a prediction or of targets, what belongs to this output; ValueError or TypeError without."""
        if self.key is None:
            return whole
        if isinstance(self.key, int):  # of several in their places, as `Goals.check` has seen
            return whole[self.key]
        if not isinstance(whole, Mapping):
            raise TypeError(f"the {what} must be a dict with it, got {_described(whole)}")
        if self.key not in whole:
            raise ValueError(f"the {what} doesn't have it; {names.suggestion(self.key, whole)}")
        return whole[self.key]

    @contextmanager
    def named(self) -> Iterator[None]:
        """Around what is about this output: a ValueError or TypeError says which it is."""
        try:
            yield
        except (TypeError, ValueError) as error:
            if self.key is None:
                raise
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"output {self.key!r}: {error}") from error


class Goals(NamedTuple):
    """All that is learned of a prediction, and how it was given."""

    each: tuple[Goal, ...]
    keys: Keys  # of losses by output
    loss: Any  # names, in the structure given
    by_name: bool  # whether all losses are found by their names
    metrics: Any  # names and configs, in the structure given
    own_metrics: bool  # whether one is not found by them
    loss_weights: Any  # in the structure given

    @property
    def used(self) -> tuple[int | str, ...]:
        """The outputs by key that have a loss or a metric, and so need a target."""
        found = (each for each in self.each if each.loss.function is not None or each.metrics)
        return tuple(each.key for each in found if each.key is not None)

    @property
    def loss_of_all(self) -> Resolved:
        """The loss of the whole prediction; nothing, as of an objective, where there are losses by output."""
        return self.each[0].loss if self.keys is None else losses.resolve(None)

    @property
    def terms(self) -> tuple[tuple[str, float], ...]:
        """Names and weights of the losses by output, whose sum is the loss."""
        if self.keys is None:
            return ()
        return tuple((each.loss_name, each.weight) for each in self.each if each.loss.function is not None)

    @property
    def names(self) -> list[str]:
        """Names in logs: the loss, those by output, metrics."""
        return ["loss", *(name for name, _ in self.terms), *self.functions]

    def check(self, prediction: Any) -> None:
        """TypeError unless a prediction has the structure of losses by output."""
        if self.keys is None:
            return
        if isinstance(self.keys[0], str):
            if not isinstance(prediction, Mapping):
                raise TypeError(
                    "losses are given by name, so the model must return a dict of its outputs, not "
                    f"{_described(prediction)}"
                )
        elif not isinstance(prediction, (tuple, list)) or len(prediction) != len(self.keys):
            raise TypeError(
                f"there are losses for {len(self.keys)} outputs, so the model must return a tuple of "
                f"{len(self.keys)}, not {_described(prediction)}"
            )

    @property
    def functions(self) -> dict[str, Function | Metric]:
        """Name in logs -> metric, of all outputs."""
        return {name: metric for each in self.each for name, metric in each.metrics.items()}


def resolve(loss: Any, loss_weights: Any, metrics: Any) -> Goals:
    """Losses and metrics as `Trainer` takes them.

    ValueError for unknown and repeated names, TypeError for what is no loss, weight or metric, and for
    structures that don't go together.
    """
    if isinstance(loss, Mapping):
        found = _by_key(_by_name(loss), loss, _by_name_too(loss, loss_weights, "loss_weights"), metrics)
    elif isinstance(loss, (tuple, list)):
        if not loss:
            raise ValueError("Trainer: loss is an empty list; give a loss for each output")
        places = dict(enumerate(loss))
        weights = _by_place_too(len(loss), loss_weights, "loss_weights")
        found = _by_key(places, loss, weights, metrics)
    else:
        found = _whole(loss, loss_weights, metrics)
    reported = [each.loss_name for each in found.each if each.loss.function is not None]
    reported += found.functions
    taken = [name for name, count in Counter(reported).items() if count > 1 or name.startswith("val_")]
    if taken:
        raise ValueError(f"Trainer: the name {taken[0]!r} in the logs is taken; give an output another name")
    return found


def _whole(loss: Any, loss_weights: Any, metrics: Any) -> Goals:
    if loss_weights is not None:
        raise ValueError("Trainer: loss_weights go with a dict or a list of losses, one for each output")
    known = losses.resolve(loss)
    if not isinstance(metrics, Mapping):
        functions, saved = metrics_.resolve(metrics, known)
        listed, own = list(functions) if saved is None else saved, saved is None
        output = Goal(None, known, 1.0, functions)
        return Goals((output,), None, known.name, known.by_name, listed, own, None)
    nothing = losses.resolve(None)
    parts = [Goal(None, known, 1.0, {})]
    by_output: dict[str, list[Any]] = {}
    own = False
    for key in _by_name(metrics, "metrics"):
        functions, by_output[key], own = _metrics(key, metrics[key], nothing, own)
        parts.append(Goal(key, nothing, 1.0, functions))
    return Goals(tuple(parts), None, known.name, known.by_name, by_output, own, None)


def _by_key(given: Mapping[Any, Any], loss: Any, weights: Mapping[Any, Any], metrics: Any) -> Goals:
    """`given` is what `loss` is, by name or place."""
    measured: Mapping[Any, Any]
    if isinstance(loss, Mapping):
        measured = _by_name_too(loss, metrics or None, "metrics")
    else:
        measured = _by_place_too(len(loss), metrics or None, "metrics")
    parts, listed, own = [], {}, False
    for key, one in given.items():
        about = Goal(key, losses.resolve(None), 1.0, {})
        with about.named():
            resolved = losses.resolve(one)
            factor = weights.get(key)
            weight = 1.0 if factor is None else number("Trainer", "loss_weights", factor, least=0)
            if factor is not None and one is None:
                raise ValueError("it has a weight in loss_weights, but no loss")
        functions, listed[key], own = _metrics(key, measured.get(key), resolved, own)
        parts.append(Goal(key, resolved, weight, functions))
    if all(each.loss.function is None for each in parts):
        raise ValueError("Trainer: no output has a loss")

    def as_given(values: Mapping[Any, Any]) -> Any:
        return dict(values) if isinstance(loss, Mapping) else list(values.values())

    return Goals(
        tuple(parts),
        tuple(given),
        as_given({each.key: each.loss.name for each in parts}),
        all(each.loss.by_name or each.loss.function is None for each in parts),
        as_given(listed) if any(listed.values()) else [],
        own,
        as_given(weights) if weights else None,
    )


def _metrics(
    key: int | str, given: Any, loss: Resolved, own: bool
) -> tuple[dict[str, Function | Metric], list[Any], bool]:
    """Name in logs -> metric of an output, what a file keeps of them, whether some have to be given again."""
    one = isinstance(given, (str, metrics_.Metric)) or callable(given)
    with Goal(key, loss, 1.0, {}).named():
        functions, saved = metrics_.resolve([] if given is None else [given] if one else given, loss)
    named = {f"{key}_{name}": metric for name, metric in functions.items()}
    return named, list(functions) if saved is None else saved, own or saved is None


def _by_name(given: Mapping[Any, Any], argument: str = "loss") -> dict[str, Any]:
    if not given:
        raise ValueError(f"Trainer: {argument} is an empty dict; its keys are the names of outputs")
    for key in given:
        if not isinstance(key, str):
            raise TypeError(f"Trainer: the keys of {argument} are names of outputs, got {key!r}")
    return dict(given)


def _by_name_too(loss: Mapping[str, Any], given: Any, argument: str) -> dict[str, Any]:
    """`given` by the names of outputs that `loss` has."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise TypeError(
            f"Trainer: losses are given by output, so {argument} must be a dict by output, too, got {given!r}"
        )
    for key in given:
        if key not in loss:
            raise ValueError(
                f"Trainer: {argument} has {key!r}, an output that loss doesn't have; "
                f"{names.suggestion(key, loss)}; None in loss is for an output that is not trained on"
            )
    return dict(given)


def _by_place_too(count: int, given: Any, argument: str) -> dict[int, Any]:
    """`given` by place, for so many losses."""
    if given is None:
        return {}
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != count:
        raise TypeError(
            f"Trainer: there are losses for {count} outputs, so {argument} must be a list of {count}, got "
            f"{given!r}"
        )
    return dict(enumerate(given))


def _described(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    shape = getattr(value, "shape", None)
    return f"one array of shape {shape}" if shape is not None else f"a {type(value).__name__}"
