"""A session that is fed batch by batch from Python, for data that isn't there as arrays."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bpcore.symbolic.sparse import room_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from bpcore._core import Session
    from bpcore.basics.arrays import Array
    from bpcore.engine.outputs import Outputs
    from bpcore.intake import Feed, Samples

__all__ = ["Opened", "StreamSession"]

_MOST_SHAPES = 16  # of which native sessions are kept


class Opened(NamedTuple):
    """A native session of one step, the arrays that it reads, its outputs, and what belongs around a step."""

    session: Session
    buffers: list[Array]
    outputs: Outputs
    check: Callable[[str, Samples], None]  # of labels, before it
    writing: AbstractContextManager[None] = nullcontext()  # around a step


class StreamSession:
    """Steps on the batches of a feed: used like a native session, but the number of steps may be unknown.

    Native sessions of one step run them, one for each shape. The batches of a step are taken, checked and
    copied when `finished` asks whether there are any; what is wrong with them is raised there.

    Args:
        feed: where the batches come from.
        open_session: makes the native session for the batches of a step, of which only the last may be
            smaller than the others.
        accumulate: batches of a step.

    Attributes besides those of a native session: `samples` of this epoch and `last_samples` of the last step,
    so far; `outputs`, which are the same for all shapes.
    """

    steps_per_epoch: int | None = None

    def __init__(
        self,
        feed: Feed,
        open_session: Callable[[list[Samples]], Opened],
        accumulate: int = 1,
    ) -> None:
        self.outputs: Outputs  # once batches were taken
        self._feed = feed
        self._open_session = open_session
        self._accumulate = accumulate
        self._collected: dict[int, list[Array]] = {}  # rows by the number of the output
        self._opened: dict[Any, Opened] = {}  # by the dtypes and shapes of the batches
        self._ready: Opened | None = None  # with the batches of the next step in its arrays
        self._rows = 0  # of those
        self._first_rows = 0  # of the first batch of all
        self._taken = 0  # batches of this epoch
        self._epoch = 0, False  # and whether shuffled
        self._fresh = False  # whether an epoch was begun, but no step of it run
        self._error: BaseException | None = None  # from the feed
        self.position = self.skipped = self.samples = self.last_samples = 0
        self.wrong_layer = -1
        self.totals = self.last = np.zeros(0)
        self._losses: list[Array] = []
        self._watched: list[Array] = []

    def begin_epoch(self, epoch: int, shuffle: bool) -> None:
        """The next step is the first of this epoch.

        If that was said before any step was run, what was taken stays; if it was said of another epoch, as a
        run that is resumed does, the batches of those between are left out of a stream that all share.
        """
        if not self._fresh:
            self._begin(epoch, shuffle)
        elif (epoch, shuffle) != self._epoch:
            if self._feed.rewind():
                self._begin(self._epoch[0] if self._feed.continues else epoch, shuffle)
            if self._feed.continues:
                self._feed.skip(-self._taken, epoch - self._epoch[0])
                self._ready, self._taken = None, 0
        self._epoch, self._fresh = (epoch, shuffle), True
        self.position = self.skipped = self.samples = 0
        self.totals = np.zeros_like(self.totals)
        self._collected = {}

    def seek(
        self,
        position: int,
        totals: Sequence[float] | Array,
        skipped: int,
        collected: Mapping[int, Array] | None = None,
    ) -> None:
        """After begin_epoch: goes on behind the first `position` steps, which gave these totals."""
        wanted = position * self._accumulate
        if wanted:
            self._feed.skip(wanted - self._taken)
            self._ready, self._taken, self._fresh = None, wanted, False
        self.position, self.skipped = position, skipped
        self.totals = np.array(totals, np.float64)
        self._collected = {number: [rows] for number, rows in (collected or {}).items()}

    @property
    def finished(self) -> bool:
        """Whether the epoch is over. Takes the batches of its next step, if that has not been done."""
        if self._error is not None:
            raise self._error
        if self._ready is None:
            try:
                self._take()
            except BaseException as error:
                self._error = error  # a generator that has raised seems to be at its end
                raise
        return self._ready is None

    def run(self, steps: int, rates: Array) -> int:
        """Runs up to `steps` steps and returns how many were done; each update takes the next row of `rates`.

        It stops early before an update that is not finite, as a native session does, and where `finished` is
        true or raises.
        """
        self.wrong_layer = -1
        self._losses, self._watched = [], []
        skipped = self.skipped
        for done in range(steps):
            try:
                if self.finished:
                    return done
            except BaseException:
                if done:  # these are told about first
                    return done
                raise
            update = done - (self.skipped - skipped)
            if not self._step(rates[update : update + 1]):
                return done
        return steps

    @property
    def losses(self) -> Array:
        """The loss of each step of the last run, if steps are watched."""
        return np.concatenate(self._losses) if self._losses else np.zeros(0)

    @property
    def watched(self) -> Array:
        """What was measured in the watched steps of the last run."""
        return np.concatenate(self._watched) if self._watched else np.zeros((0, 0))

    def collected(self, number: int) -> Array:
        """The rows of output `number` in this epoch, (samples so far, elements of a row)."""
        parts = self._collected.get(number)
        return np.concatenate(parts) if parts else np.zeros((0, 0))

    def _begin(self, epoch: int, shuffle: bool) -> None:
        self._feed.begin(epoch, shuffle)
        self._ready, self._taken, self._error = None, 0, None

    def _take(self) -> None:
        """Makes the batches of the next step ready, if there are any."""
        batches: list[Samples] = []
        places: list[str] = []
        while len(batches) < self._accumulate:
            batch = self._feed.take()
            if batch is None:
                break
            if self._accumulate > 1:  # the next one may be written to the same memory
                batch = batch._replace(arrays=tuple(array.copy() for array in batch.arrays))
            batches.append(batch)
            places.append(self._feed.place)
            self._check_alike(batches)
        if not batches:
            return
        opened = self._session(batches)
        begin = 0
        for place, batch in zip(places, batches, strict=True):
            opened.check(place, batch)
            end = begin + batch.rows
            for buffer, array in zip(opened.buffers, batch.arrays, strict=True):
                buffer[begin:end] = array
            begin = end
        self._taken += len(batches)
        self._ready, self._rows = opened, begin

    def _check_alike(self, batches: list[Samples]) -> None:
        """ValueError if the last of these can't share a native session with those before it."""
        if len(batches) == 1:
            return
        first, last, rows = batches[0], batches[-1], [batch.rows for batch in batches]
        if _form(last) != _form(first):
            raise ValueError(
                f"{self._feed.place}: the batches of one step (accumulate={self._accumulate}) must have the "
                "same arrays, dtypes and shapes of a sample"
            )
        if len(set(rows[:-1])) > 1 or rows[-1] > rows[0]:
            raise ValueError(
                f"{self._feed.place}: the batches of one step (accumulate={self._accumulate}) must have the "
                f"same number of samples, the last one may have fewer; got {rows}"
            )

    def _session(self, batches: list[Samples]) -> Opened:
        """The native session for these batches."""
        rooms = [room_for(parts) for parts in zip(*[batch.arrays for batch in batches], strict=True)]
        kind = (_form(batches[0]), tuple([batch.rows for batch in batches]), tuple(rooms))
        opened = self._opened.get(kind)
        if opened is None:
            if len(self._opened) == _MOST_SHAPES:
                self._opened.clear()
            try:
                opened = self._open_session(batches)
                if self._first_rows:
                    self.outputs.check_same(opened.outputs, self._first_rows, batches[0].rows)
            except (ValueError, TypeError) as error:
                if type(error) not in (ValueError, TypeError):
                    raise
                raise type(error)(f"{self._feed.place}: {error}") from error
            if not self._first_rows:
                self.outputs, self._first_rows = opened.outputs, batches[0].rows
            if not self.totals.size:
                self.totals = np.zeros_like(opened.session.totals)
            self._opened[kind] = opened
        return opened

    def _step(self, rates: Array) -> bool:
        opened = self._ready
        assert opened is not None
        session = opened.session
        session.begin_epoch(0, False)
        with opened.writing:
            done = session.run(1, rates)
        self.last = session.last
        self.wrong_layer = session.wrong_layer
        if not done:
            return False
        self._ready, self._fresh = None, False
        self.position += 1
        self.samples += self._rows
        self.last_samples = self._rows
        if session.skipped:
            self.skipped += 1
        else:
            self.totals = self.totals + self.last
            self._losses.append(self.last[:1])
            if len(watched := session.watched):
                self._watched.append(watched)
        for number in self.outputs.collected:
            self._collected.setdefault(number, []).append(session.collected(number))
        return True


def _form(batch: Samples) -> tuple[Any, ...]:
    """What batches that share a native session have in common, besides their sizes."""
    arrays = tuple([(array.dtype, array.shape[1:]) for array in batch.arrays])
    return arrays, batch.weighted, batch.inputs, batch.outputs, batch.weights
