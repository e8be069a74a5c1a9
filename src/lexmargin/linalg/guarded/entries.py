"""What may pass to compiled code: finite numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.linalg import LinAlgError

__all__ = ["entering", "entries_of"]


def entering(*arrays: Any) -> None:
    """Let arrays pass to compiled code, dense or sparse.

    Raises:
        LinAlgError: an entry is not finite.
    """
    if not all(np.all(np.isfinite(entries_of(array))) for array in arrays):
        raise LinAlgError("Compiled code was to be given numbers that are not finite.")


def entries_of(array: Any) -> Any:
    """Return an array, or the entries that a sparse one stores."""
    return getattr(array, "data", array) if hasattr(array, "tocsr") else array
