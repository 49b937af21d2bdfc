"""One sequence for each start: the likeliest token each time, or one drawn by its probability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore.basics.settings import count, number
from bpcore.decoding.common import Decoded, Step, next_scores, settings, starts

if TYPE_CHECKING:
    from collections.abc import Callable

    from bpcore.basics.arrays import Array

__all__ = ["greedy", "sample"]


def greedy(step: Step, start: Any, *, max_length: int, end: int | None = None, state: Any = None) -> Decoded:
    """The likeliest token each time, the first of equal ones.

    Args:
        step: see `bpcore.decoding`.
        start: what the sequences begin with, integers (n,) or (n, t).
        max_length: the most tokens to add.
        end: the token that ends a sequence; it is not counted in the lengths, but in the scores. None: all
            sequences get `max_length` tokens.
        state: what `step` is given as its state the first time.

    Returns `Decoded`: tokens (n, longest), with `end` behind shorter ones, lengths (n,), and scores (n,), the
    sums of the tokens' log-probabilities.
    """
    return _extend("greedy", step, start, max_length, end, state, lambda scores: scores.argmax(axis=1))


def sample(
    step: Step,
    start: Any,
    *,
    max_length: int,
    end: int | None = None,
    state: Any = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
) -> Decoded:
    """Each token drawn by its probability, softmax(logits / temperature), among the likeliest ones.

    Arguments and result are those of `greedy`; scores are log-probabilities of the model as it is. Besides:

    Args:
        temperature: above 0; small ones come close to `greedy`.
        top_k: only the k likeliest tokens are drawn; A. Fan et al., Hierarchical neural story generation
            (2018). None: all of them.
        top_p: in (0, 1]: only the fewest likeliest tokens whose probabilities sum to at least this, after
            `top_k`; A. Holtzman et al., The curious case of neural text degeneration (2020).
        seed: of `numpy.random.default_rng`, which gives each token of each of the n sequences one number; the
            same seed, starts and model, the same tokens.
    """
    who = "sample"
    heat = number(who, "temperature", temperature, above=0)
    most = None if top_k is None else count(who, "top_k", top_k, 1)
    share = None if top_p is None else number(who, "top_p", top_p, above=0, most=1)
    rng = np.random.default_rng(count(who, "seed", seed, 0))

    def draw(scores: Array) -> Array:
        order = np.argsort(-scores, axis=1, kind="stable")[:, :most]
        heated = np.take_along_axis(scores, order, axis=1)
        heated = (heated - heated[:, :1]) / heat
        sums = np.cumsum(np.exp(heated), axis=1)
        ends = sums[:, -1:].copy()
        if share is not None:  # the sum up to the first token that reaches the share
            kept = np.argmax(sums >= share * ends, axis=1)
            ends = np.take_along_axis(sums, kept[:, None], axis=1)
        # Below the end, which rounding could reach: the last token of positive probability up to there.
        points = np.minimum(rng.random(len(scores))[:, None] * ends, np.nextafter(ends, 0))
        chosen = (sums <= points).sum(axis=1, keepdims=True)
        found: Array = np.take_along_axis(order, chosen, axis=1)[:, 0]
        return found

    return _extend(who, step, start, max_length, end, state, draw)


def _extend(
    who: str,
    step: Step,
    start: Any,
    max_length: Any,
    end: Any,
    state: Any,
    choose: Callable[[Array], Array],
) -> Decoded:
    """Sequences of what `choose` takes of log-probabilities (n, vocabulary) each time."""
    tokens = starts(who, start)
    most, last = settings(who, max_length, end)
    n, first = tokens.shape
    scores, lengths = np.zeros(n), np.zeros(n, np.int64)
    going = np.ones(n, bool)
    for _ in range(most):
        each, state = next_scores(who, step, tokens, state, last)
        chosen = np.asarray(choose(each), np.int64)
        if last is not None:
            chosen = np.where(going, chosen, last)
        scores += np.where(going, each[np.arange(n), chosen], 0.0)
        tokens = np.concatenate([tokens, chosen[:, None]], axis=1)
        if last is not None:
            going &= chosen != last
        lengths += going
        if not going.any():
            break
    return Decoded(tokens[:, first:], lengths, scores)
