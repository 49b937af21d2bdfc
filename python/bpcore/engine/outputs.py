"""What a plan's outputs are about, and the values that their sums over an epoch amount to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from bpcore import metrics

if TYPE_CHECKING:
    from bpcore._core import Session
    from bpcore.basics.arrays import Array
    from bpcore.engine.fullbatch import FullBatchSession
    from bpcore.engine.streaming import StreamSession
    from bpcore.metrics import Metric

__all__ = ["Measured", "Outputs"]


class Measured(NamedTuple):
    """The outputs of one value: of a metric that is an object, or else a sum and its weight, two scalars."""

    name: str
    metric: Metric | None = None
    shapes: tuple[tuple[int, ...], ...] = ((), ())  # of sums, or of the rows that are collected

    @property
    def collects(self) -> bool:
        """Whether the outputs are kept row by row."""
        return self.metric is not None and self.metric.collect


class Outputs(NamedTuple):
    """The outputs of a plan: the mean loss of its batch, then those of each loss and each metric, in order.

    The numbers of outputs count from that mean, 0, so output 2 is the weight of the first loss. `terms` are
    the names and weights of losses by output, whose sum is the loss; none if there is one loss only.
    """

    measured: tuple[Measured, ...] = (Measured("loss"),)
    terms: tuple[tuple[str, float], ...] = ()

    @property
    def collected(self) -> list[int]:
        """The numbers of those that are kept row by row."""
        every = [each.collects for each in self.measured for _ in each.shapes]
        return [number for number, collects in enumerate(every, 1) if collects]

    def check_same(self, other: Outputs, rows: int, others: int) -> None:
        """ValueError if those of a batch of `others` rows don't have the shapes of these, of `rows` rows."""
        for mine, theirs in zip(self.measured, other.measured, strict=True):
            if mine.shapes != theirs.shapes:
                raise ValueError(
                    f"metric {mine.name}: its statistics have the shapes {mine.shapes} in a batch of {rows} "
                    f"samples, {theirs.shapes} in one of {others}, so they don't add up"
                )

    def values(self, session: Session | FullBatchSession | StreamSession) -> dict[str, Any]:
        """Name -> value of the session's epoch so far, a float or an array.

        Where nothing counts, a loss is 0, as it is for a step; a mean has no value, NaN, and neither has a
        loss where all steps were skipped.
        """
        return self._values(session.totals, session, None, _nothing(session))

    def last(self, session: Session | FullBatchSession | StreamSession, rows: int) -> dict[str, Any]:
        """Name -> value of the session's last step, which had so many samples."""
        return self._values(session.last, session, rows)

    def sums(
        self, session: Session | FullBatchSession | StreamSession, of_last_step: bool = False
    ) -> dict[str, Any]:
        """Those of the epoch so far, or of the last step, that add up: without what needs all rows."""
        if of_last_step:
            return self._values(session.last, None, None)
        return self._values(session.totals, None, None, _nothing(session))

    def _values(
        self,
        sums: Array,
        session: Session | FullBatchSession | StreamSession | None,
        rows: int | None,
        nothing: float = 0.0,
    ) -> dict[str, Any]:
        """`nothing` is what a loss is that has no weight."""
        found: dict[str, Any] = {}
        losses = {"loss", *(name for name, _ in self.terms)}
        begin, number = 1, 1  # the next element of the sums, the next output
        for each in self.measured:
            if each.collects and session is None:
                number += len(each.shapes)
                continue
            parts = []
            for shape in each.shapes:
                if each.collects and session is not None:
                    kept = session.collected(number)
                    kept = kept if rows is None else kept[max(len(kept) - rows, 0) :]
                    parts.append(kept.reshape(-1, *shape))
                else:
                    end = begin + math.prod(shape)
                    parts.append(sums[begin:end].reshape(shape))
                    begin = end
                number += 1
            if each.metric is None:
                value, weight = map(float, parts)
                empty = nothing if each.name in losses else math.nan
                found[each.name] = value / weight if weight else empty
            else:
                found[each.name] = metrics.base.read(each.metric, parts)
        if self.terms:
            return {"loss": sum(weight * found[name] for name, weight in self.terms), **found}
        return found


def _nothing(session: Session | FullBatchSession | StreamSession) -> float:
    """What a loss without any weight is: of steps that were all skipped, it is unknown, not 0."""
    return math.nan if 0 < session.skipped == session.position else 0.0
