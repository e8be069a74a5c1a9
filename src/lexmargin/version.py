"""Versions: this package's, and those of others, in a module that every floor may read."""

import functools
from typing import Final

__all__ = ["VERSION", "installed"]

VERSION: Final = "0.2.0.dev0"


@functools.cache
def installed(package: str) -> str | None:
    """Return the version of a package that is installed, else None; read once in a process."""
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
