"""Plans of what a trainer computes for a batch: loss, metrics, gradients."""

from __future__ import annotations

import functools
import math
import operator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bpcore import intake, ops, sparse
from bpcore._native import core
from bpcore.activity import activities
from bpcore.arrays import FLOATS
from bpcore.autodiff import gradients_of
from bpcore.losses import Weighted, matched
from bpcore.nn.build import collect
from bpcore.tensor import Tensor
from bpcore.tracing import Runner, Trace, inference

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from bpcore._core import Plan
    from bpcore.arrays import Array
    from bpcore.goals import Goals
    from bpcore.intake import Samples, Signature
    from bpcore.nn.module import Module
    from bpcore.nn.parameter import Storage
    from bpcore.nn.penalties import Regularizer
    from bpcore.tracing import Leaf

__all__ = ["FullBatchPlan", "Task"]


class FullBatchPlan(NamedTuple):
    """A plan whose outputs are those of `Task.describe`, what is minimised, its gradients, and new states."""

    plan: Plan
    described: int  # outputs of `Task.describe`
    parameters: list[int]  # slots of the gradients
    states: list[int]  # slots of the new states


class Task:
    """What is learned: a model with losses against targets, or with an objective of its own.

    Its plans give scalars: the mean loss of the batch, then for each loss and each metric, a sum over the
    batch's elements and its weight, their number unless samples are weighted. Over an epoch, sums are divided
    by weights.
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
        self._losses = [("loss", 1.0)]  # names and weights
        if goals.keys is not None:
            learned = [each for each in goals.each if each.loss.function is not None]
            self._losses = [(each.loss_name, each.weight) for each in learned]
        self._pairs = [*(name for name, _ in self._losses), *goals.functions]
        self.names = self._pairs if goals.keys is None else ["loss", *self._pairs]

    def values(self, outputs: Array) -> dict[str, float]:
        """Name -> value from a plan's outputs, or from their totals over an epoch.

        Where nothing counts, a loss is 0, as it is for a step; a metric has no value, NaN.
        """
        sums, weights = outputs[1::2], outputs[2::2]
        ratios = [float(s) / float(w) if w else math.nan for s, w in zip(sums, weights, strict=True)]
        count = len(self._losses)
        ratios[:count] = [ratio if w else 0.0 for ratio, w in zip(ratios[:count], weights, strict=False)]
        found = dict(zip(self._pairs, ratios, strict=True))
        if self._goals.keys is None:
            return found
        return {"loss": sum(weight * found[name] for name, weight in self._losses), **found}

    def check_labels(self, who: str, data: Samples) -> None:
        """ValueError if a target that has been described is not among its loss's classes."""
        found = self._classes.get(_kind([array.shape[1:] for array in data.arrays], data), {})
        for goal in self._goals.each:
            if goal.key in found:
                what = who if goal.key is None else f"{who}: output {goal.key!r}"
                loss, classes = goal.loss, found[goal.key]
                labels = data.targets[goal.key]
                intake.check_labels(f"{what}: y", labels, loss.name or "", classes, loss.ignore_index)

    def describe(self, trace: Trace, signature: Signature) -> list[Tensor]:
        """Adds the whole computation to `trace`, with an input for each array, and returns its outputs."""
        call = signature.call([sparse.symbolic(trace, *spec) for spec in signature.specs()])
        if self._objective is not None:
            value = self._objective(self.model, *call.inputs, **call.named)
            if getattr(value, "shape", None) != ():
                raise ValueError(f"the objective must return a scalar tensor, got {_described(value)}")
            mean, pair = _summed("objective", value, None, signature.rows)
            return [mean, *pair]
        prediction = self.model(*call.inputs, **call.named)
        self._goals.check(prediction)
        means, sums, measured = [], [], []
        classes = self._classes.setdefault(_kind([shape for shape, *_ in signature.arrays], signature), {})
        for goal in self._goals.each:
            with goal.named():
                if goal.loss.function is None and not goal.metrics:
                    continue
                own, target = goal.part("prediction", prediction), goal.part("target", call.target)
                weight = call.weight(goal.key)
                if goal.loss.function is not None:
                    value = _compared("loss", goal.loss.function, own, target)
                    if goal.loss.labels:
                        scores = own if isinstance(own, Tensor) else own[0]
                        classes[goal.key] = scores.shape[-1]
                    mean, pair = _summed("loss", value, weight, signature.rows)
                    means.append(mean if goal.weight == 1.0 else mean * goal.weight)
                    sums += pair
                for name, metric in goal.metrics.items():
                    value = _compared(f"metric {name}", metric, own, target)
                    measured += _summed(f"metric {name}", value, weight, signature.rows)[1]
        return [functools.reduce(operator.add, means), *sums, *measured]

    def training_plan(self, signature: Signature, storage: Storage, by_rows: bool = False) -> Plan:
        """The plan of a step: it ends in the gradients, by rows if asked for, and writes the states."""
        with self._training_trace(storage) as trace:
            outputs = self.describe(trace, signature)
            slots, gradients, _ = self._gradients(trace, outputs[0])
        ends = [(slot, gradient.node) for slot, gradient in zip(slots, gradients, strict=True)]
        return core.Plan(trace.graph, [output.node for output in outputs], ends, True, by_rows)

    def _training_trace(self, storage: Storage) -> Trace:
        # Random layers go by their paths, and one of them may have become a part of another model as well.
        collect(self.model)
        return Trace(training=True, storage=storage, own_only=True)

    def watching_plan(self, signature: Signature, storage: Storage) -> tuple[Plan, list[tuple[str, str]]]:
        """The plan of a step with shares of idle units behind its outputs; their paths and kinds."""
        with self._training_trace(storage) as trace:
            outputs = self.describe(trace, signature)
            found = activities(trace)
            slots, gradients, _ = self._gradients(trace, outputs[0])
        ends = [(slot, gradient.node) for slot, gradient in zip(slots, gradients, strict=True)]
        nodes = [*(output.node for output in outputs), *(each.share.node for each in found)]
        return core.Plan(trace.graph, nodes, ends, True), [(each.path, each.kind) for each in found]

    def evaluation_plan(self, signature: Signature, storage: Storage) -> Plan:
        """The plan of loss and metrics in inference mode."""
        with inference(), Trace(storage=storage, own_only=True) as trace:
            outputs = self.describe(trace, signature)
        # A session stops where its first output is not finite; evaluation doesn't, so that is a weight here.
        nodes = [output.node for output in (outputs[2], *outputs[1:])]
        return core.Plan(trace.graph, nodes)

    def gradient_runner(self, signature: Signature, storage: Storage) -> tuple[list[int], Runner]:
        """The parameters' slots, and what computes the loss, then the gradient of each, in training mode."""
        with self._training_trace(storage) as trace:
            loss = self.describe(trace, signature)[0]
            slots, gradients, _ = self._gradients(trace, loss)
        return slots, trace.runner([loss.node, *(gradient.node for gradient in gradients)])

    def full_batch_plan(self, signature: Signature, storage: Storage) -> FullBatchPlan:
        """The plan of an optimizer that evaluates loss and gradient of a batch several times."""
        with self._training_trace(storage) as trace:
            outputs = self.describe(trace, signature)
            slots, gradients, total = self._gradients(trace, outputs[0])
            nodes = [tensor.node for tensor in (*outputs, total, *gradients)]
            plan = core.Plan(trace.graph, [*nodes, *trace.assigned.values()])
        return FullBatchPlan(plan, len(outputs), slots, list(trace.assigned))

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


