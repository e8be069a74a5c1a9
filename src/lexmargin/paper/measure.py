"""Measuring statements: in parallel processes, resumable, each record complete or absent."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from lexmargin.errors import BadInputError, LexmarginError
from lexmargin.inputs.files import make_folder, read_file, write_file
from lexmargin.inputs.limits import RECORD_BYTES
from lexmargin.inputs.progress import Part, Progress, Tick, telling
from lexmargin.paper.shelf import statement
from lexmargin.paper.statement import Effort, Measurement, Statement
from lexmargin.processes.crew import crew
from lexmargin.processes.nursery import End, Mark
from lexmargin.processes.owner import Nursery
from lexmargin.version import VERSION

__all__ = ["TIME_LIMIT", "Record", "measure_all", "measured_before", "source_of"]


TIME_LIMIT: Final = 600.0
"""Seconds for one statement; then its process is ended."""

TASK = "lexmargin.paper.measure:work"
"""What a child is asked to do."""

_PRELOADED: Final = (
    "scipy.optimize",
    "cvxpy",
    "pyomo.environ",
    "casadi",
    "cyipopt",
    "flint",
    "lexmargin.paper.measure",
)


@final
@dataclass(frozen=True)
class Record:
    """A statement with what was measured, or why nothing was.

    Attributes:
        id: of the statement.
        effort: full or quick.
        key: hash of version, code and effort: an older record is measured again.
        measurement: None where the measurement failed.
        failure: the reason then; else empty.
        seconds: wall time; the one figure that is not the same in every run.
    """

    id: str
    effort: Effort
    key: str
    measurement: Measurement | None
    failure: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        measured = None if self.measurement is None else self.measurement.to_json()
        return {**vars(self), "effort": self.effort.value, "measurement": measured}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Record:
        """Read what :meth:`to_json` wrote."""
        measured = stored["measurement"]
        found = None if measured is None else Measurement.from_json(measured)
        return cls(**{**stored, "effort": Effort(stored["effort"]), "measurement": found})


def source_of(stated: Statement) -> str:
    """Return the module's path below the package, as ``paper/statements/lemma_3.py``."""
    return "/".join(type(stated).__module__.split(".")[1:]) + ".py"


def measure_all(
    statements: tuple[Statement, ...],
    effort: Effort,
    folder: Path,
    workers: int = 2,
    time_limit: float = TIME_LIMIT,
    progress: Progress | bool | None = None,
) -> Iterator[Record]:
    """Yield a record per statement, in the order given.

    A record in ``folder`` that the same code made with the same effort is read, not measured
    again, so that an interrupted run goes on where it stopped. Each statement runs in a process
    that is ended at its time limit, or when this generator is closed.

    Args:
        statements: from the shelf.
        effort: full or quick.
        folder: of the records, one JSON file each; made if absent.
        workers: processes at a time.
        time_limit: seconds per statement.
        progress: True for a bar; or a function that is called with a :class:`Tick` after each.

    Raises:
        BadInputError: the folder cannot be written to, or workers or time limit are not positive.
    """
    if workers < 1 or not time_limit > 0:
        raise BadInputError(
            f"{workers} workers and a limit of {time_limit} s.", "Give positive numbers."
        )
    make_folder(folder)
    keys = {stated.id: _key(stated, effort) for stated in statements}
    done: dict[str, Record | None] = dict.fromkeys(keys)
    done |= {record.id: record for record in measured_before(statements, effort, folder)}
    missing = [stated.id for stated in statements if done[stated.id] is None]
    count = len(statements)
    with telling(progress) as told:
        for index, fresh in enumerate(_measured(missing, effort, keys, workers, time_limit)):
            _write(folder / f"{fresh.id}.json", fresh)
            done[fresh.id] = fresh
            if told is not None:
                told(Tick(Part.STATEMENTS, count - len(missing) + index + 1, count, fresh.id))
    for stated in statements:
        record = done[stated.id]
        if record is not None:
            yield record


def measured_before(
    statements: tuple[Statement, ...], effort: Effort, folder: Path
) -> tuple[Record, ...]:
    """Return the records in a folder that this code made with this effort, in the order given."""
    found = (_stored(folder, stated.id, _key(stated, effort)) for stated in statements)
    return tuple(record for record in found if record is not None)


def _measured(
    names: list[str], effort: Effort, keys: dict[str, str], workers: int, time_limit: float
) -> Iterator[Record]:
    """Yield records as they are finished."""

    def measured(name: str, nursery: Nursery) -> Record:
        reply = nursery.run(TASK, (name, effort.value), (time_limit,))
        measurement: Measurement | None = None
        failure, seconds = "", reply.seconds
        match reply.end:
            case End.ANSWERED:
                stored, failure, seconds = reply.answer
                measurement = None if stored is None else Measurement.from_json(stored)
            case End.TIME:
                failure = f"ended at its time limit of {time_limit:g} s"
            case End.SIGNAL:
                failure = f"its process was ended by signal {reply.signal}"
            case End.RAISED | End.NO_ROOM:
                failure = str(reply.answer)
            case End.MEMORY | End.EXIT:
                failure = f"its process ended: {reply.end.value}"
        return Record(name, effort, keys[name], measurement, failure, seconds)

    yield from crew(names, measured, workers, _PRELOADED)


def work(payload: tuple[str, str], mark: Mark) -> tuple[dict[str, Any] | None, str, float]:
    """Measure one statement, in a child process."""
    name, effort = payload
    began = time.perf_counter()
    try:
        stored = statement(name).measure(Effort(effort)).to_json()
        return stored, "", time.perf_counter() - began
    except (LexmarginError, ArithmeticError, ValueError) as error:
        return None, f"{type(error).__name__}: {error}", time.perf_counter() - began


def _key(stated: Statement, effort: Effort) -> str:
    module = importlib.util.find_spec(type(stated).__module__)
    origin = None if module is None else module.origin
    code = b"" if origin is None else Path(origin).read_bytes()
    parts = (VERSION.encode(), effort.value.encode(), repr(stated).encode(), code)
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _stored(folder: Path, name: str, key: str) -> Record | None:
    """Return the record, if it is there, whole, of this key, and not a failure."""
    with suppress(LexmarginError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        record = Record.from_json(json.loads(read_file(folder / f"{name}.json", RECORD_BYTES)))
        if record.key == key and record.measurement is not None:
            return record
    return None


def _write(path: Path, record: Record) -> None:
    text = json.dumps(record.to_json(), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    write_file(path, text, advice="Name another folder.")
