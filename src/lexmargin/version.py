"""The version, in a module of its own so that every floor may say it."""

from typing import Final

__all__ = ["VERSION"]

VERSION: Final = "0.1.0"
