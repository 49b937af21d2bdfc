"""What takes back a run that never began."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bpcore.engine.fullbatch import FullBatchUpdates

if TYPE_CHECKING:
    from collections.abc import Callable

    from bpcore.trainer import Trainer

__all__ = ["undo_of_begin", "undo_of_restore"]

_OF_RUN = ("history", "health", "stop_training", "_stop_reason")


def undo_of_begin(trainer: Trainer) -> Callable[[], None]:
    """What gives `trainer` back what it says of its last run, which the next one replaces as it begins."""
    before = {name: getattr(trainer, name) for name in _OF_RUN}

    def undo() -> None:
        for name, value in before.items():
            setattr(trainer, name, value)

    return undo


def undo_of_restore(trainer: Trainer) -> Callable[[], None]:
    """The same, with all values that a checkpoint replaces, of which it holds copies."""
    engine, optimizer, begin = trainer._engine, trainer.optimizer, undo_of_begin(trainer)
    updates = engine.updates
    values, steps, skipped = engine.snapshot(), updates.steps, trainer.skipped
    lr, scale = optimizer.lr, optimizer.scale
    memory = (updates.memory, updates.parameters) if isinstance(updates, FullBatchUpdates) else None
    state = {} if memory else {name: array.copy() for name, array in engine.optimizer_state().items()}

    def undo() -> None:
        begin()
        engine.restore(values)
        if isinstance(updates, FullBatchUpdates) and memory is not None:
            updates.memory, updates.parameters = memory
        own = engine.optimizer_state()
        for name, array in state.items():
            own[name][...] = array
        updates.steps, trainer.skipped = steps, skipped
        if optimizer.lr != lr:
            optimizer.lr = lr
        optimizer.scale = scale

    return undo
