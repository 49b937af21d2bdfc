"""What `fit` returns is a dict of columns, for whatever takes one."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest

import bpcore as bp


def _history() -> bp.History:
    history = bp.History(before=3, names=["loss", "val_loss"])
    for seconds, loss in ((0.5, 4.0), (0.25, 2.0)):
        history.append(seconds, {"loss": loss, "val_loss": loss + 1})
    return history


def test_a_history_is_a_dict_of_columns() -> None:
    history = _history()
    assert dict(history) == history == {"loss": [4.0, 2.0], "val_loss": [5.0, 3.0]}
    assert list(history) == list(history.keys()) == ["loss", "val_loss"]
    assert [*zip(*history.values(), strict=True)] == [(4.0, 5.0), (2.0, 3.0)]
    assert len(history) == 2
    assert (history.epochs, history.seconds, history.last_epoch) == ([4, 5], [0.5, 0.25], 5)
    assert history.get("mae") is None
    assert json.loads(json.dumps(history)) == history
    with pytest.raises(KeyError, match="no 'mae' in the history; it has loss, val_loss"):
        history["mae"]


def test_a_history_without_epochs_is_empty() -> None:
    history = bp.History(names=["loss"])
    assert not history
    assert (history.epochs, history.seconds, history.curves()) == ([], [], [])


def test_a_history_is_a_table_of_epochs() -> None:
    pandas = pytest.importorskip("pandas")
    history = _history()
    table = pandas.DataFrame(history, index=history.epochs)
    assert list(table.columns) == ["loss", "val_loss"]
    assert table.loc[5].tolist() == [2.0, 3.0]


@pytest.mark.parametrize(
    "twin",
    [
        lambda history: bp.History.from_config(history.config()),
        copy.deepcopy,
        lambda history: pickle.loads(pickle.dumps(history)),
    ],
)
def test_copies_go_on_by_themselves(twin) -> None:
    history = _history()
    other = twin(history)
    other.append(1.0, {"loss": 1.0, "val_loss": np.inf})
    assert (other["loss"], other.epochs, other.seconds) == ([4.0, 2.0, 1.0], [4, 5, 6], [0.5, 0.25, 1.0])
    assert (history["loss"], history.seconds) == ([4.0, 2.0], [0.5, 0.25])
    assert repr(other) == (
        "History(3 epochs in 1.75 s; last: loss 1, val_loss inf; least val_loss 3 in epoch 5)"
    )
