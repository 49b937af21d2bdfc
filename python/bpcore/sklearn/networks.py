"""The networks of estimators: made from a recipe, kept as bytes where they are pickled."""

from __future__ import annotations

import copy
import math
from itertools import pairwise
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from bpcore import nn
from bpcore.engine.fullbatch import FullBatchUpdates
from bpcore.nn import Module, activations, init
from bpcore.nn.module import weights
from bpcore.watching.history import History

if TYPE_CHECKING:
    from collections.abc import Callable

    from bpcore.basics.arrays import Array
    from bpcore.trainer import Trainer

__all__ = ["Network", "Recipe", "dense_layers"]

# Names of scikit-learn, whose initial values they get: C(6) of Glorot's formula, C(2) for the logistic one.
_GLOROT = {None: 6.0, "identity": 6.0, "tanh": 6.0, "relu": 6.0, "logistic": 2.0, "sigmoid": 2.0}
_NAMES = {"identity": None, "logistic": "sigmoid"}
_LOCK = Lock()


class Recipe(NamedTuple):
    """What makes a network of the same form again."""

    hidden: tuple[int, ...]
    activation: Any
    dropout: float
    batch_norm: bool
    model: Callable[[int, int], Module] | None  # instead of all of these
    features: int
    outputs: int
    seed: int
    dtype: str

    def make(self) -> Module:
        """A new model: dense layers, each but the last with what was asked for behind it.

        TypeError if a function that makes the model returns something else.
        """
        if self.model is not None:
            made = self.model(self.features, self.outputs)
            if not isinstance(made, Module):
                raise TypeError(f"fit: model must return a bpcore.nn.Module, got {type(made).__name__}")
            return made
        layers: list[Any] = []
        sizes = (self.features, *self.hidden, self.outputs)
        for fan_in, units in pairwise(sizes[:-1]):
            # A module as an activation, as nn.PReLU(), is another one in each layer.
            activation = copy.deepcopy(self.activation)
            if isinstance(activation, str):
                activation = _NAMES.get(activation, activation)
            if self.batch_norm:
                after = activations.resolve(activation)
                layers += [self._dense(fan_in, units, None), nn.BatchNorm()]
                layers += [] if after is None else [after]
            else:
                layers.append(self._dense(fan_in, units, activation))
            if self.dropout:
                layers.append(nn.Dropout(self.dropout))
        return nn.Sequential(*layers, self._dense(sizes[-2], sizes[-1], None))

    def _dense(self, fan_in: int, units: int, activation: Any) -> nn.Dense:
        own = self.activation
        if own is not None and not (isinstance(own, str) and own in _GLOROT):
            return nn.Dense(units, activation)
        # X. Glorot and Y. Bengio (2010), also for biases.
        bound = math.sqrt(_GLOROT[own] / (fan_in + units))
        uniform = init.Uniform(-bound, bound)
        return nn.Dense(units, activation, in_features=fan_in, kernel_init=uniform, bias_init=uniform)


def dense_layers(model: Module) -> list[nn.Dense]:
    """All dense layers of a model, in order."""
    return [module for _, module in model.named_modules() if isinstance(module, nn.Dense)]


class Network:
    """A model that is being trained. Pickled, it is its recipe and the bytes of a safetensors file.

    What unpickles it builds nothing: the model is made from the recipe when it is first used.
    """

    def __init__(self, recipe: Recipe, trainer: Trainer) -> None:
        self.recipe = recipe
        self._trainer: Trainer | None = trainer
        self._saved: dict[str, Any] = {}

    def replace(self, trainer: Trainer) -> None:
        """Goes on with another trainer of the same model."""
        self._trainer = trainer

    def trainer(self, make: Callable[[Module, Recipe], Trainer]) -> Trainer:
        """The trainer; after unpickling, `make` makes it for the model that is brought back first."""
        if self._trainer is None:
            with _LOCK:
                if self._trainer is None:
                    self._trainer = self._restored(make)
                    self._saved = {}
        return self._trainer

    def _restored(self, make: Callable[[Module, Recipe], Trainer]) -> Trainer:
        from safetensors.numpy import load

        saved, model = self._saved, self.recipe.make()
        arrays: dict[str, Array] = load(saved["contents"])
        weights.restore(model, arrays, "the pickled network")
        trainer = make(model, self.recipe)
        if trainer.optimizer.name == saved["optimizer"]:
            trainer.optimizer.scale = saved["scale"]
            trainer._engine.updates.steps = saved["steps"]
            for name, value in trainer.optimizer_state.items():
                if name in arrays:
                    value[...] = arrays[name]
        trainer.history = History(saved["epochs"])
        return trainer

    def __getstate__(self) -> dict[str, Any]:
        saved, trainer = self._saved, self._trainer
        if trainer is None:
            return {"recipe": self.recipe, "saved": saved}
        from safetensors.numpy import save

        arrays = weights.tensors(trainer.model)
        if not isinstance(trainer._engine.updates, FullBatchUpdates):  # no later fit needs its memory
            arrays.update(trainer.optimizer_state)
        return {
            "recipe": self.recipe,
            "saved": {
                "contents": save({name: value.copy() for name, value in arrays.items()}),
                "optimizer": trainer.optimizer.name,
                "scale": trainer.optimizer.scale,
                "steps": trainer.steps,
                "epochs": trainer.epochs,
            },
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.recipe, self._saved, self._trainer = state["recipe"], state["saved"], None
