"""What belongs to the whole process, changed by one thread at a time.

File descriptors 1 and 2, ``sys.stdout`` and the filters of warnings are the process's own: two
threads that change them and change them back in another order leave them changed for good.
"""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, final

__all__ = ["alone", "held", "quiet"]


@final
@dataclass
class _Turn:
    """Whose turn it is; a fork gives the child a free one, unless the forking thread had it."""

    lock: contextlib.AbstractContextManager[Any] = field(default_factory=threading.RLock)
    owner: int | None = None
    depth: int = 0

    def renew(self) -> None:
        """Forget a thread that a fork has left behind."""
        if not held():
            self.lock, self.owner, self.depth = threading.RLock(), None, 0


_TURN = _Turn()


def held() -> bool:
    """Tell whether it is this thread's turn."""
    return _TURN.owner == threading.get_ident()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_TURN.renew)


@contextmanager
def alone() -> Iterator[None]:
    """Be the one thread that changes what belongs to the process; blocks of a thread nest."""
    with _TURN.lock:
        _TURN.owner = threading.get_ident()
        _TURN.depth += 1
        try:
            yield
        finally:
            _TURN.depth -= 1
            if not _TURN.depth:
                _TURN.owner = None


@contextmanager
def quiet(action: Literal["ignore", "error"] = "ignore") -> Iterator[None]:
    """Ignore warnings inside the block, or raise them, one thread at a time."""
    with alone(), warnings.catch_warnings(action=action):
        yield
