"""What a trainer runs: sessions of many steps, evaluation, gradients, prediction, by plans that are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore import intake
from bpcore.basics import interrupts, tree
from bpcore.engine import fullbatch
from bpcore.engine.control import layers_of
from bpcore.engine.fullbatch import FullBatchSession, FullBatchUpdates
from bpcore.engine.pace import Pace
from bpcore.engine.repeated import RepeatedStep
from bpcore.engine.sessions import Sessions
from bpcore.engine.streaming import Opened, StreamSession
from bpcore.intake import Samples
from bpcore.nn.module import lookups
from bpcore.nn.module.calling import Compiled, compile_call
from bpcore.nn.module.changes import Watch
from bpcore.optim import LBFGS
from bpcore.symbolic import sparse, tracing
from bpcore.symbolic.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bpcore._core import Plan, Session
    from bpcore.basics.arrays import Array
    from bpcore.engine.outputs import Outputs
    from bpcore.intake import Feed, Signature
    from bpcore.nn.module.parameter import Storage
    from bpcore.nn.module.quick import Quick
    from bpcore.watching.health import Health

__all__ = ["Engine"]


class Engine(Sessions):
    """Trains, evaluates and predicts on checked samples."""

    _quick: Quick | None = None  # of predictions
    _repeated: RepeatedStep | None = None  # the last step

    def training(
        self,
        who: str,
        data: Samples | Feed,
        batch_size: int,
        accumulate: int,
        watch_every: int | None,
        begin: tuple[int, bool],
    ) -> tuple[Session | FullBatchSession | StreamSession, Outputs, Health | None]:
        """A session that trains on `data`, its outputs, and with `watch_every` what it measures so often.

        It will `begin` with this epoch, shuffled or not. Labels out of range are a ValueError.
        """
        if not isinstance(data, Samples):
            return self._streaming(who, data, begin, accumulate, watch_every)
        if isinstance(self.optimizer, LBFGS):
            fullbatch.check_fit(who, data.rows, batch_size, accumulate)
            if watch_every is not None:
                raise ValueError(f"{who}: GradientHealth can't watch the steps of LBFGS")
        storage = self.ready(data.signature(batch_size, self._dtype))
        updates = self.updates
        if isinstance(updates, FullBatchUpdates):
            if data.by_batch:
                intake.check_finite(who, data, self._dtype)
            session, (full_batch_plan, outputs) = self._full_batch_session(data, storage, updates)
            self._check_labels(who, full_batch_plan, data)
            return session, outputs, None
        by_rows = self._by_rows(who, accumulate, watch_every is not None)
        plan, tail, outputs = self._plan_pair("training", data, batch_size, storage, by_rows)
        self._check_labels(who, plan, data)
        watching, health = None, None
        if watch_every is not None:
            watching, health = self._watching(data.signature(batch_size, self._dtype), storage)
        native = self._session(
            who,
            plan,
            tail,
            outputs,
            storage,
            data,
            batch_size,
            accumulate=accumulate,
            watching_plan=watching,
            watch_every=watch_every or 0,
        )
        return native, outputs, health

    def _streaming(
        self, who: str, feed: Feed, begin: tuple[int, bool], accumulate: int, watch_every: int | None
    ) -> tuple[StreamSession, Outputs, Health | None]:
        """On the batches of `feed`; those of the first step are taken now."""
        fullbatch.check_stream(who, self.optimizer)
        health: Health | None = None
        watched: tuple[Signature, Plan] | None = None

        def opened(batches: list[Samples]) -> Opened:
            nonlocal health, watched
            signature = batches[0].signature(batches[0].rows, self._dtype)
            storage = self.ready(signature)
            if watch_every is not None and watched is None:
                plan, health = self._watching(signature, storage)
                watched = signature, plan
            watching: dict[str, Any] = {}
            if watched is not None and watched[0] == signature:  # a tail is not watched either
                watching = {"watching_plan": watched[1], "watch_every": watch_every}
            by_rows = self._by_rows(who, accumulate, watch_every is not None)
            return self._opened("training", batches, storage, by_rows, accumulate=accumulate, **watching)

        session = StreamSession(feed, opened, accumulate)
        _prepare(session, *begin)
        return session, session.outputs, health

    def evaluation(self, who: str, data: Samples | Feed, batch_size: int) -> Callable[[], dict[str, Any]]:
        """What computes loss and metrics over `data`, as often as it is called."""
        if not isinstance(data, Samples):
            return self._streaming_evaluation(data)
        batch_size = min(batch_size, data.rows)
        with self.first_use():
            storage = self.ready(data.signature(batch_size, self._dtype))
            plan, tail, outputs = self._plan_pair("evaluation", data, batch_size, storage)
            self._check_labels(who, plan, data)
        session = self._session(who, plan, tail, outputs, storage, data, batch_size, training=False)
        return self._evaluate(session, outputs)

    def _streaming_evaluation(self, feed: Feed) -> Callable[[], dict[str, Any]]:
        """On the batches of `feed`; the first of them is taken now."""

        def opened(batches: list[Samples]) -> Opened:
            storage = self.ready(batches[0].signature(batches[0].rows, self._dtype))
            return self._opened("evaluation", batches, storage, training=False)

        session = StreamSession(feed, opened)
        with self.first_use():
            _prepare(session, 0, False)
        return self._evaluate(session, session.outputs)

    def _evaluate(self, session: Session | StreamSession, outputs: Outputs) -> Callable[[], dict[str, Any]]:
        pace = Pace()

        def evaluate() -> dict[str, Any]:
            session.begin_epoch(0, False)
            while not session.finished:
                steps = pace.steps()
                pace.run(session, steps, np.zeros((steps, 1)))
                interrupts.check()
            return outputs.values(session)

        return evaluate

    def repeated(self, inputs: Sequence[Any]) -> RepeatedStep | None:
        """The last step, with these arrays in it, if they are a batch as its was; for `step`."""
        repeated = self._repeated
        return repeated if repeated is not None and repeated.takes(inputs) else None

    def step(self, data: Samples | RepeatedStep, rates: Array) -> tuple[float, str | None]:
        """One update on a batch: its mean loss, and why it was refused, None if it wasn't."""
        session: Session | FullBatchSession
        if isinstance(data, RepeatedStep):
            session = data.session
            self.task.check_labels("step", data.data)
        else:
            session = self._prepared(data)
        session.begin_epoch(0, False)
        assert self._storage is not None
        with self.turn("step"), self._storage.writing:
            done = session.run(1, rates)
        refused = None if done and not session.skipped else self.refusal(session)
        return float(session.last[0]), refused

    def _prepared(self, data: Samples) -> Session | FullBatchSession:
        """A session whose only step is on `data`; kept for others like it."""
        signature = data.signature(data.rows, self._dtype)
        watch = Watch(self.task.model)

        def make() -> tuple[Session | FullBatchSession, list[Any], Plan]:
            buffers = [sparse.buffer_for([array]) for array in data.arrays]
            own, updates = data._replace(arrays=tuple(buffers)), self.updates
            if isinstance(updates, FullBatchUpdates):
                session, (plan, _) = self._full_batch_session(own, storage, updates)
                return session, buffers, plan
            by_rows, lazy = self._by_rows("step"), self.optimizer.is_lazy
            plan, outputs = self.task.training_plan(signature, storage, by_rows, lazy)
            return self._session("step", plan, None, outputs, storage, own, data.rows), buffers, plan

        with self.first_use():
            storage = self.ready(signature)
            key = ("step", signature, tuple(array.dtype.str for array in data.arrays), self._trainable())
            session: Session | FullBatchSession
            session, buffers, plan = self._plans.get(key, make)
            self._check_labels("step", plan, data)
        for buffer, array in zip(buffers, data.arrays, strict=True):
            buffer[:] = array
        self._repeated = None
        simple = data.inputs is None and data.outputs is None and not data.weighted
        arrays = all(type(buffer) is np.ndarray for buffer in buffers)
        if simple and arrays and tracing.mode() is None and not isinstance(session, FullBatchSession):
            own = data._replace(arrays=tuple(buffers))
            self._repeated = RepeatedStep(watch, self._parameters, own, session, plan, self._dtype)
        return session

    def refusal(self, session: Session | FullBatchSession | StreamSession) -> str:
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

    def predict(self, who: str, data: Samples, batch_size: int) -> list[Any]:
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
            intake.check_indices(who, compiled.plan, data, lookups.takers(self.task.model))
        parts = []
        for start in range(0, data.rows, batch_size):
            batch = data.slice(start, start + batch_size)
            if data.by_batch:
                intake.check_finite(f"{who}: rows from {start} on", batch, self._dtype)
            arrays = [sparse.narrowed(array, self._dtype, who) for array in batch.arrays]
            if batch.rows != batch_size:
                compiled = prediction(batch.rows)
                specs = data.signature(batch.rows, self._dtype).specs()
            parts.append(compiled(sparse.plan_inputs(arrays, specs), self.threads()))
        if data.rows == batch_size and (data.inputs is None or data.inputs == tuple(range(len(data.inputs)))):
            self._quick = compiled.quick(watch, self._quick)
        return parts

    def predict_quickly(self, x: Any, batch_size: Any, finite: Any) -> Any:
        """The output for a batch like one before; None if `predict` has to see to it.

        However small `batch_size` is: such a batch takes little memory, and it makes no other difference.
        """
        quick = self._quick
        if quick is None or type(batch_size) is not int or batch_size < 1 or type(finite) is not bool:
            return None
        return quick(x if type(x) is tuple else (x,), finite)

    def _compile_prediction(self, signature: Signature, storage: Storage) -> Compiled:
        def predict(*arrays: Tensor) -> Any:
            call = signature.call(arrays)
            output = call.given_to(self.task.model)
            if output is None:
                raise TypeError("predict: the model returned None; is there no return in its __call__?")
            for leaf in tree.leaves(output):
                shape = leaf.shape if isinstance(leaf, (Tensor, np.ndarray)) else None
                if shape is None or shape[:1] != (signature.rows,):
                    found = type(leaf).__name__ if shape is None else f"one of shape {shape}"
                    lone = any(len(shape) == 1 for shape, *_ in signature.specs())
                    raise ValueError(
                        "predict: each output of the model must be an array with one row a sample, got "
                        f"{found} for {signature.rows} samples; "
                        + (
                            "a single sample is given as x[None]"
                            if lone
                            else "call the model itself for others"
                        )
                    )
            return output

        return compile_call(predict, signature.specs(), storage)


def _prepare(session: StreamSession, epoch: int, shuffle: bool) -> None:
    """Begins the epoch and takes the batches of its first step, so that errors come before anything else."""
    session.begin_epoch(epoch, shuffle)
    if session.finished:
        raise AssertionError("a feed without batches raises")
