"""Tracing: what one run of ordinary Python over symbolic tensors leaves behind, a graph and what feeds it."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Protocol

from bpcore._native import core
from bpcore.basics import settings
from bpcore.basics.names import stream_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from typing_extensions import Self

    from bpcore._core import Evaluator, Plan, Store
    from bpcore.basics.arrays import Array

__all__ = ["Leaf", "Trace", "current", "float_dtype", "inference", "mode", "seed", "training"]


class Leaf(Protocol):
    """A model's parameter or state, as a trace sees it: where it lies and what it is called."""

    is_state: bool
    name: str
    storage: Any
    slot: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of its axes."""

    @property
    def value(self) -> Array:
        """The array itself."""


_current: ContextVar[Trace | None] = ContextVar("bpcore_trace", default=None)
_training_seed: ContextVar[int | None] = ContextVar("bpcore_training_seed", default=None)


def current() -> Trace | None:
    """The trace that Python code runs in at the moment, in this thread; None outside of any."""
    return _current.get()


class training:
    """Calls of models inside ``with bp.training(seed):`` run in training mode; `seed` keys random numbers.

    A call draws the same numbers as any other with this seed; other numbers need another seed. A trainer's
    methods keep to modes of their own: evaluate and predict are inference wherever called.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = settings.seed("training", seed)
        self._tokens: list[Token[int | None]] = []

    def __enter__(self) -> None:
        self._tokens.append(_training_seed.set(self._seed))

    def __exit__(self, *_: object) -> None:
        _training_seed.reset(self._tokens.pop())


@contextmanager
def inference() -> Iterator[None]:
    """What runs inside is in inference mode, whatever ``with bp.training(seed):`` it lies in."""
    token = _training_seed.set(None)
    try:
        yield
    finally:
        _training_seed.reset(token)


def float_dtype() -> str:
    """The float dtype of what is traced, "float32" outside of models."""
    trace = _current.get()
    return (trace.dtype if trace is not None else None) or "float32"


def mode() -> int | None:
    """The seed of the innermost ``with bp.training(seed):``, None outside of any."""
    return _training_seed.get()


def seed() -> int:
    """What keys the random numbers of a run that no trainer makes: `mode()`, 0 in inference mode."""
    return _training_seed.get() or 0


