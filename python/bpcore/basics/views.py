"""Arrays that lie in the memory of something else, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bpcore.basics.arrays import Array, as_array, to_float
from bpcore.basics.names import suggestion

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

__all__ = ["Views"]


class Views(dict[str, Array]):
    """A dict of views. Setting one writes values to where it lies: no other array takes its place.

    Copies, and what `|` makes, are plain dicts.
    """

    def __setitem__(self, name: str, value: Any) -> None:
        """As `update`."""
        self.update({name: value})

    def update(self, *others: Any, **more: Any) -> None:
        """Writes the values of each name.

        KeyError for a name that isn't here, ValueError for values of another shape or too large for the
        dtype, TypeError for what is no numbers, before anything is written.
        """
        values = {name: self._fitting(name, value) for name, value in dict(*others, **more).items()}
        for name, value in values.items():
            self[name][...] = value

    def __ior__(self, other: Any) -> Self:  # type: ignore[override, misc]
        self.update(other)
        return self

    def _fitting(self, name: str, value: Any) -> Array:
        own = self.get(name)
        if own is None:
            raise KeyError(f"there is no {name!r} to write to; {suggestion(name, self)}")
        values = to_float(as_array(value, name), own.dtype.name, name)
        if values.shape != own.shape:
            raise ValueError(
                f"{name} has shape {own.shape}, the values {values.shape}; [{name!r}][...] = values "
                "would broadcast them"
            )
        return values

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return dict, (dict(self),)
