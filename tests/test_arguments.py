"""Arguments that could be taken for one another are given by name: swapped, they would work, wrongly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import bpcore as bp
from bpcore import callbacks, optim, plotting, schedules

if TYPE_CHECKING:
    from collections.abc import Callable

LABELS = np.array([0, 1, 1])


@pytest.mark.parametrize(
    "call",
    [
        lambda: plotting.plot_predictions(LABELS, LABELS),  # type: ignore[misc]
        lambda: plotting.plot_confusion(LABELS, LABELS),  # type: ignore[misc]
        lambda: plotting.plot_history(bp.History(), "a.png"),  # type: ignore[misc]
        lambda: bp.History().plot("a.png"),  # type: ignore[misc]
        lambda: callbacks.EarlyStopping("val_loss", 3),  # type: ignore[misc]
        lambda: callbacks.ReduceLROnPlateau("val_loss", 0.5),  # type: ignore[misc]
        lambda: callbacks.LearningRateFinder(1e-7, 1.0, 100),  # type: ignore[misc]
        lambda: callbacks.LearningRateFinder().plot("a.png"),  # type: ignore[misc]
        lambda: optim.LBFGS(1.0, 20),  # type: ignore[misc]
        lambda: schedules.OneCycle(0.1, 100, 0.3),  # type: ignore[misc]
        lambda: schedules.Cyclic(0.1, 0.2),  # type: ignore[misc]
    ],
)
def test_they_have_to_be_named(call: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match="positional argument"):
        call()
