"""How gradients fare in training: norms by layer, updates, dead and saturated units, and what they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from bpcore._core import Session
    from bpcore.basics.arrays import Array

__all__ = ["Finding", "Health", "HealthWarning"]

# Gradients of a layer, root mean square, relative to those of the last layer.
_VANISHED, _EXPLODED = 1e-4, 1e4
_LARGE_UPDATE = 0.1  # of a layer's norm, in one step; about 1e-3 is usual
_LARGE_LOSS = 3.0  # times the first
_MANY_UNITS = 0.5  # dead or saturated

_FOR_DEAD_UNITS = "a smaller learning rate, He initialisation, leaky_relu or gelu, BatchNorm"
_FOR_SATURATED_UNITS = "smaller initial weights, inputs of mean 0 and variance 1, BatchNorm"


class HealthWarning(UserWarning):
    """Training that `callbacks.GradientHealth` watched is not healthy."""


class Finding(NamedTuple):
    """Something that is wrong, where, and what usually helps."""

    kind: str  # "vanishing", "exploding", "explosion", "large updates", "dead units", "saturated units"
    layers: tuple[str, ...]  # paths of modules; empty for the whole model
    step: int | None  # at which it began, where that is known
    text: str


class Health:
    """What was measured in a run of `Trainer.fit` with the callback `GradientHealth`.

    A step is numbered by the updates before it, and n steps were measured. `layers` are the paths of the
    modules that hold parameters, in order of definition. Norms are Euclidean. `first_step` is the run's.
    """

    def __init__(
        self,
        layers: Sequence[str],
        sizes: Sequence[int],
        activities: Sequence[tuple[str, str]],
        first_step: int,
    ) -> None:
        self.layers = tuple(layers)
        self.first_step = first_step
        self._sizes = np.array(sizes, float)
        self._activities = tuple(activities)
        self._rows: list[Array] = []
        self._losses: list[Array] = []
        self._stopped: int | None = None  # the step that was refused, because something was not finite

    def add(self, session: Session) -> None:
        """Takes over what `session` has measured in its last run."""
        self._rows.extend(session.watched)
        self._losses.append(session.losses)

    def stop(self, step: int) -> None:
        """Notes that `step` was refused because its loss or gradient was not finite."""
        self._stopped = step

    # What was measured

    def _table(self) -> Array:
        columns = 1 + 3 * len(self.layers) + len(self._activities)
        return np.array(self._rows).reshape(-1, columns)

    def _norms(self, number: int) -> Array:
        count = len(self.layers)
        return self._table()[:, 1 + number * count : 1 + (number + 1) * count]

    @property
    def steps(self) -> Array:
        """Numbers of the steps that were measured, (n,)."""
        return self._table()[:, 0].astype(np.int64)

    @property
    def gradient_norms(self) -> Array:
        """Norms of the gradients before clipping, (n, layers); 0 for frozen layers."""
        return self._norms(0)

    @property
    def weight_norms(self) -> Array:
        """Norms of the parameters before the update, (n, layers); 0 for frozen layers."""
        return self._norms(1)

    @property
    def update_norms(self) -> Array:
        """Norms of what the update changed, (n, layers)."""
        return self._norms(2)

    @property
    def gradient_rms(self) -> Array:
        """Root mean squares of the gradients' elements, (n, layers)."""
        elements: Array = self.gradient_norms / np.sqrt(self._sizes)
        return elements

    @property
    def update_ratios(self) -> Array:
        """`update_norms` over `weight_norms`, (n, layers); 0 where a layer is frozen or all zero."""
        weights = self.weight_norms
        ratios: Array = np.divide(self.update_norms, weights, out=np.zeros_like(weights), where=weights > 0)
        return ratios

    @property
    def dead(self) -> dict[str, Array]:
        """Path -> share of ReLU units that were 0 for the whole batch, (n,)."""
        return self._shares("dead")

    @property
    def saturated(self) -> dict[str, Array]:
        """Path -> share of sigmoid or tanh elements near their limits, (n,)."""
        return self._shares("saturated")

    @property
    def idle(self) -> dict[str, Array]:
        """What `dead` and `saturated` hold together, from input to output."""
        shares = {**self.dead, **self.saturated}
        return {path: shares[path] for path, _ in self._activities}

    def _shares(self, kind: str) -> dict[str, Array]:
        table = self._table()[:, 1 + 3 * len(self.layers) :]
        found: dict[str, list[Array]] = {}
        for column, (path, each) in enumerate(self._activities):
            if each == kind:
                found.setdefault(path, []).append(table[:, column])
        return {path: np.mean(columns, axis=0) for path, columns in found.items()}  # a module used twice

    @property
    def losses(self) -> Array:
        """The loss of each step's batch, from `first_step` on."""
        return np.concatenate(self._losses) if self._losses else np.zeros(0)

    # What it means

    def findings(self) -> list[Finding]:
        """What is wrong, the most serious first; empty for a healthy run."""
        return [*self._explosion(), *self._flow(), *self._large_updates(), *self._idle_units()]

    def report(self) -> str:
        """`findings` in sentences."""
        found = self.findings()
        if not found:
            return f"no trouble found in {len(self._rows)} measured steps"
        return "\n".join(f"{finding.kind}: {finding.text}" for finding in found)

    def _explosion(self) -> list[Finding]:
        losses = self.losses
        began = self._stopped
        if len(losses):
            above = np.flatnonzero(losses > _LARGE_LOSS * abs(losses[0]))
            if above.size:
                below = np.flatnonzero(losses[: above[0]] <= losses[0])
                began = self.first_step + int(below[-1]) + 1
        if began is None:
            return []
        what = "the loss grew beyond three times its first value"
        if self._stopped is not None:
            grew = "the loss grew, and " if began < self._stopped else ""
            what = f"{grew}it or a gradient was not finite at step {self._stopped}"
        grown = self._grown_since(began)
        where = f"; gradients grew most in {_named(grown)}" if grown else ""
        text = (
            f"it began at step {began}: {what}{where}. Usually helps: a smaller learning rate, a warm-up of "
            "it, clip_norm"
        )
        return [Finding("explosion", tuple(grown), began, text)]

    def _grown_since(self, step: int) -> list[str]:
        """The layers whose gradients were largest, relative to the first measurement, from `step` on."""
        gradients, later = self.gradient_norms, self.steps >= step
        if not later.any() or later.all() or not len(gradients):
            return []
        growth = gradients[later].max(axis=0) / np.maximum(gradients[0], np.finfo(float).tiny)
        return [self.layers[i] for i in np.argsort(-growth)[:3] if growth[i] > 10]

    def _flow(self) -> list[Finding]:
        relative = self._relative_gradients()
        vanished = [path for path, value in relative.items() if value < _VANISHED]
        exploded = [path for path, value in relative.items() if value > _EXPLODED]
        found = []
        if vanished:
            least = min(relative[path] for path in vanished)
            found.append(
                Finding(
                    "vanishing",
                    tuple(vanished),
                    None,
                    f"gradients of {_named(vanished)} are down to {least:.1e} of the last layer's, so these "
                    "layers hardly learn. Usually helps: ReLU or its relatives, not sigmoid and tanh, He "
                    "initialisation, BatchNorm or LayerNorm, fewer layers or connections past them",
                )
            )
        if exploded:
            most = max(relative[path] for path in exploded)
            found.append(
                Finding(
                    "exploding",
                    tuple(exploded),
                    None,
                    f"gradients of {_named(exploded)} are up to {most:.1e} times the last layer's. Usually "
                    "helps: smaller initial weights (Glorot or He), BatchNorm or LayerNorm, clip_norm",
                )
            )
        return found

    def _relative_gradients(self) -> dict[str, float]:
        """Path -> gradient of an element, root mean square, relative to that of the last trained layer."""
        if not self._rows:
            return {}
        typical = np.median(self.gradient_rms, axis=0)
        trained = np.flatnonzero(np.any(self.update_norms > 0, axis=0))
        if not trained.size or typical[trained[-1]] == 0:
            return {}
        return {self.layers[i]: float(typical[i] / typical[trained[-1]]) for i in trained}

    def _large_updates(self) -> list[Finding]:
        if not self._rows:
            return []
        typical = np.median(self.update_ratios, axis=0)
        large = [path for path, ratio in zip(self.layers, typical, strict=True) if ratio > _LARGE_UPDATE]
        if not large:
            return []
        text = (
            f"one step changes {_named(large)} by up to {typical.max():.0%} of its size (about 0.1 % is "
            "usual). Usually helps: a smaller learning rate"
        )
        return [Finding("large updates", tuple(large), None, text)]

    def _idle_units(self) -> list[Finding]:
        if not self._rows:
            return []
        found = []
        for kind, shares, advice in (
            (
                "dead units",
                self.dead,
                _FOR_DEAD_UNITS,
            ),
            (
                "saturated units",
                self.saturated,
                _FOR_SATURATED_UNITS,
            ),
        ):
            many = {path: share[-1] for path, share in shares.items() if share[-1] > _MANY_UNITS}
            if many:
                text = (
                    f"up to {max(many.values()):.0%} in {_named(list(many))} in the last measured step; they "
                    f"pass no gradient on. Usually helps: {advice}"
                )
                found.append(Finding(kind, tuple(many), None, text))
        return found

    def plot(self, *, path: str | os.PathLike[str] | None = None) -> Any:
        """Draws the flow of gradients by layer; see `bpcore.plotting.plot_health`. Needs matplotlib."""
        from bpcore.plotting import plot_health

        return plot_health(self, path=path)

    def __repr__(self) -> str:
        kinds = ", ".join(dict.fromkeys(finding.kind for finding in self.findings())) or "no trouble"
        return f"Health({len(self._rows)} measured steps of {len(self.layers)} layers; {kinds})"


def _named(paths: Sequence[str]) -> str:
    """Paths in words, the middle of many left out."""
    shown = [repr(path) if path else "the model" for path in paths]
    if len(shown) > 4:
        shown = [*shown[:2], f"... ({len(paths)} layers)", shown[-1]]
    return f"layer{'s' if len(paths) > 1 else ''} {', '.join(shown)}"
