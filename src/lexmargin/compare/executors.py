"""Where units run: one after another, in local processes, or on a dask cluster.

Every executor is the same small thing: units in, answers out, in whatever order they come. An
executor loses no unit when one of its workers is killed, and gives none twice.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, final

from lexmargin.compare.dask_workers import LocalWorkers
from lexmargin.compare.job_run import PRELOADED, Answered, run_unit
from lexmargin.compare.jobs import Unit, code_digest
from lexmargin.errors import LexmarginError, MissingBackendError, ParameterError
from lexmargin.inputs.kinds import checked_class
from lexmargin.inputs.optional import optional
from lexmargin.processes.crew import crew

__all__ = [
    "DaskCluster",
    "Executor",
    "ExecutorName",
    "Processes",
    "Serial",
    "dask_pass",
    "executor",
    "has_workers",
]

_ATTEMPTS: Final = 10
"""Passes without an answer before local workers count as broken: killed ones come back."""
_TICK_SECONDS: Final = 1.0
"""Between looks at lost workers: a longer tick only delays what is said about them."""
_PATIENCE_SECONDS: Final = 60.0
"""Without any worker of a cluster; those of a local one are replaced meanwhile."""


class SchedulerError(LexmarginError):
    """A dask scheduler that cannot be reached or that lost its workers."""

    code = "scheduler"
    exit_code = MissingBackendError.exit_code


@final
class ExecutorName(StrEnum):
    """The executors by name."""

    SERIAL = "serial"
    PROCESSES = "processes"
    DASK = "dask"


class Executor(ABC):
    """Runs units; each in a process of its own, wherever that is."""

    @abstractmethod
    def check(self) -> None:
        """Raise a named error if units cannot run; called before any work starts."""

    @abstractmethod
    def run(self, units: Sequence[Unit]) -> Iterator[Answered]:
        """Yield the answer of every unit once, in any order."""


@final
@dataclass(frozen=True)
class Serial(Executor):
    """One unit after another."""

    def check(self) -> None:
        return

    def run(self, units: Sequence[Unit]) -> Iterator[Answered]:
        for unit in units:
            yield run_unit(unit)


@final
@checked_class
@dataclass(frozen=True)
class Processes(Executor):
    """So many units at a time on this machine, each worker a thread that has its own nursery."""

    workers: int

    def check(self) -> None:
        if self.workers < 1:
            raise ParameterError(f"There are {self.workers} workers.", "Give at least 1.")

    def run(self, units: Sequence[Unit]) -> Iterator[Answered]:
        yield from crew(units, run_unit, self.workers, PRELOADED)


@final
@checked_class
@dataclass(frozen=True)
class DaskCluster(Executor):
    """A dask cluster: the one at an address, or a local one that is started and ended here.

    Workers of a cluster elsewhere need this version of lexmargin, and the problem and profile
    files at the same paths.
    """

    address: str | None
    workers: int
    timeout: float = 10.0

    def check(self) -> None:
        if self.workers < 1:
            raise ParameterError(f"There are {self.workers} workers.", "Give at least 1.")
        distributed = optional("distributed")
        if self.address is None:
            return
        try:
            with distributed.Client(
                self.address, timeout=self.timeout, set_as_default=False
            ) as client:
                self._check_workers(client)
        except (OSError, ValueError, TimeoutError) as error:
            raise SchedulerError(
                f"No dask scheduler answers at {self.address} ({_first_line(error)}).",
                "Start one with `dask scheduler`, or leave --scheduler out for a local one.",
            ) from None

    def _check_workers(self, client: Any) -> None:
        """Refuse a cluster without workers, or whose workers have another lexmargin."""
        try:
            client.wait_for_workers(1, timeout=self.timeout)
        except TimeoutError:
            raise SchedulerError(
                f"The dask scheduler at {self.address} has no workers.",
                "Start some with `dask worker ADDRESS`.",
            ) from None
        try:
            found = set(client.run(code_digest).values())
        except Exception as error:
            raise SchedulerError(
                f"The workers cannot import lexmargin ({_first_line(error)}).",
                "Install it where they run.",
            ) from None
        if found != {code_digest()}:
            raise SchedulerError(
                "The workers have another version of lexmargin.", "Install this one there."
            )

    def run(self, units: Sequence[Unit]) -> Iterator[Answered]:
        import dask

        left = {unit.key: unit for unit in units}
        failures = 0
        # Killed workers are somebody else's doing, not the unit's: try again, and often.
        with dask.config.set({"distributed.scheduler.allowed-failures": 2 * _ATTEMPTS}):
            while left:
                before = len(left)
                for answered in self._pass(list(left.values())):
                    if left.pop(answered.key, None) is not None:
                        yield answered
                failures = failures + 1 if len(left) == before else 0
                if failures >= (_ATTEMPTS if self.address is None else 2):
                    raise SchedulerError(
                        f"{len(left)} units were lost with their workers.",
                        "Check the workers; what is done stays done.",
                    )

    def _pass(self, units: Sequence[Unit]) -> Iterator[Answered]:
        """Yield answers until all are there, or until the cluster has no workers any more."""
        import distributed

        local = LocalWorkers(self.workers, self.timeout) if self.address is None else None
        lost = (OSError, TimeoutError, distributed.client.ClosedClientError)
        try:
            target = self.address if local is None else local.start()
            with distributed.Client(target, timeout=self.timeout, set_as_default=False) as client:
                yield from dask_pass(client, units, local)
        except lost as error:
            raise SchedulerError(
                f"The dask scheduler no longer answers ({_first_line(error)}).",
                "Check it; what is done stays done.",
            ) from None
        finally:
            if local is not None:
                local.close()


def dask_pass(client: Any, units: Sequence[Unit], local: LocalWorkers | None) -> Iterator[Answered]:
    """Yield answers until nothing is pending, or there are no workers for so many seconds."""
    import distributed

    futures = [client.submit(run_unit, unit, key=f"unit-{unit.key}") for unit in units]
    pending = set(futures)
    died = (distributed.scheduler.KilledWorker, distributed.client.FutureCancelledError)
    alive = time.monotonic()
    while pending and time.monotonic() - alive < _PATIENCE_SECONDS:
        with suppress(TimeoutError):
            for future in distributed.as_completed(
                list(pending), loop=client.loop, timeout=_TICK_SECONDS
            ):
                pending.discard(future)
                try:
                    answered = future.result()
                except (*died, OSError):
                    # Lost with its worker or its scheduler, be it after it was done.
                    continue
                yield answered
        if local is not None:
            local.mend()
        if has_workers(client):
            alive = time.monotonic()


def has_workers(client: Any) -> bool:
    """Return whether a client of dask sees any worker; where it has lost its scheduler, none.

    Raises:
        OSError: the client has given up looking for its scheduler.
    """
    if client.status == "closed":
        raise OSError("the connection is lost")
    return bool(client.scheduler_info().get("workers"))


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def executor(name: ExecutorName, workers: int, scheduler: str | None = None) -> Executor:
    """Return an executor.

    Raises:
        ParameterError: a scheduler for an executor that has none.
    """
    if scheduler is not None and name is not ExecutorName.DASK:
        raise ParameterError(
            f"--scheduler belongs to dask, not to {name.value}.", "Add --executor dask."
        )
    match name:
        case ExecutorName.SERIAL:
            return Serial()
        case ExecutorName.PROCESSES:
            return Processes(workers)
        case ExecutorName.DASK:
            return DaskCluster(scheduler, workers)
