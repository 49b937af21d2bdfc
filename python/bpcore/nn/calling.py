"""What a call of a module does: on symbolic tensors its own Python, on arrays a plan made of it and kept."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore import runtime, tracing, tree
from bpcore.arrays import FLOATS, Array, as_array, to_float
from bpcore.nn.build import build_for, dtype_of
from bpcore.nn.changes import Watch
from bpcore.tensor import Operand, Tensor
from bpcore.tracing import Runner, Trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from bpcore._core import Evaluator, Plan
    from bpcore.nn.module import Module
    from bpcore.nn.parameter import Storage

__all__ = ["Compiled", "Quick", "callable_on_arrays", "compile_call", "storage_of"]

_QUICK_NANOSECONDS = 2e5  # beyond it, what a call costs around the run doesn't matter


def callable_on_arrays(call: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a module's `__call__`, written for tensors, take NumPy arrays as well."""

    @functools.wraps(call)
    def wrapper(self: Module, *inputs: Any, **options: Any) -> Any:
        trace = tracing.current()
        if trace is None:
            quick = self._bpcore.quick
            if quick is not None and len(inputs) == 1 and not options and tracing.mode() is None:
                result = quick(inputs[0], False)
                if result is not None:
                    return result
            if not any(_is_symbolic(each) for each in inputs):
                return _call_on_arrays(self, inputs, options)
        if trace is not None and not trace.building and not self._bpcore.built:
            each = [x for x in inputs if not isinstance(x, (tuple, list))]
            specs = [(x.shape, str(x.dtype)) if isinstance(x, (Operand, np.ndarray)) else x for x in each]
            kinds = (spec[1] for spec in specs if isinstance(spec, tuple))
            build_for(self, specs, next((kind for kind in kinds if kind in FLOATS), trace.dtype))
        begin = 0 if trace is None else len(trace.graph)
        output = call(self, *inputs, **options)
        if trace is not None:
            trace.calls.append((self._bpcore.path, begin, len(trace.graph)))
        self._bpcore.output = tree.rebuild(output, lambda leaf: getattr(leaf, "shape", ()))
        plain = not options and all(isinstance(x, Tensor) for x in inputs)
        self._bpcore.inputs = [(x.shape, str(x.dtype)) for x in inputs] if plain else []
        return output

    return wrapper


def _is_symbolic(value: Any) -> bool:
    """Whether `value` is a tensor, or a sequence that begins with one."""
    return isinstance(value, Tensor) or (
        isinstance(value, (tuple, list)) and bool(value) and _is_symbolic(value[0])
    )


class Compiled:
    """A traced call: what runs it, and its result, with stand-ins for the outputs of the plan."""

    def __init__(
        self, runner: Runner, result: Any, storage: Storage | None, stamps: tuple[object, ...] = ()
    ) -> None:
        self._runner = runner
        self._result = result
        self.storage = storage
        self.stamps = stamps  # of the module, when it was traced
        self._evaluator: Evaluator | None = None

    @property
    def plan(self) -> Plan:
        """What is run."""
        return self._runner.plan

    def __call__(self, arrays: list[Array], threads: int) -> Any:
        """The result for `arrays`, of the shapes and dtypes that were traced."""
        outputs = self._runner(arrays, threads=threads)
        return tree.rebuild(
            self._result, lambda leaf: outputs[leaf.at] if isinstance(leaf, _Output) else leaf
        )

    def quick(self, watch: Watch) -> Quick | None:
        """The short way to the result, if that is one array made of one other, and soon."""
        if not isinstance(self._result, _Output) or self.plan.cost > _QUICK_NANOSECONDS:
            return None
        if self._evaluator is None:
            self._evaluator = self._runner.evaluator()
        return None if self._evaluator is None else Quick(watch, self._evaluator)


class Quick:
    """A call without ceremony: of an unchanged model, on the very kind of array it was traced for."""

    __slots__ = ("_evaluator", "_watch")

    def __init__(self, watch: Watch, evaluator: Evaluator) -> None:
        self._watch = watch
        self._evaluator = evaluator

    def __call__(self, x: Any, finite: bool) -> Array | None:
        """The result; None where the long way has to be taken, or to say what is wrong.

        With `finite`, an array with NaN or infinity in it is such a case.
        """
        return self._evaluator(x, finite) if self._watch.unchanged() else None


class _Output:
    """Stands in a result for an output of the plan."""

    def __init__(self, at: int) -> None:
        self.at = at


def compile_call(
    call: Callable[..., Any],
    inputs: list[tuple[tuple[int, ...], str]],
    storage: Storage | None,
    stamps: tuple[object, ...] = (),
) -> Compiled:
    """Traces `call` on symbolic inputs of these shapes and dtypes and plans it."""
    outputs: list[int] = []

    def number(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        outputs.append(leaf.node)
        return _Output(len(outputs) - 1)

    with Trace(storage=storage) as trace:
        tensors = [Tensor(trace, trace.graph.input(shape, dtype)) for shape, dtype in inputs]
        result = tree.rebuild(call(*tensors), number)
        runner = trace.runner(outputs)
    return Compiled(runner, result, storage, stamps)


def storage_of(model: Module) -> Storage | None:
    """Where parameters of `model` lie, None if they don't exist; a part's lie in the whole's storage."""
    found = (variable.storage for _, variable in model.named_variables())
    return next((storage for storage in found if storage is not None), None)


def _call_on_arrays(model: Module, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
    who = type(model).__name__
    dynamic = [isinstance(each, (np.ndarray, np.generic, list, tuple, Operand)) for each in inputs]
    arrays = [as_array(each, who) for each, is_array in zip(inputs, dynamic, strict=True) if is_array]
    storage = storage_of(model)
    has_variables = storage is not None or next(model.named_variables(), None) is not None
    if has_variables:
        dtype = storage.dtype if storage is not None else dtype_of(model) or "float32"
        arrays = [to_float(array, dtype, who) for array in arrays]
    if not model._bpcore.built:
        shapes = iter([(array.shape, array.dtype.name) for array in arrays])
        build_for(model, [next(shapes) if dynamic[i] else each for i, each in enumerate(inputs)])
        storage = storage_of(model)
    fixed = tuple(each for each, is_array in zip(inputs, dynamic, strict=True) if not is_array)
    specs = [(array.shape, array.dtype.name) for array in arrays]
    kinds = tuple(map(type, (*fixed, *options.values())))  # 1 and True are one key otherwise
    key = (tuple(specs), tuple(dynamic), fixed, tuple(options.items()), kinds, tracing.mode() is None)
    try:
        hash(key)
    except TypeError:
        raise TypeError(
            f"{who}: what is not an array must be hashable, and arrays are passed by position"
        ) from None

    def call(*tensors: Tensor) -> Any:
        rest, others = iter(tensors), iter(fixed)
        return model(*(next(rest) if is_array else next(others) for is_array in dynamic), **options)

    def make() -> Compiled:
        return compile_call(call, specs, storage, stamps)

    watch, stamps = Watch(model), model._stamps()
    compiled = model._bpcore.plans.get(key, make)
    # Packed anew, by a trainer or into a larger model, or made of other parts than before.
    if compiled.storage is not storage or compiled.stamps != stamps:
        model._bpcore.plans.clear()
        compiled = model._bpcore.plans.get(key, make)
    result = compiled(arrays, runtime.threads())
    if len(inputs) == 1 and dynamic[0] and not options and tracing.mode() is None:
        model._bpcore.quick = compiled.quick(watch)
    return result
