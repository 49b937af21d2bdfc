"""Plans of what a trainer computes for a batch: loss, metrics, gradients."""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Any, NamedTuple

from bpcore import intake
from bpcore._native import core
from bpcore.engine.measuring import compared, described, errors_named, statistics, summed, without_ignored
from bpcore.engine.outputs import Measured, Outputs
from bpcore.metrics import Metric
from bpcore.nn.module.build import collect
from bpcore.symbolic import sparse
from bpcore.symbolic.autodiff import gradients_of
from bpcore.symbolic.tensor import Tensor
from bpcore.symbolic.tracing import Runner, Trace, inference
from bpcore.watching.activity import activities

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from bpcore._core import Plan
    from bpcore.engine.goals import Goals
    from bpcore.intake import Samples, Signature
    from bpcore.losses import Resolved
    from bpcore.metrics.base import Function
    from bpcore.nn.module import Module
    from bpcore.nn.module.parameter import Storage
    from bpcore.nn.penalties import Regularizer
    from bpcore.symbolic.tracing import Leaf

__all__ = ["FullBatchPlan", "Task", "TaskPlan"]


class Description(NamedTuple):
    """What a trace computes of a batch: the mean loss, then the tensors that `outputs` tells of."""

    tensors: list[Tensor]
    outputs: Outputs


class TaskPlan(NamedTuple):
    """A plan, and what its outputs are about."""

    plan: Plan
    outputs: Outputs


class FullBatchPlan(NamedTuple):
    """A plan whose outputs are those of `Task.describe`, what is minimised, its gradients, and new states."""

    plan: Plan
    outputs: Outputs
    described: int  # how many are those of `Task.describe`
    parameters: list[int]  # slots of the gradients
    states: list[int]  # slots of the new states


