"""Checks of estimators' parameters, made when `fit` begins, and the optimizer that they mean."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from bpcore import activations, optim
from bpcore.basics import settings as checks
from bpcore.basics.names import lookup
from bpcore.nn import Module
from bpcore.optim import LBFGS, SGD, Adam, Optimizer

if TYPE_CHECKING:
    from bpcore.sklearn.base import BaseBackprop

__all__ = ["check", "full_batch", "optimizer_of", "sizes_of"]

_ACTIVATIONS = dict.fromkeys((*activations.__all__, "linear", "logistic", "swish"))
_RATES = ("constant", "invscaling", "adaptive")


def check(estimator: BaseBackprop) -> None:
    """ValueError or TypeError for parameters out of range, of another kind, or that don't go together."""
    who = type(estimator).__name__
    sizes_of(estimator)
    if isinstance(estimator.activation, str):
        lookup("activation", estimator.activation, _ACTIVATIONS)
    elif isinstance(estimator.activation, type) or not callable(estimator.activation or abs):
        raise TypeError(
            f"{who}: activation must be a name, a function or a module, got {estimator.activation!r}"
        )
    if not isinstance(estimator.solver, (str, Optimizer)):
        raise TypeError(
            f"{who}: solver must be a name or an object such as optim.AdamW(1e-3), got {estimator.solver!r}"
        )
    optim.resolve(estimator.solver)
    if estimator.batch_size != "auto":
        if isinstance(estimator.batch_size, str):
            raise ValueError(f'{who}: batch_size must be "auto" or an integer, got {estimator.batch_size!r}')
        checks.count(who, "batch_size", estimator.batch_size, 1)
    checks.choice(who, "learning_rate", estimator.learning_rate, _RATES)
    for name in ("learning_rate_init", "epsilon"):
        checks.number(who, name, getattr(estimator, name), above=0)
    for name in ("alpha", "power_t", "tol"):
        checks.number(who, name, getattr(estimator, name), least=0)
    for name in ("momentum", "beta_1", "beta_2", "validation_fraction", "dropout"):
        checks.number(who, name, getattr(estimator, name), least=0, below=1)
    for name in ("max_iter", "max_fun"):
        checks.count(who, name, getattr(estimator, name), 1)
    if estimator.n_iter_no_change != math.inf:
        checks.count(who, "n_iter_no_change", estimator.n_iter_no_change, 1)
    for name in ("shuffle", "warm_start", "nesterovs_momentum", "early_stopping", "batch_norm"):
        checks.flag(who, name, getattr(estimator, name))
    if not isinstance(estimator.verbose, (bool, np.bool_)):
        checks.count(who, "verbose", estimator.verbose, 0)
    if estimator.threads is not None:
        checks.count(who, "threads", estimator.threads, 1)
    if isinstance(estimator.model, Module) or not callable(estimator.model or abs):
        raise TypeError(
            f"{who}: model must be a function (n_features, n_outputs) -> nn.Module, so that every fit has a "
            f"new one; got {estimator.model!r}"
        )
    if full_batch(estimator) and estimator.model is None and (estimator.dropout or estimator.batch_norm):
        raise ValueError(
            f"{who}: L-BFGS wants a loss that stays the same from one evaluation to the next, so it can't go "
            "with dropout or batch_norm"
        )


def sizes_of(estimator: BaseBackprop) -> tuple[int, ...]:
    """The sizes of the hidden layers, given as integers or one integer."""
    who, given = type(estimator).__name__, estimator.hidden_layer_sizes
    if isinstance(given, (str, bytes)):
        raise TypeError(f"{who}: hidden_layer_sizes must be integers, got {given!r}")
    sizes = list(given) if isinstance(given, Iterable) else [given]
    return tuple(checks.count(who, "hidden_layer_sizes", size, 1) for size in sizes)


def full_batch(estimator: BaseBackprop) -> bool:
    """Whether the solver is L-BFGS, which goes by all samples at once."""
    solver = estimator.solver
    return isinstance(solver, LBFGS) or (isinstance(solver, str) and solver == LBFGS.name)


def optimizer_of(estimator: BaseBackprop) -> Optimizer:
    """A new optimizer: scikit-learn's solvers with its parameters, others by name with learning_rate_init.

    An object is copied, so that what training makes of its learning rate isn't left in the estimator.
    """
    rate = estimator.learning_rate_init
    if estimator.solver == "adam":
        return Adam(rate, (estimator.beta_1, estimator.beta_2), estimator.epsilon)
    if estimator.solver == "sgd":
        return SGD(rate, estimator.momentum, bool(estimator.nesterovs_momentum and estimator.momentum > 0))
    if estimator.solver == "lbfgs":
        # What scipy's L-BFGS-B, which scikit-learn uses, remembers and where it stops; all in one step.
        return LBFGS(
            max_iter=estimator.max_iter,
            max_eval=estimator.max_fun,
            tolerance_grad=estimator.tol,
            tolerance_change=2.2e-9,
            history_size=10,
            line_search_fn="strong_wolfe",
        )
    if isinstance(estimator.solver, Optimizer):
        return copy.deepcopy(estimator.solver)
    optimizer = optim.resolve(estimator.solver)
    optimizer.lr = rate
    return optimizer
