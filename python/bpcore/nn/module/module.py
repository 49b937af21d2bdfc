"""Modules: models and their parts, ordinary Python objects that hold parameters and other modules."""

from __future__ import annotations

import copy
import os
from typing import TYPE_CHECKING, Any, ClassVar

from bpcore.basics import files, settings, texts
from bpcore.basics.arrays import check_float_dtype
from bpcore.basics.views import Views
from bpcore.nn.module import attributes, build, changes, weights
from bpcore.nn.module.calling import callable_on_arrays
from bpcore.nn.module.kept import Kept
from bpcore.nn.module.parameter import Parameter, Variable
from bpcore.nn.module.summary import table
from bpcore.symbolic import tracing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typing_extensions import Self

    from bpcore.basics.arrays import Array

__all__ = ["Module"]


class Module:
    """A model or a part of one.

    Subclass it, make its parts in `__init__`, and write `__call__` as ordinary Python. Attributes that are
    modules, parameters or states are found, in lists, tuples and dicts too, and named by their
    path: ``encoder.dense.weight``, ``layers.0.bias``. `__call__` is written for tensors; called on NumPy
    arrays, or what NumPy reads as such, tables too, it is traced once for each signature of shapes and dtypes
    and then runs natively, in inference mode unless inside of ``with bp.training(seed):``. Plain numbers and
    arrays it meets while traced are constants until an attribute, its own or a part's, is set again. What
    changes inside of a list, a dict or an array is noticed only if it is a module, a parameter or a state.

    There is no need to call ``super().__init__()``.
    """

    _bpcore = Kept()
    # Settings that count only while a layer is made: attributes that its `__init__` sets for good, and
    # arguments that are none.
    _set_once: ClassVar[tuple[str, ...]] = ()
    _not_kept: ClassVar[tuple[str, ...]] = ()
    _rows: int | None = None  # of a layer that looks up rows of its weight by integers

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__call__" in cls.__dict__:
            cls.__call__ = callable_on_arrays(cls.__dict__["__call__"])  # type: ignore[method-assign]

    def __call__(self, *_: Any, **__: Any) -> Any:
        """What the module computes; subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__")

    def __setattr__(self, name: str, value: Any) -> None:
        attributes.check_change(self, name, value)
        super().__setattr__(name, value)
        self._changed()

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        self._changed()

    def _changed(self) -> None:
        if tracing.current() is None:  # what a trace leaves behind in attributes is no reason for another
            self._bpcore.stamp = object()
            changes.note()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_bpcore"}

    # What it is made of

    def named_children(self) -> Iterator[tuple[str, Module | Variable]]:
        """The modules, parameters and states directly in this one, by name, in order of definition."""
        for name, value in list(vars(self).items()):  # a list, since what is kept may come to it meanwhile
            if name != "_bpcore":
                yield from _found(name, value)

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """This module, called "", and all below it with their paths, each once."""
        yield "", self
        for path, child in _walk(self, "", {id(self)}):
            if isinstance(child, Module):
                yield path, child

    def named_variables(self) -> Iterator[tuple[str, Variable]]:
        """All parameters and states with their paths, each once, under the first one."""
        for path, child in _walk(self, "", {id(self)}):
            if isinstance(child, Variable):
                yield path, child

    def _stamps(self) -> tuple[object, ...]:
        """Equal to earlier ones if the parts are the same, and none has had an attribute set since."""
        found: list[object] = []
        _collect_stamps(self, found, set())
        return tuple(found)

    def _title(self) -> str:
        """What errors call it: its type, and its place in the model."""
        name = type(self).__name__
        return f"{name} layer {self._bpcore.path!r}" if self._bpcore.path else name

    # Its parameters

    def build(
        self, input_shape: int | Sequence[int | None] | Sequence[Sequence[int | None]], seed: int = 0,
        dtype: str = "float32",
    ) -> None:  # fmt: skip
        """Makes the parameters exist, with initial values keyed by `seed` and their names.

        Args:
            input_shape: shape of a batch of (float) input, such as ``(None, 28, 28)``; None stands for any
                batch size. A number, or a shape of one axis, is that of a single sample: 64 means ``(None,
                64)``. A list of shapes is for a module of several inputs.
            seed: another seed, other values.
            dtype: "float32" or "float64".

        Raises RuntimeError if the parameters exist already, ValueError if the shape doesn't fit the layers.
        """
        dtype = check_float_dtype(dtype, "build")
        variables = [variable for _, variable in self.named_variables()]
        if variables and all(variable.storage is not None for variable in variables):
            raise RuntimeError(
                "build: the parameters exist already; make a new model for other initial values"
            )
        shapes = [(shape, dtype) for shape in build.batch_shapes(input_shape)]
        with build.attempt(self):
            build.size_by_tracing(self, shapes, dtype)
            build.pack(self, seed, dtype, called=True)

    @property
    def parameters(self) -> dict[str, Array]:
        """Name -> array of every parameter, in order of definition: writable views, not copies.

        ``parameters[name] = values`` writes values of just that shape, ``parameters[name][...] = values`` any
        that NumPy can bring to it. They exist once sizes are known: if every layer's are given, after
        `build`, or after the first use. RuntimeError before that.
        """
        self._exist()
        return Views((name, v.value) for name, v in self.named_variables() if isinstance(v, Parameter))

    def _exist(self) -> None:
        if any(variable.storage is None for _, variable in self.named_variables()):
            build.pack(self, 0, build.dtype_of(self) or "float32")

    def freeze(self) -> Self:
        """Keeps all parameters of this module as they are from now on; returns the module.

        No gradient is computed for them, and neither optimizer nor weight decay moves them.
        `Parameter.trainable` does it for a single one.
        """
        return self._set_trainable(False)

    def unfreeze(self) -> Self:
        """Trains all parameters of this module; returns the module."""
        return self._set_trainable(True)

    def _set_trainable(self, trainable: bool) -> Self:
        for _, variable in self.named_variables():
            if isinstance(variable, Parameter):
                variable.trainable = trainable
        return self

    def copy(self) -> Self:
        """A model of its own with the same structure and values, as for a target network or an average."""
        with weights.between_steps(self):
            twin = copy.deepcopy(self)
        variables = [variable for _, variable in twin.named_variables()]
        if any(each.given is not None for each in variables) and all(each.known for each in variables):
            twin._exist()
        return twin

    def assign(self, other: Module, tau: float = 1.0) -> None:
        """Moves every parameter and state towards `other`'s: tau · other + (1 - tau) · own.

        Raises ValueError if names or shapes differ, or `tau` is not in [0, 1]; TypeError for float64 into
        float32.
        """
        if not 0.0 <= tau <= 1.0:
            raise ValueError(f"assign: tau must lie in [0, 1], got {tau}")
        self._exist()
        other._exist()
        arrays = weights.tensors(other)
        weights.check(self, arrays, "assign: the other model")
        with weights.between_steps(self, other):
            for name, value in weights.tensors(self).items():
                if tau == 1.0:
                    value[...] = arrays[name]
                else:
                    value += tau * (arrays[name] - value)

    # To look at and to keep

    def summary(self, show: bool = True) -> str | None:
        """Prints layers, output shapes, parameters and costs; with ``show=False``, returns that text.

        Shapes are those of the last trace (`build`, a call, training), costs those of one sample of that
        input; "?" before there was one. FLOPs are operations of inference, a multiply-add being two, and
        bytes those of a layer's output. The last lines add them up, over layers, and say what a sample takes
        in training: operations forwards and backwards, without loss and update, and the memory that a step
        holds beside parameters. What is counted for each op stands in `bpcore.nn.module.cost`.
        """
        shown = settings.flag("summary", "show", show)  # no shape, which other libraries ask for here
        text = table(self)
        if not shown:
            return text
        print(text)  # noqa: T201 - what it is for
        return None

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Writes parameters and states to a safetensors file, which is replaced at once or not at all.

        While another thread trains them, it waits until steps that are under way are done.
        """
        self._exist()
        with weights.between_steps(self):
            files.write(path, weights.tensors(self), {"format": "bpcore"})

    def load_weights(self, path: str | os.PathLike[str]) -> None:
        """Reads parameters and states from a safetensors file of `save_weights` or a trainer's `save`.

        A model that doesn't exist yet takes its sizes and dtype from the file. Raises ValueError, and changes
        nothing, if the file is damaged or cut short, or if it belongs to another model: the tensors are then
        named.
        """
        tensors, _ = files.read(path)
        weights.restore(self, tensors, os.fspath(path))

    def __repr__(self) -> str:
        return texts.block(self, [pair for pair in self.named_children() if isinstance(pair[1], Module)])


