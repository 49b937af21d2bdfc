"""greedy, sample, beam_search: against all sequences there are."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from bpcore import decoding, nn, ops

VOCABULARY, END = 4, 3
TABLE = np.random.default_rng(1).normal(size=(VOCABULARY, VOCABULARY, VOCABULARY)) * 2


def _log_softmax(x: np.ndarray) -> np.ndarray:
    return np.asarray(x - np.log(np.exp(x).sum(axis=-1, keepdims=True)))


def by_prefix(tokens: np.ndarray, _state: Any) -> tuple[np.ndarray, Any]:
    """The next token by the last two."""
    before = tokens[:, -2] if tokens.shape[1] > 1 else np.zeros(len(tokens), int)
    return TABLE[before, tokens[:, -1]], None


def by_state(tokens: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
    """The same by the last token and a state: the one before, in a nest of arrays."""
    before = np.zeros(len(tokens), int) if state is None else state[0]["last"]
    return TABLE[before, tokens[:, -1]], ({"last": tokens[:, -1]}, [np.arange(len(tokens))])


STEPS = pytest.mark.parametrize("step", [by_prefix, by_state])


def _all(start: int, most: int, end: int | None, power: float = 0.0) -> list[tuple[float, list[int]]]:
    """Score and tokens of every sequence, the best first."""
    found = []
    for size in range(1, most + 1):
        for tokens in product(range(VOCABULARY), repeat=size):
            stops = tokens[-1] == end
            if end in tokens[:-1] or not (stops or size == most):
                continue
            total, before = 0.0, (0, start)
            for token in tokens:
                total += _log_softmax(TABLE[before])[token]
                before = before[1], token
            found.append((total / size**power, list(tokens[:-1] if stops else tokens)))
    return sorted(found, key=lambda each: -each[0])


@STEPS
@pytest.mark.parametrize("end", [None, END])
@pytest.mark.parametrize("power", [0.0, 0.6, 1.0, 3.0])
def test_a_wide_beam_finds_all_sequences_in_their_order(step: Any, end: int | None, power: float) -> None:
    starts = np.array([0, 2, 1])
    found = decoding.beam_search(step, starts, width=260, max_length=4, end=end, length_penalty=power)
    for start, tokens, scores in zip(starts, found.sequences(), found.scores, strict=True):
        want = _all(start, 4, end, power)
        np.testing.assert_allclose(scores[: len(want)], [score for score, _ in want])
        ranked = {tuple(each): score for score, each in want}  # some differ by roundings only
        for each, score in zip(tokens[: len(want)], scores, strict=False):
            assert score == pytest.approx(ranked.pop(tuple(each.tolist())))
        assert ranked == {}
        np.testing.assert_array_equal(scores[len(want) :], -np.inf)
    assert (found.lengths[~np.isfinite(found.scores)] == 0).all()
    if end is not None:
        padding = np.arange(found.tokens.shape[2]) >= found.lengths[..., None]
        assert (found.tokens[padding] == end).all()


@STEPS
@pytest.mark.parametrize("end", [None, END])
def test_a_wider_beam_is_no_worse_and_scores_are_those_of_the_sequences(step: Any, end: int | None) -> None:
    scores_of = {tuple(tokens): score for score, tokens in _all(1, 5, end)}
    best = -np.inf
    for width in (1, 2, 3, 5, 20, 300):
        found = decoding.beam_search(step, [1], width=width, max_length=5, end=end)
        assert found.tokens.shape[:2] == found.scores.shape == (1, width)
        for tokens, score in zip(found.sequences()[0], found.scores[0], strict=True):
            assert score == pytest.approx(scores_of[tuple(tokens.tolist())]) or score == -np.inf
        assert (np.diff(found.scores[0][np.isfinite(found.scores[0])]) <= 0).all()
        assert found.scores[0, 0] >= best - 1e-12
        best = found.scores[0, 0]
    assert best == pytest.approx(max(scores_of.values()))


@STEPS
def test_greedy_takes_the_likeliest_token_each_time(step: Any) -> None:
    starts = np.array([[0, 1], [2, 0], [1, 2], [3, 3]])
    state = None if step is by_prefix else ({"last": starts[:, 0]}, [])
    found = decoding.greedy(step, starts, max_length=6, end=END, state=state)
    for start, tokens, score in zip(starts, found.sequences(), found.scores, strict=True):
        before, total, want = tuple(start), 0.0, []
        for _ in range(6):
            scores = _log_softmax(TABLE[before])
            token = int(scores.argmax())
            total += scores[token]
            if token == END:
                break
            want.append(token)
            before = before[1], token
        assert tokens.tolist() == want
        assert score == pytest.approx(total)
    padding = np.arange(found.tokens.shape[1]) >= found.lengths[:, None]
    assert (found.tokens[padding] == END).all()


@STEPS
def test_a_beam_of_one_without_an_end_is_greedy(step: Any) -> None:
    greedy = decoding.greedy(step, [0, 1, 2], max_length=7)
    beam = decoding.beam_search(step, [0, 1, 2], width=1, max_length=7)
    np.testing.assert_array_equal(beam.tokens[:, 0], greedy.tokens)
    np.testing.assert_array_equal(greedy.lengths, 7)
    np.testing.assert_allclose(beam.scores[:, 0], greedy.scores)


def test_all_stop_when_all_have_ended() -> None:
    calls = []

    def ending(tokens: np.ndarray, _state: Any) -> tuple[np.ndarray, Any]:
        calls.append(tokens.shape)
        return np.where(np.arange(VOCABULARY) == END, 5.0, 0.0) + np.zeros((len(tokens), 1)), None

    found = decoding.greedy(ending, [0, 1], max_length=50, end=END)
    np.testing.assert_array_equal(found.lengths, 0)
    assert calls == [(2, 1)]
    decoding.beam_search(ending, [0, 1], width=2, max_length=50, end=END)
    assert len(calls) < 10


# Sampling


@pytest.mark.parametrize(
    ("options", "shares"),
    [
        ({}, [0.5, 0.3, 0.15, 0.05]),
        ({"temperature": 0.5}, [0.25, 0.09, 0.0225, 0.0025]),
        ({"temperature": 2}, np.sqrt([0.5, 0.3, 0.15, 0.05])),
        ({"top_k": 2}, [0.5, 0.3, 0, 0]),
        ({"top_k": 1}, [1, 0, 0, 0]),
        ({"top_k": 9}, [0.5, 0.3, 0.15, 0.05]),
        ({"top_p": 0.45}, [1, 0, 0, 0]),
        ({"top_p": 0.79}, [0.5, 0.3, 0, 0]),
        ({"top_p": 0.85}, [0.5, 0.3, 0.15, 0]),
        ({"top_p": 1.0}, [0.5, 0.3, 0.15, 0.05]),
        ({"top_p": 0.6, "top_k": 2}, [1, 0, 0, 0]),
        ({"top_p": 0.6, "temperature": 0.5}, [1, 0, 0, 0]),
    ],
    ids=str,
)
def test_tokens_come_as_often_as_their_probability_says(options: dict[str, Any], shares: Any) -> None:
    order = [2, 0, 3, 1]  # place -> token
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05]))[np.argsort(order)] + 3

    def step(tokens: np.ndarray, _state: Any) -> tuple[np.ndarray, Any]:
        return np.tile(logits, (len(tokens), 1)), None

    found = decoding.sample(step, np.zeros(2000, int), max_length=10, seed=4, **options)
    counts = np.bincount(found.tokens.ravel(), minlength=4)[order]
    shares = np.asarray(shares) / np.sum(shares)
    assert (counts[shares == 0] == 0).all()
    if options.get("top_p") == 0.6 and "top_k" in options:
        assert counts[0] == 20000  # 0.5 / 0.8 of the first two is enough
    np.testing.assert_allclose(counts / 20000, shares, atol=5 * 0.5 / np.sqrt(20000))
    want = (logits - np.log(np.exp(logits).sum()))[found.tokens].sum(axis=1)
    np.testing.assert_allclose(found.scores, want, err_msg="scores are of the model as it is")


@STEPS
def test_the_same_seed_draws_the_same(step: Any) -> None:
    def drawn(seed: int) -> list[list[int]]:
        found = decoding.sample(step, [0, 1, 2, 0], max_length=30, end=END, seed=seed, top_p=0.95)
        return [tokens.tolist() for tokens in found.sequences()]

    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)
    assert drawn(3)[0] != drawn(3)[3], "each sequence has numbers of its own"
    assert all(END not in tokens for tokens in drawn(3))


def test_tokens_of_no_probability_are_never_taken() -> None:
    def step(tokens: np.ndarray, _state: Any) -> tuple[np.ndarray, Any]:
        return np.tile([-np.inf, 0.0, -np.inf, 1.0], (len(tokens), 1)), None

    drawn = decoding.sample(step, np.zeros(50, int), max_length=20, temperature=5.0)
    assert set(drawn.tokens.ravel()) == {1, 3}
    beams = decoding.beam_search(step, [0], width=9, max_length=2)
    assert np.isfinite(beams.scores).sum() == 4


# Models


def test_a_model_of_prefixes_of_one_shape() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Dense(VOCABULARY)

        def __call__(self, tokens: Any) -> Any:
            return self.layer(ops.one_hot(tokens, VOCABULARY))

    model = Model()
    model(np.zeros((1, 8), int))

    def step(tokens: np.ndarray, _state: Any) -> tuple[Any, Any]:
        padded = np.zeros((len(tokens), 8), int)
        padded[:, : tokens.shape[1]] = tokens
        return model(padded)[:, tokens.shape[1] - 1], None

    found = decoding.greedy(step, [0, 1], max_length=5)
    following = np.asarray(model(np.arange(VOCABULARY)[None]))[0].argmax(axis=1)
    for start, tokens in zip([0, 1], found.tokens, strict=True):
        assert tokens.tolist() == [start := int(following[start]) for _ in range(5)]


# Refusals

SEARCHES: list[Any] = [
    ("greedy", decoding.greedy, {}),
    ("sample", decoding.sample, {}),
    ("beam_search", decoding.beam_search, {"width": 2}),
]


@pytest.mark.parametrize(("who", "search", "more"), SEARCHES)
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"start": []}, ValueError, "start must have shape"),
        ({"start": 3}, ValueError, r"start must have shape .*, got \(\)"),
        ({"start": np.zeros((2, 0), int)}, ValueError, "start .*not empty"),
        ({"start": [0.5]}, TypeError, "start must hold integers"),
        ({"max_length": 0}, ValueError, "max_length must be at least 1"),
        ({"end": 4}, ValueError, "end must be one of the 4 tokens, got 4"),
        ({"end": -1}, ValueError, "end must be one of the 4 tokens"),
        ({"end": 1.0}, TypeError, "end must be an integer"),
        ({"step": lambda tokens, _: np.zeros((len(tokens), 4))}, TypeError, "step must return"),
        ({"step": lambda *_: (np.zeros((1, 4)), None)}, ValueError, "step must return logits of"),
        ({"step": lambda *_: (np.zeros(4), None)}, ValueError, "step must return logits of"),
        (
            {"step": lambda tokens, _: (np.full((len(tokens), 4), np.nan), None)},
            ValueError,
            "logits must be finite",
        ),
        (
            {"step": lambda tokens, _: (np.full((len(tokens), 4), -np.inf), None)},
            ValueError,
            "logits must be finite",
        ),
    ],
    ids=str,
)
def test_wrong_arguments(
    who: str, search: Any, more: dict[str, Any], change: Any, error: type[Exception], message: str
) -> None:
    options = {"step": by_prefix, "start": [0, 1], "max_length": 3, **more, **change}
    with pytest.raises(error, match=f"^{who}: {message}"):
        search(options.pop("step"), options.pop("start"), **options)


@pytest.mark.parametrize(
    ("search", "options", "error", "message"),
    [
        (decoding.sample, {"temperature": 0}, ValueError, "temperature must be"),
        (decoding.sample, {"top_k": 0}, ValueError, "top_k must be at least 1"),
        (decoding.sample, {"top_p": 0}, ValueError, "top_p must be"),
        (decoding.sample, {"top_p": 1.1}, ValueError, "top_p must be"),
        (decoding.sample, {"seed": -1}, ValueError, "seed must be at least 0"),
        (decoding.beam_search, {"width": 0}, ValueError, "width must be at least 1"),
        (decoding.beam_search, {"width": 2, "length_penalty": -1}, ValueError, "length_penalty must be"),
        (decoding.beam_search, {"width": 2, "state": np.zeros(3)}, ValueError, "arrays of 1 rows, got one"),
        (decoding.beam_search, {"width": 2, "state": (1,)}, ValueError, "arrays of 1 rows, got int"),
    ],
    ids=str,
)
def test_wrong_settings(search: Any, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{search.__name__}: .*{message}"):
        search(by_prefix, [0], max_length=3, **options)
