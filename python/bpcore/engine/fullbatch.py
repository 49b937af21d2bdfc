"""What drives LBFGS: its state, as the engine keeps it, and a session whose steps run in Python."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore._native import core
from bpcore.basics import interrupts
from bpcore.basics.settings import number
from bpcore.engine.control import layers_of
from bpcore.optim.lbfgs import LBFGS, Memory, Pair, Point, largest
from bpcore.symbolic import sparse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bpcore._core import Store
    from bpcore.basics.arrays import Array
    from bpcore.engine.control import GradientControl
    from bpcore.engine.task import FullBatchPlan
    from bpcore.intake import Samples, Signature
    from bpcore.nn.module.parameter import Storage, Variable
    from bpcore.optim import Optimizer

__all__ = [
    "FullBatchSession",
    "FullBatchUpdates",
    "check_fit",
    "check_saved",
    "check_stream",
    "check_trainer",
]


# What goes together


def check_trainer(control: GradientControl, parameters: Mapping[str, Variable]) -> None:
    """ValueError for settings of a trainer, or a constraint, that LBFGS can't do with."""
    for name in ("clip_norm", "clip_layer_norm", "clip_value"):
        if getattr(control, name) is not None:
            raise ValueError(f"Trainer: LBFGS needs the gradients as they are, so it can't go with {name}")
    if control.nonfinite == "skip":
        raise ValueError(
            'Trainer: LBFGS can\'t go with nonfinite="skip": the step after would be the same one again'
        )
    if control.ema is not None:
        raise ValueError("Trainer: LBFGS can't go with ema: its steps are few and long, not worth averaging")
    for name, parameter in parameters.items():
        if getattr(parameter, "constraint", None) is not None:
            raise ValueError(
                f"Trainer: LBFGS can't keep the constraint of {name}: its line search knows no bounds"
            )


def check_fit(who: str, rows: int, batch_size: int, accumulate: int) -> None:
    """ValueError unless each step sees all rows at once."""
    if accumulate > 1:
        raise ValueError(f"{who}: LBFGS evaluates one batch several times, so accumulate must be 1")
    if batch_size < rows:
        raise ValueError(
            f"{who}: LBFGS needs full batches; use batch_size >= {rows} (the samples), got {batch_size}"
        )


def check_stream(who: str, optimizer: Optimizer) -> None:
    """ValueError where batches come one by one from Python, which LBFGS can't go through several times."""
    if isinstance(optimizer, LBFGS):
        message = f"{who}: LBFGS needs a full batch of arrays, so it can't go with batches or augment"
        raise ValueError(message)  # noqa: TRY004 - what doesn't fit together, not what is no optimizer


# State


class FullBatchUpdates:
    """The state of LBFGS, with what the engine asks of a native optimizer's.

    Its slots are PyTorch's: "d", "prev_flat_grad", "old_dirs.0", "old_stps.0" and so on, the oldest first.
    """

    has_average = False
    takes_rows = False  # gradients of a few rows as such

    def __init__(self, storage: Storage) -> None:
        self.steps = 0
        self.memory = Memory()
        self.parameters: list[int] = []  # slots in the storage of what the memory is about
        self._names = storage.parameters
        self._store = storage.store

    @property
    def slots(self) -> list[str]:
        """Names of what is kept for each of `parameters`."""
        return _slots(len(self.memory.pairs)) if self.parameters else []

    def slot(self, name: str, parameter: int) -> Array:
        """A part of the memory as it is now, a view in the shape of the parameter; a step makes new ones."""
        kind, _, at = name.partition(".")
        pairs, memory = self.memory.pairs, self.memory
        if kind in ("d", "prev_flat_grad"):
            flat = memory.direction if kind == "d" else memory.gradient
        else:
            flat = pairs[int(at)].change if kind == "old_dirs" else pairs[int(at)].move
        assert flat is not None
        sizes = [self._store.parameter(each).size for each in self.parameters]
        place = self.parameters.index(parameter)
        begin = sum(sizes[:place])
        return flat[begin : begin + sizes[place]].reshape(self._store.parameter(parameter).shape)

    def saved(self) -> dict[str, Any]:
        """What a file needs besides the slots."""
        memory = self.memory
        return {
            "parameters": [self._names[slot] for slot in self.parameters],
            "t": memory.t,
            "H_diag": memory.scale,
            "ro": [pair.inverse for pair in memory.pairs],
        }

    def make(self, saved: Mapping[str, Any]) -> None:
        """The memory that `saved` tells of, after `check_saved`, with zeros in all slots."""
        self.parameters = [self._names.index(name) for name in saved["parameters"]]
        size = sum(self._store.parameter(slot).size for slot in self.parameters)

        def zeros() -> Array:
            return np.zeros(size, self._store.dtype)

        self.memory = Memory(
            [Pair(zeros(), zeros(), inverse) for inverse in saved["ro"]],
            saved["H_diag"],
            zeros() if self.parameters else None,
            saved["t"],
            zeros() if self.parameters else None,
        )


def _slots(pairs: int) -> list[str]:
    each = [f"{kind}.{i}" for kind in ("old_dirs", "old_stps") for i in range(pairs)]
    return ["d", "prev_flat_grad", *each]


def check_saved(saved: Any, slots: Sequence[Any], names: Sequence[str]) -> list[str]:
    """The parameters that `FullBatchUpdates.saved` is about, all of them among `names`.

    ValueError, TypeError or KeyError unless it fits the slots.
    """
    for key, values in (("t", [saved["t"]]), ("H_diag", [saved["H_diag"]]), ("ro", saved["ro"])):
        for value in values:
            number("LBFGS", key, value, least=0.0)
    parameters: list[str] = saved["parameters"]
    known = isinstance(parameters, list) and all(name in names for name in parameters)
    if not known or len(set(parameters)) < len(parameters):
        raise ValueError("LBFGS: parameters must be names of the model's parameters")
    if list(slots) != (_slots(len(saved["ro"])) if parameters else []):
        raise ValueError("LBFGS: its slots are not those of its memory")
    return parameters


