"""How a trainer reads what its methods are given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from bpcore.basics.settings import count, flag
from bpcore.intake.augmented import Augmented
from bpcore.intake.batches import Batches, check_alone, is_batches, parts, unlisted
from bpcore.intake.classes import class_weighted
from bpcore.intake.groups import Group, inputs_of, targets_of, weights_of
from bpcore.intake.mapped import in_memory
from bpcore.intake.samples import Samples, samples
from bpcore.intake.samples import check_finite as check_values
from bpcore.intake.split import split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bpcore.engine.goals import Goals
    from bpcore.intake.batches import Feed
    from bpcore.nn.module import Module

__all__ = ["Reader"]


class Training(NamedTuple):
    """What `fit` goes through; `rows` are those of arrays, None where x gives batches."""

    data: Samples | Feed
    held_out: Samples | Feed | None
    rows: int | None
    batch_size: int


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

    def samples(
        self, who: str, x: Any, y: Any, weight: Any, check_finite: bool, *, one_of_many: bool = False
    ) -> Samples:
        """(x, y, sample_weight) with one row a sample, or the inputs of an objective."""
        if self._objective is not None:
            if y is not None or weight is not None:
                raise TypeError(
                    f"{who}: an objective has inputs only; pass all of them as a tuple, x=(a, b, ...)"
                )
            group = self._given(who, x)
            return samples(who, group, None, None, self._dtype, check_finite, one_of_many=one_of_many)
        if y is None:
            raise TypeError(f"{who}: y is missing; a loss compares the prediction with it")
        target = targets_of(who, y, self._goals)
        weights = weights_of(who, weight, self._goals)
        group = self._given(who, x)
        data = samples(who, group, target, weights, self._dtype, check_finite, one_of_many=one_of_many)
        self.check_targets(who, data)
        return data

    def check_targets(self, who: str, data: Samples) -> None:
        """ValueError for targets that a loss or a metric can't have."""
        own = {goal.key: goal for goal in self._goals.each}
        for key, array in data.targets.items():
            if key in own:
                place = who if key is None else f"{who}: output {key!r}"
                for begin, part in in_memory(array):
                    where = f"{place}: rows from {begin} on" if begin else place
                    own[key].check_target(where, part)

    def has_rule(self, data: Samples) -> bool:
        """Whether `check_targets` looks at the values of targets like these."""
        own = {goal.key: goal for goal in self._goals.each}
        return any(key in own and own[key].looks_at(each) for key, each in data.targets.items())

    def is_batches(self, x: Any, y: Any = None) -> bool:
        """Whether `x` gives batches, with all that belongs to them."""
        return is_batches(x, alone=y is None, objective=self._objective is not None)

    def batches(
        self, who: str, x: Any, check_finite: bool, epochs: int = 1, limit: int | None = None
    ) -> Batches:
        """The batches that `x` gives, `limit` of them an epoch."""

        def read(place: str, item: Any) -> Samples:
            if self._objective is not None:
                return self.samples(place, unlisted(item), None, None, check_finite, one_of_many=True)
            found = type(item).__name__ + (f" of {len(item)}" if isinstance(item, (tuple, list)) else "")
            wrong = f"{place}: expected (x, y) or (x, y, sample_weight), got a {found}"
            return self._unpacked(place, item, check_finite, wrong, one_of_many=True)

        return Batches(who, x, read, epochs, limit)

    def training(
        self,
        x: Any,
        y: Any,
        *,
        epochs: int,
        batch_size: Any,
        accumulate: int,
        steps_per_epoch: Any,
        augment: Any,
        seed: int,
        validation_data: Any,
        check_finite: bool,
        **others: Any,
    ) -> Training:
        """The arguments of `fit`; the `others` are for arrays alone."""
        if self.is_batches(x, y):
            check_alone("fit", y=y, batch_size=batch_size, augment=augment, **others)
            limit = None
            if steps_per_epoch is not None:
                limit = accumulate * count("fit", "steps_per_epoch", steps_per_epoch, 1)
            batches = self.batches("fit", x, check_finite, epochs, limit)
            return Training(batches, self._validation(validation_data, check_finite, epochs), None, 0)
        if steps_per_epoch is not None:
            raise ValueError("fit: steps_per_epoch is for batches that x gives, not for arrays")
        batch_size = count("fit", "batch_size", 32 if batch_size is None else batch_size, 1)
        data, split_off = self._arrays(x, y, check_finite=check_finite, **others)
        held_out = self._validation(validation_data, check_finite, epochs)
        if split_off is not None:
            if held_out is not None:
                raise ValueError("fit: give either validation_data or validation_split")
            held_out = split_off
        batch_size = min(batch_size, data.rows)
        if augment is None:
            return Training(data, held_out, data.rows, batch_size)
        augmented = self._augmented(data, batch_size, augment, seed, check_finite)
        return Training(augmented, held_out, data.rows, batch_size)

    def _arrays(
        self,
        x: Any,
        y: Any,
        *,
        sample_weight: Any,
        class_weight: Any,
        validation_split: Any,
        stratify: Any,
        check_finite: bool,
    ) -> tuple[Samples, Samples | None]:
        """Samples to train on and, if so, those to validate with."""
        data = self.samples("fit", x, y, sample_weight, check_finite)
        held_out = None
        loss = self._goals.loss_of_all
        if validation_split:
            data, held_out = split(data, validation_split, stratify, loss)
        elif stratify is not False and stratify is not None:
            raise ValueError("fit: stratify is for validation_split, which is 0")
        if class_weight is not None:
            if self._objective is not None:
                raise TypeError("fit: class_weight weighs by targets, which an objective doesn't have")
            data = class_weighted(data, class_weight, loss, self._dtype)
        return data, held_out

    def _augmented(
        self,
        data: Samples,
        batch_size: int,
        function: Callable[..., Any],
        seed: int,
        check_finite: bool,
    ) -> Augmented:
        """Batches of `data`, each changed by `function`."""

        def read(place: str, x: list[Any], y: list[Any], weight: list[Any]) -> Samples:
            target = Group(y, data.outputs) if data.target else None
            weights = Group(weight, data.weights) if data.weighted else None
            inputs = Group(x, data.inputs)
            batch = samples(place, inputs, target, weights, self._dtype, check_finite, one_of_many=True)
            self.check_targets(place, batch)
            return batch

        return Augmented(data, batch_size, function, read, seed)

    def evaluation(
        self, x: Any, y: Any, batch_size: Any, weight: Any, check_finite: bool
    ) -> tuple[Samples | Feed, int]:
        """The arguments of `evaluate`: samples and the size of their batches, or batches."""
        check_finite = flag("evaluate", "check_finite", check_finite)
        if self.is_batches(x, y):
            check_alone("evaluate", y=y, batch_size=batch_size, sample_weight=weight)
            return self.batches("evaluate", x, check_finite), 0
        size = count("evaluate", "batch_size", 256 if batch_size is None else batch_size, 1)
        return self.samples("evaluate", x, y, weight, check_finite), size

    def batch(self, who: str, inputs: tuple[Any, ...]) -> Samples:
        """Arguments of `step`: as of `samples`, one after the other, or an objective's all in one."""
        if self._objective is not None:
            together = inputs[0] if len(inputs) == 1 else inputs
            data = self.samples(who, together, None, None, True)
        else:
            wrong = f"{who}: expected (x, y) or (x, y, sample_weight), got {len(inputs)} arguments"
            data = self._unpacked(who, inputs, True, wrong)
        if data.by_batch:
            check_values(who, data, self._dtype)
        return data._replace(by_batch=False)

    def _validation(self, given: Any, check_finite: bool, epochs: int) -> Samples | Feed | None:
        """What `fit` has as validation_data."""
        if given is None:
            return None
        who = "fit: validation"
        if self.is_batches(given):
            return self.batches(who, given, check_finite, epochs)
        if self._objective is not None:
            return self.samples(who, given, None, None, check_finite)
        wrong = "fit: validation_data must be (x, y) or (x, y, sample_weight), or batches of such"
        return self._unpacked(who, given, check_finite, wrong)

    def inputs(self, who: str, x: Any, check_finite: bool) -> Iterator[tuple[str, Samples]]:
        """Inputs of the model alone, as a whole or in the parts that `x` gives; before each, its place."""
        check_finite = flag(who, "check_finite", check_finite)
        for place, part in parts(who, x):
            yield place, self._inputs(place, part, check_finite)

    def _inputs(self, who: str, x: Any, check_finite: bool) -> Samples:
        group = inputs_of(who, x, self._model.__call__, "the model")
        return samples(who, group, None, None, self._dtype, check_finite)

    def _unpacked(
        self, who: str, given: Any, check_finite: bool, wrong: str, *, one_of_many: bool = False
    ) -> Samples:
        if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
            raise TypeError(wrong)
        x, y, weight = (*given, None)[:3]
        return self.samples(who, x, y, weight, check_finite, one_of_many=one_of_many)

    def _given(self, who: str, x: Any) -> Group:
        """Inputs of the model, or of the objective, for which a tuple is always several."""
        if self._objective is None:
            return inputs_of(who, x, self._model.__call__, "the model")
        if isinstance(x, tuple):
            return Group(list(x), tuple(range(len(x))))
        return inputs_of(who, x, self._objective, "the objective", given=1)
