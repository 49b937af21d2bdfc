"""Things that have names: looked up with a helpful error, or turned into numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["lookup", "nearest", "stream_of", "suggestion"]

T = TypeVar("T")


def lookup(
    kind: str, name: str, known: Mapping[str, T], who: str = "", *, elsewhere: Mapping[str, str] | None = None
) -> T:
    """`known[name]`; or a ValueError, in the name of `who`, that says which of those known are nearest.

    `elsewhere`: names that other libraries have, and the known ones that these mean.
    """
    try:
        return known[name]
    except KeyError:
        begin = f"{who}: " if who else ""
        meant = (elsewhere or {}).get(name.lower(), name)
        raise ValueError(f"{begin}unknown {kind} {name!r}; {suggestion(meant, known)}") from None


def suggestion(name: object, known: Iterable[object]) -> str:
    """What to say of a `name` that is not among those `known`: the nearest of them, then all."""
    words = sorted(map(str, known))
    near = nearest(str(name), words)
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return f"{hint}known: {', '.join(words)}"


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Those of `known` that `name` may have been meant for, two at most."""
    from difflib import get_close_matches  # only needed to say it nicely

    by_case = {each.lower(): each for each in known}
    return [by_case[each] for each in get_close_matches(name.lower(), by_case, n=2, cutoff=0.4)]


def stream_of(name: str) -> int:
    """A stream of random numbers for `name`, of 63 bits, the same in every process (Python's hash is not)."""
    from hashlib import blake2b  # loads OpenSSL, too slow for an import of bpcore

    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little") >> 1
