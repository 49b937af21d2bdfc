"""Tokens as numbers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore.basics.arrays import Array, as_array
from bpcore.basics.settings import count

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

__all__ = ["Vocabulary"]


class Vocabulary:
    """Numbers for tokens: words, characters, or whatever can be a key of a dict.

    ::

        words = data.Vocabulary("the cat sat on the mat".split(), padding="<pad>", unknown="<unk>")
        words.encode("the dog sat".split())          # array([2, 1, 4])
        words.decode([2, 3])                         # ["the", "cat"]
        characters = data.Vocabulary("hello world")  # a string is an iterable of characters

    First come `padding`, `unknown` and `special`, as far as they are given, then the tokens, the most
    frequent first, equally frequent ones in the order in which they came.

    Args:
        tokens: an iterable of them; only their counts are kept.
        padding: a token that stands for nothing; it gets the number 0.
        unknown: a token for all that have no number. None: they are a KeyError.
        special: more tokens with a number of their own, as for the end of a text.
        min_count: tokens that come less often have no number.
        max_size: the most numbers, `padding`, `unknown` and `special` included.
    """

    def __init__(
        self,
        tokens: Iterable[Hashable],
        *,
        padding: Hashable | None = None,
        unknown: Hashable | None = None,
        special: Iterable[Hashable] = (),
        min_count: int = 1,
        max_size: int | None = None,
    ) -> None:
        who = "Vocabulary"
        least = count(who, "min_count", min_count, 1)
        first = [token for token in (padding, unknown) if token is not None] + list(special)
        if len(set(first)) < len(first):
            raise ValueError(f"{who}: padding, unknown and special must differ, got {first!r}")
        most = None if max_size is None else count(who, "max_size", max_size, max(1, len(first)))
        try:
            counts = Counter(tokens)
        except TypeError as error:
            raise TypeError(
                f"{who}: tokens must be one iterable of what can be a key of a dict, as words are ({error}); "
                "join lists of tokens, as by itertools.chain.from_iterable"
            ) from error
        ranked = sorted(counts.items(), key=lambda item: -item[1])  # stable, and counters keep their order
        kept = [token for token, times in ranked if times >= least and token not in set(first)]
        self.tokens: tuple[Hashable, ...] = tuple((first + kept)[:most])
        self.padding, self.unknown = padding, unknown
        self._numbers = {token: number for number, token in enumerate(self.tokens)}

    def __len__(self) -> int:
        return len(self.tokens)

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._numbers

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self.tokens[:5])) + (", ..." if len(self) > 5 else "")
        return f"Vocabulary({len(self)} tokens: {shown})"

    def __getitem__(self, token: Hashable) -> int:
        """The number of a token; that of `unknown` if it has none, KeyError if that has none either."""
        found = self._numbers.get(token)
        if found is None and self.unknown is not None:
            found = self._numbers[self.unknown]
        if found is None:
            raise KeyError(f"Vocabulary: {token!r} is none of the {len(self)} tokens, and unknown is None")
        return found

    def encode(self, tokens: Iterable[Hashable]) -> Array:
        """The numbers of `tokens`, an array (n,) of int64."""
        return np.array([self[token] for token in tokens], np.int64)

    def decode(self, numbers: Any) -> list[Hashable]:
        """The tokens of `numbers`, integers (n,), without `padding`; join them for a text."""
        array = as_array(numbers, "Vocabulary: numbers")
        if array.ndim != 1 or (array.dtype != np.int64 and array.size):
            raise ValueError(
                f"Vocabulary: numbers must be integers of shape (n,), got {array.dtype} {array.shape}"
            )
        wrong = (array < 0) | (array >= len(self))
        if wrong.any():
            raise ValueError(f"Vocabulary: numbers are from 0 to {len(self) - 1}, got {array[wrong][0]}")
        found = [self.tokens[int(number)] for number in array]
        return found if self.padding is None else [token for token in found if token != self.padding]
