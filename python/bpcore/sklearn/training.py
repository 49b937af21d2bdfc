"""Runs of an estimator's trainer: epochs of batches, or the iterations of L-BFGS."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from bpcore.sklearn import parameters
from bpcore.sklearn.stopping import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bpcore.basics.arrays import Array
    from bpcore.engine.fullbatch import FullBatchUpdates
    from bpcore.sklearn.base import BaseBackprop
    from bpcore.trainer import Trainer

__all__ = ["descend", "run", "split"]

_LARGEST_BATCH = 200  # of "auto"
_CALLER = 4  # frames from a warning in `run` or `descend` to the caller of the estimator's fit


def split(
    estimator: BaseBackprop, X: Any, target: Array, weight: Array | None, random: Any
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """(X, target) or (X, target, weight) to train on, and, with early stopping, to validate with."""
    parts = (X, target) if weight is None else (X, target, weight)
    if not estimator.early_stopping or parameters.full_batch(estimator):
        return parts, ()
    halves = train_test_split(
        *parts,
        random_state=random,
        test_size=estimator.validation_fraction,
        stratify=estimator._strata(target),
    )
    if halves[1].shape[0] < 2:
        raise ValueError(
            "the validation set is too small; increase validation_fraction or the number of samples"
        )
    return tuple(halves[::2]), tuple(halves[1::2])


def run(
    estimator: BaseBackprop, trainer: Trainer, data: tuple[Any, ...], held_out: tuple[Any, ...], single: bool
) -> None:
    """Epochs until `Progress` says so, or one of them."""
    rows = data[0].shape[0]

    def score(trainer: Trainer) -> float:
        x, target, weight = (*held_out, None)[:3]
        return estimator._score_outputs(trainer.predict(x, check_finite=False), target, weight)

    progress = Progress(estimator, rows, score if held_out else None)
    batch = rows if parameters.full_batch(estimator) else _batch(estimator, rows)
    _fit(trainer, data, 1 if single else estimator.max_iter, batch, estimator.shuffle, [progress])
    if progress.ran_out and not single:
        warnings.warn(
            f"Stochastic optimizer: maximum iterations ({estimator.max_iter}) reached and the optimization "
            "hasn't converged yet",
            ConvergenceWarning,
            stacklevel=_CALLER,
        )


def descend(estimator: BaseBackprop, trainer: Trainer, data: tuple[Any, ...]) -> None:
    """scikit-learn's solver "lbfgs": all iterations are one step."""
    rows = data[0].shape[0]
    _fit(trainer, data, 1, rows, False, [])
    memory = cast("FullBatchUpdates", trainer._engine.updates).memory
    estimator.n_iter_ = memory.n_iter
    estimator.loss_ = trainer.evaluate(data, check_finite=False, batch_size=rows)["loss"]
    for name, done in (("max_iter", memory.n_iter), ("max_fun", memory.func_evals)):
        if done >= getattr(estimator, name):
            warnings.warn(
                f"lbfgs stopped at {name}={done}, before it converged; increase it, or scale X",
                ConvergenceWarning,
                stacklevel=_CALLER,
            )
            break


def _fit(
    trainer: Trainer,
    data: tuple[Any, ...],
    epochs: int,
    batch: int,
    shuffle: bool,
    callbacks: Sequence[Progress],
) -> None:
    try:
        trainer.fit(
            data,
            epochs=epochs,
            batch_size=batch,
            shuffle=bool(shuffle) and batch < data[0].shape[0],
            callbacks=callbacks,
            progress=False,
            check_finite=False,  # scikit-learn has looked
        )
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", stacklevel=_CALLER + 1)
    except FloatingPointError as error:
        raise ValueError(f"{error}, and so may scaling X") from None
    if not all(np.isfinite(each).all() for each in trainer.parameters.values()):
        raise ValueError("the last step has made weights infinite; scaling X or a smaller rate may help")


def _batch(estimator: BaseBackprop, rows: int) -> int:
    """Samples a step."""
    auto = isinstance(estimator.batch_size, str)
    batch = min(_LARGEST_BATCH, rows) if auto else int(estimator.batch_size)
    if batch > rows:
        warnings.warn(
            f"batch_size={batch} is larger than the {rows} samples, so all of them make a batch",
            stacklevel=_CALLER + 1,
        )
        batch = rows
    # A last batch of a single sample has no variance to normalise by.
    while estimator.batch_norm and batch > 2 and rows % batch == 1:
        batch -= 1
    return batch
