"""What a trainer runs: sessions of many steps, evaluation, gradients, prediction, by plans that are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore import fullbatch, intake, runtime, sparse, tracing, tree
from bpcore._native import core
from bpcore.control import layers_of
from bpcore.fitting import Pace
from bpcore.fullbatch import FullBatchSession, FullBatchUpdates
from bpcore.health import Health
from bpcore.nn.calling import Compiled, Quick, compile_call
from bpcore.nn.changes import Watch
from bpcore.optim import LBFGS
from bpcore.sparse import SparseMatrix
from bpcore.tensor import Tensor
from bpcore.training_state import TrainingState

if TYPE_CHECKING:
    from collections.abc import Callable

    from bpcore._core import Optimizer as Updates
    from bpcore._core import Plan, Session
    from bpcore.arrays import Array
    from bpcore.compile import Task
    from bpcore.control import GradientControl
    from bpcore.intake import Samples, Signature
    from bpcore.nn.parameter import Storage
    from bpcore.optim import Optimizer

__all__ = ["Engine"]


class Engine(TrainingState):
    """Makes sessions and results of checked samples."""

    def __init__(
        self,
        task: Task,
        optimizer: Optimizer,
        control: GradientControl,
        seed: int,
        dtype: str,
        threads: int | None,
    ) -> None:
        super().__init__(task, optimizer, control, seed, dtype)
        self._threads = threads
        self._quick: tuple[int, Quick | None] = 0, None  # rows and way of the last prediction

    def threads(self) -> int:
        """The most threads that a native call may use."""
        return runtime.threads() if self._threads is None else self._threads

    def training(
        self, who: str, data: Samples, batch_size: int, accumulate: int = 1, watch_every: int | None = None
    ) -> tuple[Session | FullBatchSession, Health | None]:
        """A session that trains on `data`, and, with `watch_every`, what it measures every so many steps.

        Labels out of range are a ValueError.
        """
        if isinstance(self.optimizer, LBFGS):
            fullbatch.check_fit(who, data.rows, batch_size, accumulate)
            if watch_every is not None:
                raise ValueError(f"{who}: GradientHealth can't watch the steps of LBFGS")
        storage = self.ready(data.signature(batch_size, self._dtype))
        updates = self.updates
        if isinstance(updates, FullBatchUpdates):
            session, full_batch_plan = self._full_batch_session(data, storage, updates)
            self._check_labels(who, full_batch_plan, data)
            return session, None
        by_rows = self._by_rows(who, updates, accumulate, watch_every is not None)
        plan, tail = self._plan_pair("training", data, batch_size, storage, by_rows)
        self._check_labels(who, plan, data)
        watching, health = None, None
        if watch_every is not None:
            signature = data.signature(batch_size, self._dtype)
            watching, activities = self._plans.get(
                ("watching", signature, self._trainable()),
                lambda: self.task.watching_plan(signature, storage),
            )
            layers, layer_of = layers_of(storage.parameters)
            sizes = [0] * len(layers)
            for slot, layer in enumerate(layer_of):
                sizes[layer] += storage.store.parameter(slot).size
            health = Health(layers, sizes, activities, self.steps)
        native = core.Session(
            plan,
            tail,
            storage.store,
            updates,
            data.native(),
            batch_size,
            accumulate=accumulate,
            skip=self.control.nonfinite == "skip",
            watching_plan=watching,
            watch_every=watch_every or 0,
            seed=self._seed,
            threads=self.threads(),
            rows=_rows(data),
        )
        return native, health

    def evaluation(self, who: str, data: Samples, batch_size: int) -> Callable[[], dict[str, float]]:
        """What computes loss and metrics over `data`, as often as it is called."""
        batch_size = min(batch_size, data.rows)
        with self.first_use():
            storage = self.ready(data.signature(batch_size, self._dtype))
            plan, tail = self._plan_pair("evaluation", data, batch_size, storage)
            self._check_labels(who, plan, data)
        session = self._session(plan, tail, storage, None, data, batch_size)
        pace = Pace()

        def evaluate() -> dict[str, float]:
            session.begin_epoch(0, False)
            while session.position < session.steps_per_epoch:
                steps = min(pace.steps(), session.steps_per_epoch - session.position)
                pace.run(session, steps, np.zeros((steps, 1)))
            return self.task.values(session.totals)

        return evaluate

    def step(self, data: Samples, rates: Array) -> tuple[float, str | None]:
        """One update on the batch `data`: its mean loss, and why it was refused, None if it wasn't."""
        signature = data.signature(data.rows, self._dtype)

        def make() -> tuple[Session | FullBatchSession, list[Any], Plan]:
            buffers = [
                array.buffer(spec[2]) if isinstance(array, SparseMatrix) else np.empty_like(array)
                for array, spec in zip(data.arrays, signature.arrays, strict=True)
            ]
            own, updates = data._replace(arrays=tuple(buffers)), self.updates
            if isinstance(updates, FullBatchUpdates):
                session, plan = self._full_batch_session(own, storage, updates)
                return session, buffers, plan
            plan = self.task.training_plan(signature, storage, self._by_rows("step", updates))
            return self._session(plan, None, storage, updates, own, data.rows), buffers, plan

        with self.first_use():
            storage = self.ready(signature)
            key = ("step", signature, tuple(array.dtype.str for array in data.arrays), self._trainable())
            session, buffers, plan = self._plans.get(key, make)
            self._check_labels("step", plan, data)
        for buffer, array in zip(buffers, data.arrays, strict=True):
            if isinstance(array, SparseMatrix):
                buffer.copy_from(array)
            else:
                buffer[...] = array
        session.begin_epoch(0, False)
        with self.turn("step"):
            done = session.run(1, rates)
        refused = None if done and not session.skipped else self.refusal(session)
        return float(session.last[0]), refused

    def refusal(self, session: Session | FullBatchSession) -> str:
        """What was not finite where `session` refused an update last."""
        if session.wrong_layer < 0:
            return "the loss is not finite"
        assert self._storage is not None
        layers, _ = layers_of(self._storage.parameters)
        layer = layers[session.wrong_layer]
        return f"the gradient of layer {layer!r} is not finite" if layer else "the gradient is not finite"

    def gradients(self, data: Samples) -> dict[str, Array]:
        """Name -> gradient of the mean loss of the batch `data` by each parameter that it depends on."""
        signature = data.signature(data.rows, self._dtype)
        with self.first_use():
            storage = self.ready(signature)
            slots, runner = self._plans.get(
                ("gradients", signature, self._trainable()),
                lambda: self.task.gradient_runner(signature, storage),
            )
            self._check_labels("gradients", runner.plan, data)
        arrays = sparse.plan_inputs(data.arrays, signature.specs())
        _, *values = runner(arrays, threads=self.threads(), key=(self._seed, self.steps))
        return {storage.parameters[slot]: value for slot, value in zip(slots, values, strict=True)}

    def predict(self, data: Samples, batch_size: int) -> list[Any]:
        """The model's output for each batch of `data`."""
        batch_size = min(batch_size, data.rows)

        def prediction(rows: int) -> Compiled:
            signature = data.signature(rows, self._dtype)
            key = ("predict", signature, tracing.mode() is None)
            made: Compiled = self._plans.get(key, lambda: self._compile_prediction(signature, storage))
            return made

        watch = Watch(self.task.model)
        with self.first_use():
            storage = self.ready(data.signature(batch_size, self._dtype), predicting=True)
            compiled, specs = prediction(batch_size), data.signature(batch_size, self._dtype).specs()
            intake.check_indices("predict", compiled.plan, data)
        parts = []
        for start in range(0, data.rows, batch_size):
            batch = [array[start : start + batch_size] for array in data.arrays]
            rows = len(batch[0])
            if rows != batch_size:
                compiled, specs = prediction(rows), data.signature(rows, self._dtype).specs()
            parts.append(compiled(sparse.plan_inputs(batch, specs), self.threads()))
        if data.inputs is None and data.rows == batch_size:
            self._quick = batch_size, compiled.quick(watch)
        return parts

    def predict_quickly(self, x: Any, batch_size: int, finite: bool) -> Array | None:
        """The output for one batch like the last one; None if `predict` has to see to it."""
        rows, quick = self._quick
        if quick is None or type(batch_size) is not int or batch_size < rows:
            return None
        return quick(x, finite)

    def _compile_prediction(self, signature: Signature, storage: Storage) -> Compiled:
        def predict(*arrays: Tensor) -> Any:
            call = signature.call(arrays)
            output = self.task.model(*call.inputs, **call.named)
            if output is None:
                raise TypeError("predict: the model returned None; is there no return in its __call__?")
            for leaf in tree.leaves(output):
                shape = leaf.shape if isinstance(leaf, (Tensor, np.ndarray)) else None
                if shape is None or shape[:1] != (signature.rows,):
                    found = type(leaf).__name__ if shape is None else f"one of shape {shape}"
                    raise ValueError(
                        "predict: each output of the model must be an array with one row a sample, got "
                        f"{found} for {signature.rows} samples; call the model itself for others"
                    )
            return output

        return compile_call(predict, signature.specs(), storage)

    def _check_labels(self, who: str, plan: Plan, data: Samples) -> None:
        """ValueError for labels and indices out of range."""
        self.task.check_labels(who, data)
        intake.check_indices(who, plan, data)

    def _plan_pair(
        self, kind: str, data: Samples, batch_size: int, storage: Storage, by_rows: bool = False
    ) -> tuple[Plan, Plan | None]:
        """The plans of a full batch and of the smaller last one."""

        def plan(rows: int, by_rows: bool) -> Plan:
            signature = data.signature(rows, self._dtype)
            key = (kind, signature, tracing.mode() is None, self._trainable(), by_rows)

            def make() -> Plan:
                if kind == "training":
                    return self.task.training_plan(signature, storage, by_rows)
                return self.task.evaluation_plan(signature, storage)

            made: Plan = self._plans.get(key, make)
            return made

        rest = data.rows % batch_size
        full, tail = plan(batch_size, by_rows), plan(rest, by_rows) if rest else None
        if tail is not None and tail.row_gradients != full.row_gradients:
            return plan(batch_size, False), plan(rest, False)
        return full, tail

    def _by_rows(self, who: str, updates: Updates, accumulate: int = 1, watched: bool = False) -> bool:
        """Whether gradients of a few rows may be left to the update as such; ValueError if they must."""
        possible = updates.takes_rows and accumulate == 1 and not watched
        if self.optimizer.is_lazy and not possible:
            raise ValueError(
                f"{who}: a lazy optimizer reads gradients by rows: it can't go with accumulate, clipping, "
                "constraints, nonfinite=, ema= and GradientHealth"
            )
        return possible

    def _full_batch_session(
        self, data: Samples, storage: Storage, updates: FullBatchUpdates
    ) -> tuple[FullBatchSession, Plan]:
        """A session of LBFGS, and its plan."""
        assert isinstance(self.optimizer, LBFGS)
        signature = data.signature(data.rows, self._dtype)
        key = ("full batch", signature, tracing.mode() is None, self._trainable())
        plan = self._plans.get(key, lambda: self.task.full_batch_plan(signature, storage))
        threads = self.threads()
        return FullBatchSession(
            self.optimizer, plan, storage, updates, data, signature, self._seed, threads
        ), plan.plan

    def _session(
        self,
        plan: Plan,
        tail: Plan | None,
        storage: Storage,
        updates: Updates | None,
        data: Samples,
        batch_size: int,
    ) -> Session:
        return core.Session(
            plan,
            tail,
            storage.store,
            updates,
            data.native(),
            batch_size,
            seed=self._seed,
            threads=self.threads(),
            skip=self.control.nonfinite == "skip" and updates is not None,
            rows=_rows(data),
        )


def _rows(data: Samples) -> Array:
    """The rows that are samples, as sessions take them: none for all."""
    return np.zeros(0, np.int64) if data.selected is None else data.selected