class Task:
    """What is learned: a model with losses against targets, or with an objective of its own.

    Its plans give the mean loss of the batch, then for each loss, and for each metric that is a function, a
    sum over the batch's elements and its weight, their number unless samples are weighted; for metrics that
    are objects, their statistics. Over an epoch all but the first are added up, or kept row by row.
    """

    def __init__(
        self,
        model: Module,
        goals: Goals,
        objective: Callable[..., Any] | None,
        regularizer: Regularizer | None = None,
    ) -> None:
        self.model = model
        self._goals = goals
        self._objective = objective
        self._regularizer = regularizer  # of weights that have none of their own
        self._classes: dict[Hashable, dict[int | str | None, int]] = {}  # of outputs, by what is in a row
        self.names = goals.names

    def check_labels(self, who: str, data: Samples) -> None:
        """ValueError if a target that has been described is not among its loss's classes."""
        found = self._classes.get(_kind([array.shape[1:] for array in data.arrays], data), {})
        for goal in self._goals.each:
            if goal.key in found:
                what = who if goal.key is None else f"{who}: output {goal.key!r}"
                loss, classes = goal.loss, found[goal.key]
                labels = data.targets[goal.key]
                intake.check_labels(f"{what}: y", labels, loss.name or "", classes, loss.ignore_index)

    def describe(self, trace: Trace, signature: Signature) -> Description:
        """Adds the whole computation to `trace`, with an input for each array."""
        call = signature.call([sparse.symbolic(trace, *spec) for spec in signature.specs()])
        if self._objective is not None:
            value = self._objective(self.model, *call.inputs, **call.named)
            if getattr(value, "shape", None) != ():
                raise ValueError(f"the objective must return a scalar tensor, got {described(value)}")
            mean, pair = summed("objective", value, None, signature.rows)
            return Description([mean, *pair], Outputs())
        prediction = call.given_to(self.model)
        self._goals.check(prediction)
        means, sums, parts, learned, measured = [], [], [], [], []
        classes = self._classes.setdefault(_kind([shape for shape, *_ in signature.arrays], signature), {})
        for goal in self._goals.each:
            if goal.loss.function is None and not goal.metrics:
                continue
            with goal.named():
                own, target = goal.part("prediction", prediction), goal.part("target", call.target)
                weight = call.weight(goal.key)
                if goal.loss.function is not None:
                    value = compared("loss", goal.loss.function, own, target)
                    if goal.loss.labels:
                        scores = own if isinstance(own, Tensor) else own[0]
                        classes[goal.key] = scores.shape[-1]
                    mean, pair = summed("loss", value, weight, signature.rows)
                    means.append(mean if goal.weight == 1.0 else mean * goal.weight)
                    sums += pair
                    learned.append(Measured(goal.loss_name))
                for name, metric in goal.metrics.items():
                    found, about = _measured(name, metric, goal.loss, own, target, weight, signature.rows)
                    parts += found
                    measured.append(about)
        tensors = [functools.reduce(operator.add, means), *sums, *parts]
        return Description(tensors, Outputs((*learned, *measured), self._goals.terms))

    def training_plan(
        self, signature: Signature, storage: Storage, by_rows: bool = False, lazy: bool = False
    ) -> TaskPlan:
        """The plan of a step: it ends in the gradients, by rows if asked for, and writes the states.

        For a `lazy` optimizer, an embedding's gradient has the rows of the batch, however small the table is.
        """
        with self._training_trace(storage) as trace:
            if lazy:
                trace.graph.keep_rows()
            tensors, outputs = self.describe(trace, signature)
            slots, gradients, _ = self._gradients(trace, tensors[0])
        ends = [(slot, gradient.node) for slot, gradient in zip(slots, gradients, strict=True)]
        nodes = [tensor.node for tensor in tensors]
        return TaskPlan(core.Plan(trace.graph, nodes, ends, True, by_rows), outputs)

    def _training_trace(self, storage: Storage) -> Trace:
        # Random layers go by their paths, and one of them may have become a part of another model as well.
        collect(self.model)
        return Trace(training=True, storage=storage, own_only=True)

    def watching_plan(self, signature: Signature, storage: Storage) -> tuple[Plan, list[tuple[str, str]]]:
        """The plan of a step with shares of idle units behind its outputs; their paths and kinds."""
        with self._training_trace(storage) as trace:
            tensors = self.describe(trace, signature).tensors
            found = activities(trace)
            slots, gradients, _ = self._gradients(trace, tensors[0])
        ends = [(slot, gradient.node) for slot, gradient in zip(slots, gradients, strict=True)]
        nodes = [*(tensor.node for tensor in tensors), *(each.share.node for each in found)]
        return core.Plan(trace.graph, nodes, ends, True), [(each.path, each.kind) for each in found]

    def evaluation_plan(self, signature: Signature, storage: Storage) -> TaskPlan:
        """The plan of loss and metrics in inference mode."""
        with inference(), Trace(storage=storage, own_only=True) as trace:
            tensors, outputs = self.describe(trace, signature)
        # A session stops where its first output is not finite; evaluation doesn't, so that is a weight here.
        nodes = [tensor.node for tensor in (tensors[2], *tensors[1:])]
        return TaskPlan(core.Plan(trace.graph, nodes), outputs)

    def gradient_runner(self, signature: Signature, storage: Storage) -> tuple[list[int], Runner]:
        """The parameters' slots, and what computes the loss, then the gradient of each, in training mode."""
        with self._training_trace(storage) as trace:
            loss = self.describe(trace, signature).tensors[0]
            slots, gradients, _ = self._gradients(trace, loss)
        return slots, trace.runner([loss.node, *(gradient.node for gradient in gradients)])

    def full_batch_plan(self, signature: Signature, storage: Storage) -> FullBatchPlan:
        """The plan of an optimizer that evaluates loss and gradient of a batch several times."""
        with self._training_trace(storage) as trace:
            tensors, outputs = self.describe(trace, signature)
            slots, gradients, total = self._gradients(trace, tensors[0])
            nodes = [tensor.node for tensor in (*tensors, total, *gradients)]
            plan = core.Plan(trace.graph, [*nodes, *trace.assigned.values()])
        return FullBatchPlan(plan, outputs, len(tensors), slots, list(trace.assigned))

    def _gradients(self, trace: Trace, loss: Tensor) -> tuple[list[int], list[Tensor], Tensor]:
        """The slots of what is trained, the gradients of the loss with all regularisation terms, and that."""
        leaves = trace.parameters()
        if not leaves:
            raise ValueError("the loss does not depend on any trainable parameter of the model")
        weights = [Tensor(trace, node) for _, node in leaves]
        gradients = gradients_of(loss, weights, trace)
        if all(trace.graph.is_zero(gradient.node) for gradient in gradients):
            raise ValueError(
                "the loss has no gradient by any trainable parameter, so nothing can lower it: it is made of "
                "steps, as comparisons and argmax are, or of what stop_gradient holds back"
            )
        terms = [
            _penalty(leaf, regularizer, weight)
            for (leaf, _), weight in zip(leaves, weights, strict=True)
            if (regularizer := self._regularizer_of(leaf)) is not None
        ]
        if terms:
            loss = functools.reduce(operator.add, terms, loss)
            gradients = gradients_of(loss, weights, trace)
        return [leaf.slot for leaf, _ in leaves], gradients, loss

    def _regularizer_of(self, leaf: Leaf) -> Regularizer | None:
        own: Regularizer | None = getattr(leaf, "regularizer", None)
        return own if own is not None or len(leaf.shape) < 2 else self._regularizer


def _kind(shapes: Sequence[tuple[int, ...]], form: Samples | Signature) -> Hashable:
    """What the classes of outputs depend on: the `shapes` of a row, and what they belong to."""
    return tuple(shapes), form.inputs, form.outputs


def _measured(
    name: str,
    metric: Function | Metric,
    loss: Resolved,
    prediction: Any,
    target: Any,
    weight: Tensor | None,
    rows: int,
) -> tuple[list[Tensor], Measured]:
    """What a metric adds up of a batch, and what that is about."""
    with errors_named(name):
        if isinstance(metric, Metric):
            counted = without_ignored(loss, prediction, target, weight)
            found, shapes = statistics(metric, prediction, *counted, rows)
            return found, Measured(name, metric, shapes)
        value = compared(f"metric {name}", metric, prediction, target)
        return summed(f"metric {name}", value, weight, rows)[1], Measured(name)


def _penalty(leaf: Leaf, regularizer: Regularizer, weight: Tensor) -> Tensor:
    term = regularizer(weight)
    if not isinstance(term, Tensor) or term.shape != ():
        raise ValueError(f"the regularizer of {leaf.name} must return a scalar tensor, got {described(term)}")
    return term
