"""Work under a time limit, in a process of its own, which the limit really ends.

Solvers check their clocks between iterations, if at all, and a certificate has none: only the end
of the process is certain. What the work has told before is kept.
"""

from __future__ import annotations

import importlib
import os
import pickle
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, final

from lexmargin.errors import LexmarginError
from lexmargin.inputs.alone import quiet
from lexmargin.inputs.progress import Progress, Tick
from lexmargin.processes.nursery import End, Mark
from lexmargin.processes.owner import Nursery
from lexmargin.solution import Ran

__all__ = ["Ended", "Errand", "Keep", "limited", "run_errand", "within_limit"]

Keep = Callable[[Any], None]
"""Called with what the work has found so far."""

WORK = "lexmargin.run.limited:work"
"""What the child is asked to do."""

GRACE_SECONDS: Final = 0.4
"""Time for work to end by its own clock; what is ended after it comes within a second of the
limit, on a busy machine too."""
START_SECONDS: Final = 60.0
"""Time for a child that is no fork to import what the work needs, on a busy machine."""


@final
class Ended(Exception):
    """The process of the work ended without an answer: how, and the sentence why."""

    def __init__(self, ran: Ran, why: str) -> None:
        super().__init__(why)
        self.ran = ran
        self.why = why


@final
@dataclass(frozen=True)
class Errand:
    """A call for another process: ``function(*arguments, progress, keep)``."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    def __reduce__(self) -> tuple[Any, ...]:
        # An interactive session imports from the current folder; there, last, the child finds
        # modules that nobody else has.
        folders = [os.getcwd()] if "" in sys.path else []
        return _unpacked, (folders, pickle.dumps((self.function, self.arguments)))


def _unpacked(folders: list[str], pickled: bytes) -> Errand:
    sys.path.extend(folder for folder in folders if folder not in sys.path)
    return Errand(*pickle.loads(pickled))


@final
@dataclass(frozen=True)
class _Warned:
    message: Warning | str
    category: type[Warning]
    file: str
    line: int


@final
@dataclass(frozen=True)
class _Imported:
    names: tuple[str, ...]


_WITHIN: Final[set[int]] = set()
_IMPORTED: Final[set[str]] = set()
"""Modules that a child has imported and this process has not: the next fork is to find them."""


def within_limit() -> bool:
    """Say whether this process is ended at a limit already: another one would add nothing."""
    return os.getpid() in _WITHIN


def limited(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    seconds: float,
    progress: Progress | None,
    keep: Keep,
    *,
    preloaded: Sequence[str] = (),
    verbose: bool = False,
) -> Any:
    """Return ``function(*arguments, progress, keep)`` of a child, ended soon after its limit.

    Args:
        function: of a module; it keeps its own clock too.
        arguments: for it.
        seconds: until the work ends; it is ended half a second later.
        progress: told of in this process, like ``keep``.
        keep: called with what the work keeps, in order.
        preloaded: modules that a child which is no fork of this process imports first.
        verbose: let the child print.

    Raises:
        Ended: it had to be ended, or its process died.
        LexmarginError: whatever it raised by name.
        UnsupportedError: what cannot be sent to another process.
    """
    for name in sorted(_IMPORTED):
        # What cannot be imported by its name alone is imported where it is needed.
        with suppress(Exception), quiet():
            importlib.import_module(name)
    _IMPORTED.clear()
    nursery = Nursery((__name__, *preloaded), single=False, loud=verbose, near=True)
    try:
        return run_errand(Errand(function, arguments), nursery, seconds, progress, keep)
    finally:
        nursery.close()


def run_errand(
    errand: Errand,
    nursery: Nursery,
    seconds: float | None,
    progress: Progress | None = None,
    keep: Keep | None = None,
) -> Any:
    """Carry out an errand in a child of a nursery; as :func:`limited`."""

    def hear(message: object) -> None:
        if isinstance(message, Tick):
            if progress is not None:
                progress(message)
        elif isinstance(message, _Warned):
            warnings.warn_explicit(message.message, message.category, message.file, message.line)
        elif isinstance(message, _Imported):
            _IMPORTED.update(name for name in message.names if name not in sys.modules)
        elif keep is not None:
            keep(message)

    limit = None if seconds is None else seconds + GRACE_SECONDS
    reply = nursery.run(WORK, errand, (START_SECONDS, limit), hear=hear)
    answer = reply.answer
    match reply.end:
        case End.ANSWERED if isinstance(answer, LexmarginError):
            raise answer
        case End.ANSWERED:
            return answer
        case End.TIME:
            raise Ended(Ran.TIME_LIMIT, "ended at its time limit")
        case End.SIGNAL:
            raise Ended(Ran.CRASHED, f"the process was ended by signal {reply.signal}")
        case End.MEMORY:
            raise Ended(Ran.CRASHED, "there was not enough memory")
        case End.EXIT:
            raise Ended(Ran.CRASHED, f"the process ended with exit code {reply.code}")
        case End.RAISED | End.NO_ROOM:
            raise Ended(Ran.CRASHED, str(answer))


def work(errand: Errand, mark: Mark) -> Any:
    """Return the outcome of an errand, or its named error, in the child.

    Its time begins at the mark, when all its modules are there.
    """
    _WITHIN.add(os.getpid())
    mark()
    before = set(sys.modules)
    with warnings.catch_warnings(record=True) as said:
        # The filters of the caller decide, where a warning arrives.
        warnings.simplefilter("always")
        try:
            return errand.function(*errand.arguments, mark.tell, mark.tell)
        except LexmarginError as error:
            return error
        finally:
            for one in {(str(w.message), w.filename, w.lineno): w for w in said}.values():
                mark.tell(_Warned(one.message, one.category, one.filename, one.lineno))
            mark.tell(_Imported(tuple(set(sys.modules) - before)))