class Trace:
    """A graph being described. Entering it makes parameters symbolic; leaving it ends that.

    Parameters and states of `storage` become leaves of the graph, read in place by every run. Others (of
    another model) become inputs behind the ordinary ones, fed at each run; with `own_only`, for plans that
    have no such inputs, they are an error. A `building` trace is for finding sizes only: nothing needs to
    exist yet. Without `recomputing`, `nn.Recompute` does nothing.
    """

    def __init__(
        self,
        *,
        training: bool = False,
        storage: Any = None,
        dtype: str | None = None,
        own_only: bool = False,
        building: bool = False,
        recomputing: bool = True,
    ) -> None:
        self.graph = core.Graph()
        self.training = training or mode() is not None
        self.storage = storage
        self.dtype: str | None = storage.dtype if storage is not None else dtype
        self.building = building
        self.recomputing = recomputing
        self._own_only = own_only
        self.calls: list[tuple[str, int, int]] = []  # of modules: path, nodes from and to, inner ones first
        self._feeds: list[Leaf] = []
        # By the leaf's id; the leaf is kept with its node, so that no other one gets the same id.
        self._nodes: dict[int, tuple[Leaf, int]] = {}
        self._tokens: list[Token[Trace | None]] = []
        self._draws: dict[str, int] = {}  # of each path, so far
        self.assigned: dict[int, int] = {}  # slot of a state -> node of its next value

    def __enter__(self) -> Self:
        self._tokens.append(_current.set(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _current.reset(self._tokens.pop())

    def leaf(self, leaf: Leaf) -> int:
        """The node that stands for a parameter or a state, made at its first use."""
        known = self._nodes.get(id(leaf))
        if known is not None:
            return known[1]
        if self.building:
            node = self._add_leaf(leaf, len(self._nodes), self.dtype or "float32")
        elif leaf.storage is None:
            raise RuntimeError(f"{leaf} has no value yet: its model's sizes are not known; see Module.build")
        elif leaf.storage is self.storage:
            node = self._add_leaf(leaf, leaf.slot, leaf.storage.dtype)
        elif self._own_only:
            raise RuntimeError(
                f"{leaf} does not belong to the trained model; compute what needs it outside and pass it in "
                "as an input, or make its module a part of the model"
            )
        else:
            node = self.graph.input(leaf.shape, leaf.storage.dtype, leaf.name)
            self._feeds.append(leaf)
        self._nodes[id(leaf)] = (leaf, node)
        return node

    @contextmanager
    def replaced(self, leaf: Leaf, node: int) -> Iterator[None]:
        """Inside, `leaf`, which has been used, stands for `node`: a value of its shape that is made of it."""
        before = self._nodes[id(leaf)]
        self._nodes[id(leaf)] = (leaf, node)
        try:
            yield
        finally:
            self._nodes[id(leaf)] = before

    def _add_leaf(self, leaf: Leaf, slot: int, dtype: str) -> int:
        add = self.graph.state if leaf.is_state else self.graph.parameter
        return add(slot, leaf.shape, dtype, leaf.name)

    def assign(self, leaf: Leaf, node: int) -> None:
        """Writes `node` to a state once the step has read all there is to read; only training plans do it."""
        if self.building or leaf.storage is self.storage:
            self.graph.assign_state(self.leaf(leaf), node)
            self.assigned[leaf.slot] = node

    def module_of(self, node: int) -> tuple[str, int]:
        """The path of the innermost module whose call made `node`, and the end of that call's nodes."""
        for path, begin, end in self.calls:
            if begin <= node < end:
                return path, end
        return "", len(self.graph)

    def stream(self, path: str) -> int:
        """The stream of the next random numbers that the module at `path` draws, "" outside of modules.

        Made of the path and the number of its draws in this trace: a module called twice has two streams, and
        another trace of the same model has the same ones.
        """
        number = self._draws.get(path, 0)
        self._draws[path] = number + 1
        return stream_of(f"{path}:{number}")

    def parameters(self) -> list[tuple[Leaf, int]]:
        """Each trainable parameter of the trace's storage that was used, with its node, by slot."""
        own = (pair for pair in self._nodes.values() if pair[0].storage is self.storage)
        trained = [pair for pair in own if getattr(pair[0], "trainable", False)]
        return sorted(trained, key=lambda pair: pair[0].slot)

    def runner(self, outputs: Sequence[int]) -> Runner:
        """What computes `outputs`; it writes no states."""
        store = None if self.storage is None else self.storage.store
        return Runner(core.Plan(self.graph, list(outputs)), store, self._feeds)


class Runner:
    """A plan with all it needs but the ordinary inputs."""

    def __init__(self, plan: Plan, store: Store | None, feeds: Sequence[Leaf]) -> None:
        self.plan = plan
        self._store = store
        self._feeds = tuple(feeds)

    def __call__(
        self, inputs: Sequence[Array], threads: int = 1, key: tuple[int, int] | None = None
    ) -> list[Array]:
        """The outputs for `inputs`: C-contiguous, of the shapes and dtypes that were traced.

        `key` is the seed and the step that random numbers are drawn for; unless given, `seed()` and 0.
        """
        if self._feeds:
            inputs = [*inputs, *(leaf.value for leaf in self._feeds)]
        seed_, step = (seed(), 0) if key is None else key
        return self.plan.run(self._store, inputs, threads=threads, seed=seed_, step=step)

    def evaluator(self, outputs: int, convert: bool) -> Evaluator | None:
        """What runs the plan without preparations, if ordinary inputs are all it has, and few.

        `outputs` is how many it has; with `convert`, floats of the other width are made those of the plan.
        """
        if self._feeds or max(len(self.plan.inputs), outputs) > core.Evaluator.most_arrays:
            return None
        return core.Evaluator(self.plan, self._store, convert)
