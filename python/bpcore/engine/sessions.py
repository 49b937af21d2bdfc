"""How sessions are made: the plans of what they run, kept, on the data that is there."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore import intake, runtime
from bpcore._native import core
from bpcore.engine.control import layers_of
from bpcore.engine.fullbatch import FullBatchSession, FullBatchUpdates
from bpcore.engine.state import TrainingState
from bpcore.engine.streaming import Opened
from bpcore.engine.task import TaskPlan
from bpcore.nn.module import lookups
from bpcore.optim import LBFGS
from bpcore.symbolic import sparse, tracing
from bpcore.watching.health import Health

if TYPE_CHECKING:
    from bpcore._core import Plan, Session
    from bpcore.engine.control import GradientControl
    from bpcore.engine.outputs import Outputs
    from bpcore.engine.task import Task
    from bpcore.intake import Samples, Signature
    from bpcore.nn.module.parameter import Storage
    from bpcore.optim import Optimizer

__all__ = ["Sessions"]


class Sessions(TrainingState):
    """Makes sessions of checked samples; their plans are kept."""

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

    def threads(self) -> int:
        """The most threads that a native call may use."""
        return runtime.threads() if self._threads is None else self._threads

    def _plan_pair(
        self, kind: str, data: Samples, batch_size: int, storage: Storage, by_rows: bool = False
    ) -> tuple[Plan, Plan | None, Outputs]:
        """The plans of a full batch and of the smaller last one, and what the outputs of both are.

        ValueError for a metric whose statistics don't add up.
        """

        def plan(rows: int, by_rows: bool) -> TaskPlan:
            signature = data.signature(rows, self._dtype)
            key = (kind, signature, tracing.mode() is None, self._trainable(), by_rows)

            def make() -> TaskPlan:
                if kind == "training":
                    return self.task.training_plan(signature, storage, by_rows, self.optimizer.is_lazy)
                return self.task.evaluation_plan(signature, storage)

            made: TaskPlan = self._plans.get(key, make)
            return made

        rest = data.rows % batch_size
        full, tail = plan(batch_size, by_rows), plan(rest, by_rows) if rest else None
        if tail is None:
            return full.plan, None, full.outputs
        if tail.plan.row_gradients != full.plan.row_gradients:
            full, tail = plan(batch_size, False), plan(rest, False)
        full.outputs.check_same(tail.outputs, batch_size, rest)
        return full.plan, tail.plan, full.outputs

    def _by_rows(self, who: str, accumulate: int = 1, watched: bool = False) -> bool:
        """Whether gradients of a few rows may be left to the update as such; ValueError if they must."""
        possible = self.updates.takes_rows and accumulate == 1 and not watched
        if self.optimizer.is_lazy and not possible:
            raise ValueError(
                f"{who}: a lazy optimizer reads gradients by rows: it can't go with accumulate, clipping, "
                "constraints, nonfinite=, ema= and GradientHealth"
            )
        return possible

    def _session(
        self,
        who: str,
        plan: Plan,
        tail: Plan | None,
        outputs: Outputs,
        storage: Storage,
        data: Samples,
        batch_size: int,
        *,
        training: bool = True,
        **options: Any,
    ) -> Session:
        updates = self.updates if training else None
        assert not isinstance(updates, FullBatchUpdates)
        return core.Session(
            plan,
            tail,
            storage.store,
            updates,
            data.native(),
            batch_size,
            collect=outputs.collected,
            seed=self._seed,
            threads=self.threads(),
            skip=training and self.control.nonfinite == "skip",
            rows=np.zeros(0, np.int64) if data.selected is None else data.selected,
            finite_names=[f"{who}: {name}" for name in data.native_names()] if data.by_batch else [],
            **options,
        )

    def _full_batch_session(
        self, data: Samples, storage: Storage, updates: FullBatchUpdates
    ) -> tuple[FullBatchSession, TaskPlan]:
        """A session of LBFGS, and its plan."""
        assert isinstance(self.optimizer, LBFGS)
        signature = data.signature(data.rows, self._dtype)
        key = ("full batch", signature, tracing.mode() is None, self._trainable())
        plan = self._plans.get(key, lambda: self.task.full_batch_plan(signature, storage))
        threads = self.threads()
        return FullBatchSession(
            self.optimizer, plan, storage, updates, data, signature, self._seed, threads
        ), TaskPlan(plan.plan, plan.outputs)

    def _opened(
        self, kind: str, batches: list[Samples], storage: Storage, by_rows: bool = False, **options: Any
    ) -> Opened:
        """A session of one step for batches like these."""
        first = batches[0]
        buffers = [sparse.buffer_for(parts) for parts in zip(*(each.arrays for each in batches), strict=True)]
        data = first._replace(arrays=tuple(buffers))
        plan, tail, outputs = self._plan_pair(kind, data, first.rows, storage, by_rows)
        session = self._session(kind, plan, tail, outputs, storage, data, first.rows, **options)
        writing = storage.writing if kind == "training" else nullcontext()
        return Opened(
            session, buffers, outputs, lambda who, batch: self._check_labels(who, plan, batch), writing
        )

    def _watching(self, signature: Signature, storage: Storage) -> tuple[Plan, Health]:
        """The plan of watched steps, and what takes down what they measure."""
        plan, activities = self._plans.get(
            ("watching", signature, self._trainable()),
            lambda: self.task.watching_plan(signature, storage),
        )
        layers, layer_of = layers_of(storage.parameters)
        sizes = [0] * len(layers)
        for slot, layer in enumerate(layer_of):
            sizes[layer] += storage.store.parameter(slot).size
        return plan, Health(layers, sizes, activities, self.steps)

    def _check_labels(self, who: str, plan: Plan, data: Samples) -> None:
        """ValueError for labels and indices out of range."""
        self.task.check_labels(who, data)
        intake.check_indices(who, plan, data, lookups.takers(self.task.model))
