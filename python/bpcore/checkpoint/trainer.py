"""A trainer as a safetensors file.

Tensors: weights by name, states as ``state.<name>``, the optimizer's as ``optimizer.<slot>.<name>``, those of
the history and of a run of `fit` that is under way as ``run:<...>``. Everything else is JSON in the metadata,
under "trainer", its only key: the format keeps no order among several, and the same trainer should give the
same file.
"""

from __future__ import annotations

import os
import warnings
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

from bpcore import optim
from bpcore.basics import files, texts
from bpcore.basics.arrays import check_float_dtype
from bpcore.checkpoint import header, same_run, strict_json
from bpcore.checkpoint.run import PREFIX, RunState, pack, unpack
from bpcore.engine import fullbatch
from bpcore.engine.fullbatch import FullBatchUpdates
from bpcore.nn import Module, penalties
from bpcore.nn.module import weights
from bpcore.watching.history import History

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bpcore.basics.arrays import Array
    from bpcore.engine.engine import Engine
    from bpcore.trainer import Trainer

__all__ = ["Resumed", "read", "read_run", "save"]


def save(trainer: Trainer, engine: Engine, path: str | os.PathLike[str], run: RunState | None = None) -> None:
    """Writes `trainer`, whose model exists, to `path`, and where its run of `fit` stands, if it is in one."""
    updates = engine.updates
    state, tensors = (None, {}) if run is None else run.packed()
    settings = {
        "format_version": header.VERSION,
        "model": texts.without_addresses(repr(trainer.model)),
        "dtype": trainer.dtype,
        "seed": trainer.seed,
        "loss": trainer.loss,
        "loss_is_known": trainer._goals.by_name,
        "objective": trainer.objective is not None,
        "loss_weights": trainer.loss_weights,
        "loss_options": same_run.loss_options(trainer._goals),
        "metrics": trainer._goals.metrics,
        "own_metrics": trainer._goals.own_metrics,
        "optimizer": trainer.optimizer.config(),
        "optimizer_slots": engine.optimizer_slots(),
        "optimizer_memory": updates.saved() if isinstance(updates, FullBatchUpdates) else None,
        "control": trainer.control.config(),
        "regularizer": penalties.config(trainer.regularizer),
        "steps": trainer.steps,
        "epochs": trainer.epochs,
        "skipped": trainer.skipped,
        "history": pack(trainer.history.config(), f"{PREFIX}history.", tensors),
        "run": state,
    }
    tensors = {**weights.tensors(trainer.model), **engine.optimizer_state(), **tensors}
    files.write(path, tensors, {"trainer": strict_json.dumps(settings)})


def read(
    path: str | os.PathLike[str], model: Module, overrides: dict[str, Any]
) -> tuple[dict[str, Any], Callable[[Trainer], None]]:
    """Arguments for a trainer as it was saved, and what gives it its values back.

    Everything is checked here; see `Trainer.load`.
    """
    if not isinstance(model, Module):
        raise TypeError(f"Trainer.load: model must be a nn.Module, got {texts.kind(model)}")
    name = os.fspath(path)
    tensors, settings = _read(name, model)
    arguments = header.arguments(name, settings, overrides)
    arguments["dtype"] = check_float_dtype(arguments["dtype"], "Trainer.load")
    if arguments["dtype"] == "float32" and any(
        array.dtype == "float64" for key, array in tensors.items() if not key.startswith(PREFIX)
    ):
        raise ValueError(f'{name} holds float64 values, which dtype="float32" would cut short')
    history = _history(name, settings, tensors)

    def restore(trainer: Trainer) -> None:
        engine, optimizer = trainer._engine, settings["optimizer"]
        weights.restore(model, tensors, name)
        _compare(model, settings["model"], name, 4)
        if engine.optimizer.name == optimizer["name"]:  # another kind begins anew
            _restore_optimizer(engine, settings, tensors)
            if not optim.Optimizer.is_whole(optimizer):  # it had to be given again, and goes on
                engine.optimizer.scale = optimizer["scale"]
        trainer.history = history
        trainer.skipped = settings["skipped"] or 0

    return arguments, restore


class Resumed(NamedTuple):
    """Where the run in the file `name` stands, and what gives the trainer the values of that place."""

    name: str
    state: RunState
    restore: Callable[[], None]


