"""Vocabulary."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bpcore.data import Vocabulary

WORDS = ["the", "cat", "sat", "on", "the", "mat", "and", "the", "dog", "sat"]


def test_the_most_frequent_come_first_and_equal_ones_as_they_came() -> None:
    words = Vocabulary(WORDS)
    assert words.tokens == ("the", "sat", "cat", "on", "mat", "and", "dog")
    assert list(words) == list(words.tokens)
    assert len(words) == 7
    assert "cat" in words
    assert "cow" not in words
    assert words["sat"] == 1
    assert repr(words) == "Vocabulary(7 tokens: 'the', 'sat', 'cat', 'on', 'mat', ...)"


def test_there_and_back() -> None:
    words = Vocabulary(WORDS, padding="<pad>", unknown="<unk>", special=["<end>"])
    assert words.tokens[:4] == ("<pad>", "<unk>", "<end>", "the")
    numbers = words.encode([*WORDS, "cow", "<end>"])
    assert numbers.dtype == np.int64
    assert numbers.tolist()[-2:] == [1, 2]
    assert words.decode(numbers) == [*WORDS, "<unk>", "<end>"]
    assert words.decode([3, 0, 0]) == ["the"]
    assert words.encode([]).shape == (0,)
    assert words.decode([]) == []


def test_characters_and_other_tokens() -> None:
    text = "hello world"
    characters = Vocabulary(text)
    assert characters.tokens[:2] == ("l", "o")
    assert "".join(map(str, characters.decode(characters.encode(text)))) == text
    assert Vocabulary([3, (1, 2), 3]).encode([(1, 2), 3]).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("options", "tokens"),
    [
        ({"min_count": 2}, ("the", "sat")),
        ({"max_size": 3}, ("the", "sat", "cat")),
        ({"max_size": 3, "unknown": "?"}, ("?", "the", "sat")),
        ({"max_size": 1, "unknown": "?"}, ("?",)),
        ({"min_count": 9, "padding": 0}, (0,)),
        ({"min_count": 2, "unknown": "sat"}, ("sat", "the")),
    ],
    ids=str,
)
def test_rare_tokens_and_a_largest_size(options: dict[str, Any], tokens: tuple[Any, ...]) -> None:
    assert Vocabulary(WORDS, **options).tokens == tokens


def test_without_unknown_a_new_token_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="'cow' is none of the 7 tokens, and unknown is None"):
        Vocabulary(WORDS).encode(["cat", "cow"])
    assert len(Vocabulary([])) == 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"padding": "a", "unknown": "a"}, ValueError, "padding, unknown and special must differ"),
        ({"special": ["a", "a"]}, ValueError, "padding, unknown and special must differ"),
        ({"min_count": 0}, ValueError, "min_count must be at least 1"),
        ({"max_size": 1, "padding": "a", "unknown": "b"}, ValueError, "max_size must be at least 2"),
        ({"max_size": 2.0}, TypeError, "max_size must be an integer"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^Vocabulary: {message}"):
        Vocabulary(WORDS, **options)


def test_lists_of_tokens_are_no_tokens() -> None:
    with pytest.raises(TypeError, match=r"^Vocabulary: tokens must be one iterable .*'list'.*from_iterable"):
        Vocabulary([["a", "b"], ["c"]])


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([7], "numbers are from 0 to 6, got 7"),
        ([0, -1], "numbers are from 0 to 6, got -1"),
        ([[0]], r"numbers must be integers of shape \(n,\), got int64 \(1, 1\)"),
        ([0.0], "numbers must be integers"),
    ],
)
def test_wrong_numbers(numbers: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^Vocabulary: {message}"):
        Vocabulary(WORDS).decode(numbers)
