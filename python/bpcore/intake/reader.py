"""How a trainer reads what its methods are given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bpcore.intake.classes import class_weighted
from bpcore.intake.groups import Group, inputs_of, targets_of, weights_of
from bpcore.intake.samples import Samples, samples
from bpcore.intake.split import split
from bpcore.losses import targets

if TYPE_CHECKING:
    from collections.abc import Callable

    from bpcore.goals import Goals
    from bpcore.nn.module import Module

__all__ = ["Reader"]


class Reader:
    """Makes samples of the arguments of a trainer's methods, whose names begin the messages of errors.

    What is wrong with them is a TypeError or a ValueError, as of `intake.samples`, `inputs_of`,
    `targets_of` and `weights_of`.
    """

    def __init__(self, model: Module, objective: Callable[..., Any] | None, goals: Goals, dtype: str) -> None:
        self._model = model
        self._objective = objective
        self._goals = goals
        self._dtype = dtype

    def samples(self, who: str, x: Any, y: Any, weight: Any, check_finite: bool) -> Samples:
        """(x, y, sample_weight) with one row a sample, or the inputs of an objective."""
        if self._objective is not None:
            if y is not None or weight is not None:
                raise TypeError(
                    f"{who}: an objective has inputs only; pass all of them as a tuple, x=(a, b, ...)"
                )
            return samples(who, self._given(who, x), None, None, self._dtype, check_finite)
        if y is None:
            raise TypeError(f"{who}: y is missing; a loss compares the prediction with it")
        target = targets_of(who, y, self._goals)
        weights = weights_of(who, weight, self._goals)
        data = samples(who, self._given(who, x), target, weights, self._dtype, check_finite)
        own = {goal.key: goal for goal in self._goals.each}
        for key, array in data.targets.items():
            if key in own:
                place = who if key is None else f"{who}: output {key!r}"
                targets.check(place, own[key].loss, array)
        return data

    def training(
        self,
        x: Any,
        y: Any,
        *,
        sample_weight: Any,
        class_weight: Any,
        validation_data: Any,
        validation_split: Any,
        stratify: Any,
        check_finite: bool,
    ) -> tuple[Samples, Samples | None]:
        """The arguments of `fit`: samples to train on and, if so, those to validate with."""
        data = self.samples("fit", x, y, sample_weight, check_finite)
        held_out = self._validation(validation_data, check_finite)
        loss = self._goals.loss_of_all
        if validation_split:
            if held_out is not None:
                raise ValueError("fit: give either validation_data or validation_split")
            data, held_out = split(data, validation_split, stratify, loss)
        elif stratify is not False and stratify is not None:
            raise ValueError("fit: stratify is for validation_split, which is 0")
        if class_weight is not None:
            if self._objective is not None:
                raise TypeError("fit: class_weight weighs by targets, which an objective doesn't have")
            data = class_weighted(data, class_weight, loss, self._dtype)
        return data, held_out

    def batch(self, who: str, inputs: tuple[Any, ...]) -> Samples:
        """Arguments of `step`: as of `samples`, one after the other."""
        if self._objective is not None:
            together = inputs[0] if len(inputs) == 1 and isinstance(inputs[0], dict) else inputs
            return self.samples(who, together, None, None, True)
        wrong = f"{who}: expected (x, y) or (x, y, sample_weight), got {len(inputs)} arguments"
        return self._unpacked(who, inputs, True, wrong)

    def _validation(self, given: Any, check_finite: bool) -> Samples | None:
        """What `fit` has as validation_data."""
        if given is None:
            return None
        who = "fit: validation"
        if self._objective is not None:
            return self.samples(who, given, None, None, check_finite)
        wrong = "fit: validation_data must be (x, y) or (x, y, sample_weight)"
        return self._unpacked(who, given, check_finite, wrong)

    def inputs(self, who: str, x: Any, check_finite: bool) -> Samples:
        """Inputs of the model alone."""
        group = inputs_of(who, x, self._model.__call__, "the model")
        return samples(who, group, None, None, self._dtype, check_finite)

    def _unpacked(self, who: str, given: Any, check_finite: bool, wrong: str) -> Samples:
        if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
            raise TypeError(wrong)
        x, y, weight = (*given, None)[:3]
        return self.samples(who, x, y, weight, check_finite)

    def _given(self, who: str, x: Any) -> Group:
        """Inputs of the model, or of the objective, for which a tuple is always several."""
        if self._objective is None:
            return inputs_of(who, x, self._model.__call__, "the model")
        if isinstance(x, tuple):
            return Group(list(x), tuple(range(len(x))))
        return inputs_of(who, x, self._objective, "the objective", given=1)