def read_run(
    path: str | os.PathLike[str], trainer: Trainer, going: Mapping[str, Any], names: Sequence[str]
) -> Resumed | None:
    """The run in a checkpoint, which one of these settings and names of values goes on with.

    None if there is no such file. Raises ValueError, before anything is changed, if it is damaged, holds no
    run, or one of another model or of other settings, or if this run can't go on from it.
    """
    name = os.fspath(path)
    if not os.path.exists(name):
        return None
    model, engine = trainer.model, trainer._engine
    tensors, settings = _read(name, model)
    if settings["run"] is None:
        raise ValueError(
            f"{name} holds a trainer outside of a run, as Trainer.save writes it, which Trainer.load reads; "
            "fit(resume=...) reads what callbacks.Checkpoint writes"
        )
    same_run.check(name, settings, trainer)
    try:
        state = RunState.unpacked(settings["run"], tensors)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    state.check(name, going, names)
    history = _history(name, settings, tensors)
    try:
        saved = optim.from_config(settings["optimizer"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{name}: its settings are damaged: optimizer: {error}") from None

    def restore() -> None:
        weights.restore(model, tensors, name)
        _compare(model, settings["model"], name, 5)
        _restore_optimizer(engine, settings, tensors)
        optimizer, config = trainer.optimizer, settings["optimizer"]
        if saved is not None and state.lr == optimizer.config()["lr"] != config["lr"]:
            optimizer.lr = saved.lr  # a callback has changed it since the run began
        optimizer.scale = config["scale"]
        trainer.history = history
        trainer.skipped = settings["skipped"] or 0

    return Resumed(name, state, restore)


def _read(name: str, model: Module) -> tuple[dict[str, Array], dict[str, Any]]:
    """The tensors and settings of a file that fits `model`."""
    tensors, metadata = files.read(name)
    settings = header.read(name, metadata)
    weights.check(model, tensors, name)
    _check_optimizer(model, tensors, settings, name)
    return tensors, settings


def _compare(model: Module, saved: str | None, name: str, stacklevel: int) -> None:
    """RuntimeWarning if the model is another one, of the same names and shapes, than that which was saved."""
    if saved is None:
        return
    text = texts.without_addresses(repr(model))
    for own, other in zip_longest(text.splitlines(), saved.splitlines(), fillvalue=""):
        if own != other:
            warnings.warn(
                f"{name} was written for a model that differs: it had {other.strip()!r}, this one has "
                f"{own.strip()!r}",
                RuntimeWarning,
                stacklevel=stacklevel,  # the caller of Trainer's method
            )
            return


def _restore_optimizer(engine: Engine, settings: dict[str, Any], tensors: dict[str, Array]) -> None:
    updates = engine.updates
    if isinstance(updates, FullBatchUpdates):
        updates.make(settings["optimizer_memory"])
    for key, value in engine.optimizer_state().items():
        if key in tensors:
            value[...] = tensors[key]
        elif key.startswith("optimizer.average."):  # it was not kept so far
            value[...] = tensors[key.removeprefix("optimizer.average.")]
    updates.steps = settings["steps"]


def _history(name: str, settings: dict[str, Any], tensors: dict[str, Array]) -> History:
    if settings["history"] is None:
        return History(settings["epochs"])
    try:
        history = History.from_config(unpack(settings["history"], tensors))
        last = history.last_epoch
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{name}: its history is damaged: {error}") from None
    if last != settings["epochs"]:
        raise ValueError(f"{name}: its history is damaged: it ends with epoch {last} of {settings['epochs']}")
    return history


def _check_optimizer(model: Module, tensors: dict[str, Array], settings: dict[str, Any], name: str) -> None:
    """ValueError unless each of the optimizer's slots has a tensor for every parameter, in its shape.

    LBFGS has them for the parameters that it trained.
    """
    variables, slots = weights.named(model), settings["optimizer_slots"]
    shapes = {path: tensors[path].shape for path, variable in variables.items() if not variable.is_state}
    if settings["optimizer"].get("name") == optim.LBFGS.name:
        try:
            trained = fullbatch.check_saved(settings["optimizer_memory"], slots, list(shapes))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{name}: its settings are damaged: optimizer_memory: {error}") from None
        shapes = {path: shapes[path] for path in trained}
    expected = {f"optimizer.{slot}.{path}": shape for slot in slots for path, shape in shapes.items()}
    found = {key for key in tensors if key.startswith("optimizer.") and key not in variables}
    misshapen = {key for key in found & expected.keys() if tensors[key].shape != expected[key]}
    wrong = sorted((found ^ expected.keys()) | misshapen)
    if wrong:
        raise ValueError(
            f"{name}: the optimizer's state is missing, unexpected or misshapen: {', '.join(wrong[:4])}"
        )