def _penalty(leaf: Leaf, regularizer: Regularizer, weight: Tensor) -> Tensor:
    term = regularizer(weight)
    if not isinstance(term, Tensor) or term.shape != ():
        raise ValueError(
            f"the regularizer of {leaf.name} must return a scalar tensor, got {_described(term)}"
        )
    return term


def _compared(who: str, function: Callable[[Any, Any], Any], prediction: Any, target: Any) -> Any:
    """`function` of prediction and target, which is given the last axis of size 1 that it may lack.

    Raises ValueError where broadcasting went wrong: for values larger than prediction and target, and, if the
    target has been reshaped, for anything larger on the way.
    """
    if not (isinstance(prediction, Tensor) and isinstance(target, Tensor)):
        return function(prediction, target)
    given, target = target, matched(prediction, target)
    graph = prediction.trace.graph
    before = len(graph)
    value = function(prediction, target)
    parts = value if isinstance(value, Weighted) else (value,)
    shapes = [part.shape for part in parts if isinstance(part, Tensor)]
    if target is not given:
        shapes += [graph.shape(node) for node in range(before, len(graph))]
    large = [shape for shape in shapes if math.prod(shape) > max(prediction.size, target.size)]
    if large:
        raise ValueError(
            f"{who}: it broadcasts a prediction of shape {prediction.shape} and a target of shape "
            f"{target.shape} (given as {given.shape}) to {large[0]}; give both the same shape"
        )
    return value


def _summed(who: str, value: Any, weight: Tensor | None, rows: int) -> tuple[Tensor, list[Tensor]]:
    """(mean, [sum, weight]) of a value per element, `Weighted` or not, or of a scalar.

    A scalar counts for all rows of its batch.
    """
    values, counts = value if isinstance(value, Weighted) else (value, None)
    values = _as_float(who, values)
    if counts is not None:
        counts = _as_float(who, counts)
        if counts.shape != values.shape:
            raise ValueError(f"{who}: its values have shape {values.shape}, their weights {counts.shape}")
    if values.ndim == 0 and weight is not None:
        raise ValueError(f"{who}: it is a scalar for the whole batch, so samples can't be weighted")
    if counts is None and values.ndim == 0:
        return values, [values * rows, _constant(values, rows)]
    if counts is None and weight is None:
        total = ops.sum(values)
        return total / values.size, [total, _constant(values, values.size)]
    if weight is None:
        total, weights = ops.sum(values), ops.sum(counts)
    else:
        if values.shape[0] != rows:
            raise ValueError(
                f"{who}: its values have shape {values.shape}, so {rows} samples can't be weighted"
            )
        each = ops.reshape(weight, (rows,) + (1,) * (values.ndim - 1))
        total = ops.sum(values * each)
        weights = ops.sum(weight) * (values.size // rows) if counts is None else ops.sum(counts * each)
    return total / ops.where(weights > 0, weights, 1), [total, weights]


def _as_float(who: str, value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(f"{who}: expected a tensor computed from the model's output, got {_described(value)}")
    if value.dtype in FLOATS:
        return value
    converted: Tensor = ops.cast(value, value.trace.dtype or "float32")
    return converted


def _constant(like: Tensor, number: int) -> Tensor:
    return Tensor(like.trace, like.trace.graph.constant(np.asarray(number, like.dtype)))


def _described(value: Any) -> str:
    return f"a tensor of shape {value.shape}" if isinstance(value, Tensor) else type(value).__name__
