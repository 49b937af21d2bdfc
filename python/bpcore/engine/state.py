"""What a trainer works on: the model's storage and the optimizer's state."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore._native import core
from bpcore.basics.cache import PlanCache
from bpcore.basics.views import Views
from bpcore.engine import fullbatch
from bpcore.engine.control import layers_of
from bpcore.engine.fullbatch import FullBatchUpdates
from bpcore.nn.module import build
from bpcore.optim import LBFGS
from bpcore.symbolic import sparse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bpcore._core import Optimizer as Updates
    from bpcore.basics.arrays import Array
    from bpcore.basics.turns import Turns
    from bpcore.engine.control import GradientControl
    from bpcore.engine.task import Task
    from bpcore.intake import Signature
    from bpcore.nn.module.parameter import Parameter, Storage
    from bpcore.optim import Optimizer

__all__ = ["TrainingState"]


class TrainingState:
    """Parameters, states and what the optimizer keeps. Nothing of them exists or moves before `ready`."""

    def __init__(
        self,
        task: Task,
        optimizer: Optimizer,
        control: GradientControl,
        seed: int,
        dtype: str,
    ) -> None:
        self.task = task
        self._updates: Updates | FullBatchUpdates | None = None  # once the parameters exist
        self.optimizer = optimizer
        self.control = control
        self._seed = seed
        self._dtype = dtype
        self._storage: Storage | None = None
        self._settled = False  # whether a first use went well, and the storage stays
        self._stamps: tuple[object, ...] = ()  # of the model that the plans were made for
        self._parameters: list[Parameter] = []  # in the storage's order
        self._plans: PlanCache[Any] = PlanCache(32, "Trainer")

    @property
    def updates(self) -> Updates | FullBatchUpdates:
        """The optimizer's state."""
        self.ready(None)
        assert self._updates is not None
        return self._updates

    @property
    def steps(self) -> int:
        """Updates done so far."""
        return 0 if self._updates is None else self._updates.steps

    def optimizer_slots(self) -> list[str]:
        """Names of what is kept for each parameter: by the optimizer, as "exp_avg", and a moving average."""
        return [*self.updates.slots, *(["average"] if self.updates.has_average else [])]

    def optimizer_state(self) -> dict[str, Array]:
        """``optimizer.<slot>.<parameter>`` -> array, a writable view."""
        names, updates = self.ready(None).parameters, self.updates
        kept = updates.parameters if isinstance(updates, FullBatchUpdates) else range(len(names))
        return Views(
            (f"optimizer.{slot}.{names[number]}", updates.slot(slot, number))
            for slot in self.optimizer_slots()
            for number in kept
        )

    def averages(self) -> dict[str, Array]:
        """Name -> moving average of each of the model's parameters, a view."""
        updates = self.updates
        named = self.task.model.named_variables()
        return {name: updates.slot("average", v.slot) for name, v in named if not v.is_state}

    def snapshot(self) -> tuple[Array, Array]:
        """A copy of all parameters and states."""
        storage = self.ready(None)
        with storage.writing:
            return storage.store.flat_parameters.copy(), storage.store.flat_states.copy()

    def restore(self, snapshot: tuple[Array, Array]) -> None:
        """Puts a snapshot back; ValueError unless it has this storage's sizes and dtype."""
        storage = self.ready(None)
        store = storage.store
        own = (store.flat_parameters, store.flat_states)
        given = [np.asarray(each) for each in snapshot]
        if [(each.shape, each.dtype) for each in given] != [(each.shape, each.dtype) for each in own]:
            raise ValueError("restore: this is no snapshot of this trainer: its sizes or dtype are others")
        with storage.writing:
            for array, value in zip(own, given, strict=True):
                array[...] = value

    # The model's parameters

    def check_model(self) -> None:
        """ValueError for a model with nothing to train, TypeError for one that the dtype would narrow."""
        variables = [variable for _, variable in self.task.model.named_variables()]
        trained = [variable for variable in variables if getattr(variable, "trainable", False)]
        if not trained:
            raise ValueError("Trainer: the model has no trainable parameters")
        if self._dtype == "float32" and build.dtype_of(self.task.model) == "float64":
            raise TypeError('Trainer: the model is float64, so the trainer must be too: dtype="float64"')
        self.optimizer.group_of(self._axes())
        if isinstance(self.optimizer, LBFGS):
            fullbatch.check_trainer(self.control, dict(self.task.model.named_variables()))
        if all(variable.known for variable in variables):
            self.ready(None)

    def _axes(self) -> dict[str, int]:
        """Name -> number of axes of every parameter, in their order."""
        named = self.task.model.named_variables()
        return {name: len(variable.sizes) for name, variable in named if not variable.is_state}

    def _make_updates(self, storage: Storage) -> Updates | FullBatchUpdates:
        if isinstance(self.optimizer, LBFGS):
            return FullBatchUpdates(storage)
        axes = self._axes()
        groups = dict(zip(axes, self.optimizer.group_of(axes), strict=True))
        parameters = {name: v for name, v in self.task.model.named_variables() if not v.is_state}
        # The names are those of the model here, the slots those of its storage.
        by_slot = {variable.slot: groups[name] for name, variable in parameters.items()}
        _, layers = layers_of(storage.parameters)
        return core.Optimizer(
            self.optimizer.name,
            self.optimizer.group_settings(),
            storage.store,
            [by_slot.get(slot, 0) for slot in range(len(storage.parameters))],
            layers,
            constraints=[
                (constraint.kind, variable.slot, constraint.most)
                for variable in parameters.values()
                if (constraint := getattr(variable, "constraint", None)) is not None
            ],
            **self.control.native(),
        )

    def ready(self, signature: Signature | None, predicting: bool = False) -> Storage:
        """The storage of the model, packed at the first call.

        Sizes that are not known are found by tracing a call with `signature`.
        RuntimeError if the model has been packed into another one or got other parts since, or if sizes are
        unknown without a signature.
        """
        model = self.task.model
        if not self._settled:
            with build.LOCK:
                if self._storage is None:
                    with build.attempt(model):
                        storage = self._pack(signature, predicting)
                        self._updates = self._make_updates(storage)
                    self._parameters, _ = build.collect(model)
                    self._storage, self._stamps = storage, model._stamps()
        assert self._storage is not None
        if self._storage.moved:
            raise RuntimeError(
                "the parameters of this trainer's model lie elsewhere now: it became a part of a larger "
                "model or got a trainer of another dtype; make a new Trainer"
            )
        stamps = model._stamps()
        if stamps != self._stamps:
            if build.packed(model) is not self._storage:
                raise RuntimeError(
                    "the model's parts have changed since this trainer first used them; make a new Trainer"
                )
            self._plans.clear()
            self._stamps = stamps
        return self._storage

    @contextmanager
    def first_use(self) -> Iterator[None]:
        """Around what precedes a run: if it fails, parameters that it brought about are gone again."""
        if self._settled:
            yield
            return
        with build.LOCK:
            before = self._storage, self._updates, self._parameters
            try:
                with build.attempt(self.task.model):
                    yield
            except BaseException:
                self._storage, self._updates, self._parameters = before
                self._settled = False  # which a first use within this one has said, as of validation
                self._plans.clear()
                raise
            self._settled = self._storage is not None

    @contextmanager
    def turn(self, who: str) -> Iterator[None]:
        """Around what writes to the model, which exists; RuntimeError if another trainer does so now."""
        assert self._storage is not None
        busy = self._storage.busy
        if not busy.acquire(blocking=False):
            raise RuntimeError(f"{who}: another trainer of this model is in the middle of a fit or a step")
        try:
            yield
        finally:
            busy.release()

    def writing(self) -> Turns:
        """For what changes values, or needs all of them as they are between two steps."""
        return self.ready(None).writing

    def _pack(self, signature: Signature | None, predicting: bool) -> Storage:
        model = self.task.model
        if signature is not None and not all(variable.known for _, variable in model.named_variables()):
            with build.sizing(model, self._dtype) as trace:
                if predicting:
                    call = signature.call([sparse.symbolic(trace, *spec) for spec in signature.specs()])
                    call.given_to(model)
                else:
                    self.task.describe(trace, signature)
        storage = build.packed(model)
        if storage is None or storage.dtype != self._dtype:
            storage = build.pack(model, self._seed, self._dtype, called=signature is not None)
        return storage

    def _trainable(self) -> tuple[bool, ...]:
        """Which parameters are trained, which may change between two calls."""
        return tuple(parameter.trainable for parameter in self._parameters)
