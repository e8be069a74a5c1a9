"""Families of dataclasses that files tell apart by a word, and what their fields say to files."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, final

from lexmargin.errors import ParameterError

__all__ = ["BESIDE", "HOW", "LATER", "Family"]

HOW: Final = {"states": False}
"""Metadata of a field that says how a problem is solved, and not which one it is."""
LATER: Final = {"later": True}
"""Metadata of a field that is younger than receipts: they leave it out at its default."""
BESIDE: Final = {"beside": True}
"""Metadata of a field whose own fields stand beside its word in a file, and not in a table."""


@final
class Family:
    """The classes of one kind of thing, each by the word that is its own.

    A class that is defined is known: nothing is ever looked for.

    Args:
        noun: what the classes are, in messages.
        key: the key that names the class where the fields stand beside it.
    """

    def __init__(self, noun: str, key: str) -> None:
        self.noun = noun
        self.key = key
        self._known: dict[str, type[Any]] = {}

    @property
    def classes(self) -> Mapping[str, type[Any]]:
        """The classes by their words."""
        return MappingProxyType(self._known)

    def add(self, word: str, cls: type[Any]) -> None:
        """Take a class in; one that is defined again takes the place of the one before.

        Raises:
            ParameterError: the word is that of another class.
        """
        known = self._known.setdefault(word, cls)
        if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ParameterError(
                f"The name {word!r} is that of {known.__qualname__}.",
                f"Give {cls.__qualname__} a name of its own: receipts and files read by it.",
            )
        self._known[word] = cls

    def word(self, cls: type[Any]) -> str:
        """Return the word of a class.

        Raises:
            ParameterError: it has none of its own, whatever it inherits.
        """
        found = [word for word, known in self._known.items() if known is cls]
        if found:
            return found[0]
        raise ParameterError(
            f"A {cls.__name__} cannot be described in a file.",
            f"Give the class a word of its own: files hold {self.noun}s that have one.",
        )
