"""One call of `Trainer.fit`, whose arguments are checked: what it runs, where it begins, who shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bpcore import checkpoint
from bpcore.trainer.run import Run
from bpcore.watching.progress import Progress

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from bpcore.callbacks import Callback
    from bpcore.intake import Feed, Samples
    from bpcore.trainer.run import Data
    from bpcore.trainer.trainer import Trainer
    from bpcore.watching.history import History

__all__ = ["fit"]


def fit(
    trainer: Trainer,
    data: Samples | Feed,
    held_out: Samples | Feed | None,
    going: Data,
    callbacks: Sequence[Callback],
    epochs: int,
    progress: bool | str,
    resume: str | os.PathLike[str] | None,
) -> History:
    """Trains for `epochs` more epochs, or up to so many where it resumes. Raises as `Trainer.fit` does."""
    engine, validate = trainer._engine, None
    with engine.first_use():
        intervals = [each.watch_every for each in callbacks if each.watch_every is not None]
        session, outputs, health = engine.training(
            "fit",
            data,
            going.batch_size,
            going.accumulate,
            min(intervals, default=None),
            (trainer.epochs, going.shuffle),
        )
        if held_out is not None:
            validate = engine.evaluation("fit: validation", held_out, 256)
        run = Run(trainer, session, outputs, going, validate, callbacks)
        for callback in callbacks:
            callback._before_run(trainer, run.names)
        resumed = None
        if resume is not None:
            resumed = checkpoint.read_run(resume, trainer, going._asdict(), run.names)
        if resumed is not None:
            run.check(str(resume), resumed.state)
    with engine.turn("fit"):
        undo_of = checkpoint.undo_of_begin if resumed is None else checkpoint.undo_of_restore
        run.undo = undo_of(trainer)
        try:
            trainer.health = health
            if resumed is not None:
                resumed.restore()
            last, done = (trainer.epochs + epochs, 0) if resume is None else (epochs, trainer.epochs)
            bar = Progress(epochs, going.samples, progress, done)
            trainer._run = run
            return run.epochs(last, bar, resumed)
        except BaseException:
            if run.undo is not None:
                run.undo()
            raise
        finally:
            trainer._run = None
