"""Checks of settings when an object is made: numbers in a range, whole numbers, words, names of files."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore.basics.texts import brief

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["choice", "count", "flag", "integer", "integers", "number", "path", "seed"]

_LARGEST_SEED = 2**63


def number(
    who: str,
    name: str,
    value: Any,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
) -> float:
    """`value` as a finite float in a range; at most one of `least` and `above`, of `most` and `below`.

    TypeError if it is not a number (a bool isn't), ValueError if it is NaN, infinite or out of range.
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{who}: {name} must be a number, got {brief(value)}")
    try:
        found = float(value)
    except OverflowError:  # an integer past the largest float
        found = math.inf
    inside = (
        math.isfinite(found)
        and (least is None or found >= least)
        and (above is None or found > above)
        and (most is None or found <= most)
        and (below is None or found < below)
    )
    if not inside:
        raise ValueError(f"{who}: {name} must be {_range(least, above, most, below)}, got {value}")
    return found


def _range(least: float | None, above: float | None, most: float | None, below: float | None) -> str:
    """The range in words, or as an interval if it ends on both sides."""
    low = f"at least {least:g}" if least is not None else f"above {above:g}" if above is not None else ""
    high = f"at most {most:g}" if most is not None else f"below {below:g}" if below is not None else ""
    if low and high:
        opening, closing = "(" if least is None else "[", ")" if most is None else "]"
        return f"in {opening}{low.split()[-1]}, {high.split()[-1]}{closing}"
    return f"finite and {low or high}" if low or high else "finite"


def integer(who: str, name: str, value: Any) -> int:
    """`value` as an int; TypeError if it is not an integer (a bool isn't)."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{who}: {name} must be an integer, got {brief(value)}")
    return int(value)


def integers(who: str, name: str, value: Any) -> list[int]:
    """`value`, one integer or several, as a list; TypeError for anything else, a rounded number too."""
    several = isinstance(value, Iterable) and not isinstance(value, str)
    return [integer(who, name, each) for each in (value if several else [value])]


def count(who: str, name: str, value: Any, least: int, most: int | None = None) -> int:
    """`value` as an int of at least `least` and at most `most`; TypeError if it is not an integer."""
    found = integer(who, name, value)
    if found < least or (most is not None and found > most):
        high = "" if most is None else f" and at most {most}"
        raise ValueError(f"{who}: {name} must be at least {least}{high}, got {value}")
    return found


def seed(who: str, value: Any) -> int:
    """`value` as a key of random numbers, an int in [0, 2**63); TypeError if it is not an integer."""
    found = count(who, "seed", value, 0)
    if found >= _LARGEST_SEED:
        raise ValueError(f"{who}: seed must be below 2**63, got {value}")
    return found


def flag(who: str, name: str, value: Any) -> bool:
    """`value` as a bool; TypeError for anything else, such as the word "no", which is true."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{who}: {name} must be True or False, got {brief(value)}")
    return bool(value)


def choice(who: str, name: str, value: Any, known: Sequence[str]) -> str:
    """`value`, which must be one of the words `known`; ValueError for any other, whatever it is."""
    if not isinstance(value, str) or value not in known:
        words = [f'"{word}"' for word in known]
        raise ValueError(f"{who}: {name} must be {', '.join(words[:-1])} or {words[-1]}, got {brief(value)}")
    return value


def path(who: str, name: str, value: Any, kind: str = "file") -> str:
    """`value` as a whole path; TypeError unless it can be the name of a file, or of another `kind`."""
    if not isinstance(value, (str, os.PathLike)) or not os.fspath(value):
        raise TypeError(f"{who}: {name} must be the name of a {kind}, got {brief(value)}")
    return os.path.abspath(os.fspath(value))