# Steps


class FullBatchSession:
    """Steps of LBFGS on a full batch: used like a native session, of one step an epoch.

    Places that are only tried lie in a store of its own: until a step is done, the model stays as it is.
    """

    steps_per_epoch = 1

    def __init__(
        self,
        optimizer: LBFGS,
        plan: FullBatchPlan,
        storage: Storage,
        updates: FullBatchUpdates,
        data: Samples,
        signature: Signature,
        seed: int,
        threads: int,
    ) -> None:
        self._optimizer = optimizer
        self._plan = plan
        self._store = storage.store
        self._updates = updates
        self._arrays = [data.chosen(array) for array in data.arrays]
        self._specs = signature.specs()
        self._seed = seed
        self._threads = threads
        self._trial = _twin(storage)
        self._own = [self._store.parameter(slot) for slot in plan.parameters]
        self._tried = [self._trial.parameter(slot) for slot in plan.parameters]
        _, self._layers = layers_of(storage.parameters)
        self.position = self.skipped = 0
        self.wrong_layer = -1
        self._kept: dict[int, Array] = {}  # rows of the epoch's step by the output's number
        self.totals = self.last = np.zeros(1)

    def begin_epoch(self, epoch: int, shuffle: bool) -> None:  # noqa: ARG002 - as of a native session
        """The next step is the first; the order of a full batch's rows stays as it is."""
        self.position = 0
        self.totals, self._kept = np.zeros(1), {}

    @property
    def finished(self) -> bool:
        """Whether the epoch's step is done."""
        return self.position >= self.steps_per_epoch

    def seek(
        self, position: int, totals: Sequence[float], skipped: int, collected: Mapping[int, Array]
    ) -> None:
        """Goes on behind the step, or before it, as a native session does."""
        self.position, self.totals, self.skipped = position, np.asarray(totals, np.float64), skipped
        self._kept = dict(collected)

    def collected(self, output: int) -> Array:
        """The rows of an output of the epoch's step, (samples, elements of a row); none before it."""
        return self._kept.get(output, np.zeros((0, 0)))

    def run(self, steps: int, rates: Array) -> int:
        """Runs one step, if there is one left; 0 if it was refused and nothing changed."""
        if min(steps, self.steps_per_epoch - self.position) <= 0:
            return 0
        self.wrong_layer = -1
        with np.errstate(all="ignore"):
            return int(self._step(float(rates[0, 0])))

    def _step(self, rate: float) -> bool:
        updates, plan = self._updates, self._plan
        arrays = sparse.plan_inputs(self._arrays, self._specs)
        self._trial.flat_parameters[...] = self._store.flat_parameters
        self._trial.flat_states[...] = self._store.flat_states
        described, first, gradients, states = self._evaluate(arrays)
        kept = {at: described[at].reshape(len(described[at]), -1) for at in plan.outputs.collected}
        self.last = _flat([each for at, each in enumerate(described) if at not in kept]).astype(np.float64)
        if not (math.isfinite(self.last[0]) and math.isfinite(first)):
            return False
        for place, gradient in enumerate(gradients):
            if not np.isfinite(gradient).all():
                self.wrong_layer = self._layers[plan.parameters[place]]
                return False

        def evaluate(x: Array) -> Point:
            _fill(self._tried, x)
            _, loss, parts, _ = self._evaluate(arrays)
            gradient = _flat(parts)
            finite = all(map(math.isfinite, (loss, largest(gradient), largest(x))))
            return Point(loss if finite else math.inf, gradient)

        memory = updates.memory if updates.parameters == plan.parameters else Memory()
        start = Point(first, _flat(gradients))
        found = self._optimizer.minimise(rate, _flat(self._own), start, memory, evaluate)
        if found is None:
            return False
        with interrupts.deferred():
            x, updates.memory = found
            updates.parameters = [] if updates.memory.direction is None else list(plan.parameters)
            updates.steps += 1
            _fill(self._own, x)
            for slot, value in zip(plan.states, states, strict=True):
                self._store.state(slot)[...] = value
            self.totals, self._kept = self.last.copy(), kept
            self.position += 1
        return True

    def _evaluate(self, arrays: list[Array]) -> tuple[list[Array], float, list[Array], list[Array]]:
        """What the task describes, what is minimised, gradients and new states, at the parameters tried."""
        plan = self._plan
        outputs = plan.plan.run(
            self._trial, arrays, threads=self._threads, seed=self._seed, step=self._updates.steps
        )
        end = plan.described + 1 + len(plan.parameters)
        middle = outputs[plan.described + 1 : end]
        return outputs[: plan.described], float(outputs[plan.described]), middle, outputs[end:]


def _twin(storage: Storage) -> Store:
    """A store laid out like another one."""
    store = storage.store
    parameters = [(name, store.parameter(slot).shape) for slot, name in enumerate(storage.parameters)]
    states = [(name, store.state(slot).shape) for slot, name in enumerate(storage.states)]
    return core.Store(parameters, states, store.dtype)


def _flat(arrays: Sequence[Array]) -> Array:
    return np.concatenate([array.reshape(-1) for array in arrays])


def _fill(arrays: Sequence[Array], flat: Array) -> None:
    begin = 0
    for array in arrays:
        array[...] = flat[begin : begin + array.size].reshape(array.shape)
        begin += array.size
