"""A session that is fed batch by batch keeps what a native one would."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bpcore import metrics
from bpcore._native import core
from bpcore.engine.outputs import Measured, Outputs
from bpcore.engine.streaming import Opened, StreamSession
from bpcore.intake import Batches, Samples
from tests.graph.test_session import NO_RATES, plan_of, samples, session_of

OUTPUTS = Outputs((Measured("columns", None, ((3,),)), Measured("rows", metrics.ROCAUC(), ((3,),))))


def stream_of(parts: list[Any], **options: Any) -> StreamSession:
    def opened(batches: list[Samples]) -> Opened:
        buffers = [np.empty_like(batches[0].arrays[0])]
        store = core.Store([], [], "float32")
        session = core.Session(
            plan_of(batches[0].rows), None, store, None, buffers, batches[0].rows, collect=[2]
        )
        return Opened(session, buffers, OUTPUTS, lambda who, batch: None)  # noqa: ARG005

    feed = Batches("fit", parts, lambda place, x: Samples((x,), ("x",), False, False), **options)  # noqa: ARG005
    return StreamSession(feed, opened)


@pytest.mark.parametrize("position", range(4))
def test_what_is_collected_and_summed_and_gone_on_with(position: int) -> None:
    x = samples()
    parts = [x[0:3], x[3:6], x[6:9], x[9:10]]
    native, stream, later = session_of(x, 3, collect=[2]), stream_of(parts), stream_of(parts)
    for epoch in range(2):
        native.begin_epoch(epoch, False)
        stream.begin_epoch(epoch, False)
        assert stream.collected(2).shape[0] == 0
        native.run(position, NO_RATES)
        assert stream.run(position, NO_RATES) == position
        later.begin_epoch(epoch, False)
        later.seek(position, stream.totals, 0, {2: stream.collected(2)} if position else {})
        for session in (native, stream, later):
            session.run(100, NO_RATES)
            assert session.finished
            assert session.position == 4
            np.testing.assert_array_equal(session.totals, native.totals)
            np.testing.assert_array_equal(session.collected(2), native.collected(2))
        assert (stream.samples, stream.last_samples) == (10, 1)


def test_native_sessions_of_many_shapes_are_not_all_kept() -> None:
    x = samples(40)
    parts = [x[:rows] for rows in range(1, 41)]
    stream = stream_of(parts)
    stream.begin_epoch(0, False)
    stream.run(100, NO_RATES)
    assert stream.position == 40
    assert len(stream._opened) <= 16