def _found(name: str, value: Any) -> Iterator[tuple[str, Module | Variable]]:
    if isinstance(value, (Module, Variable)):
        yield name, value
    elif isinstance(value, (list, tuple)):
        for i, each in enumerate(value):
            yield from _found(f"{name}.{i}", each)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _found(f"{name}.{key}", each)


def _walk(module: Module, prefix: str, seen: set[int]) -> Iterator[tuple[str, Module | Variable]]:
    for name, child in module.named_children():
        if id(child) not in seen:
            seen.add(id(child))
            yield prefix + name, child
            if isinstance(child, Module):
                yield from _walk(child, f"{prefix}{name}.", seen)


def _collect_stamps(value: Any, found: list[object], seen: set[object]) -> None:
    """Those of all parts of `value`, in their places; done at long calls of a module, so without names."""
    if isinstance(value, Module):
        stamp = value._bpcore.stamp
        found.append(stamp)
        if stamp not in seen:
            seen.add(stamp)
            for each in vars(value).values():
                _collect_stamps(each, found, seen)
    elif isinstance(value, Variable):
        found.append(value.stamp)
    elif isinstance(value, (list, tuple)):
        for each in value:
            _collect_stamps(each, found, seen)
    elif isinstance(value, dict):
        for each in value.values():
            _collect_stamps(each, found, seen)
