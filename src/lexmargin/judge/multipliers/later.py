"""What a word does not need: computed when it is first read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar, final

import numpy as np

__all__ = ["Later"]

_T = TypeVar("_T")
_U = TypeVar("_U")


@final
class Later(Generic[_T]):
    """A value that is computed when it is first read; what that takes is kept until then.

    None where the arithmetic fails: no word hangs on it. A copy, and what is sent to another
    process, has the value alone.

    Args:
        ask: computes the value.
    """

    __slots__ = ("_ask", "_value")

    def __init__(self, ask: Callable[[], _T | None]) -> None:
        self._ask: Callable[[], _T | None] | None = ask
        self._value: _T | None = None

    def read(self) -> _T | None:
        """Return the value."""
        ask = self._ask
        if ask is not None:
            with np.errstate(all="ignore"):
                try:
                    self._value = ask()
                except (ArithmeticError, np.linalg.LinAlgError):
                    self._value = None
            self._ask = None
        return self._value

    def then(self, change: Callable[[_T], _U | None]) -> Later[_U]:
        """Return what becomes of the value, None of None."""

        def ask() -> _U | None:
            value = self.read()
            return None if value is None else change(value)

        return Later(ask)

    def __reduce__(self) -> tuple[Callable[[_T | None], Later[_T]], tuple[_T | None]]:
        return _known, (self.read(),)


def _known(value: _T | None) -> Later[_T]:
    return Later(lambda: value)
