"""Packages that not every installation has: one table of what brings them, one error."""

from __future__ import annotations

import importlib
from typing import Any, Final

from lexmargin.errors import MissingBackendError

__all__ = ["BRINGS", "optional"]

BRINGS: Final = {
    "distributed": "lexmargin[dask]",
    "jax": "lexmargin[jax]",
    "jinja2": "lexmargin[pages]",
    "latex2mathml": "lexmargin[pages]",
    "matplotlib": "lexmargin[pages]",
    "pandas": "pandas",
    "torch": "lexmargin[torch]",
}
"""What pip is asked for, by the package that is imported."""


def optional(module: str) -> Any:
    """Import a module of an optional package.

    Raises:
        MissingBackendError: the package is not installed; says what brings it.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # Others are missing where an installed package lacks a part of its own.
        if (error.name or "").partition(".")[0] not in (package, f"{package}lib"):
            raise
        raise MissingBackendError(
            f"{package} is not installed.", f"Install it: pip install '{BRINGS[package]}'."
        ) from error
