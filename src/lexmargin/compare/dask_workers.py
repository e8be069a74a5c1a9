"""A dask cluster on this machine: the scheduler here, each worker a process that ends with it.

``distributed.LocalCluster`` starts its workers through multiprocessing, which imports the caller's
main module again and looks into the current folder first. These are plain processes on a safe
path, and a worker that is killed is replaced. Everything listens on the loopback address alone.

The module run by itself, ``python -P -m lexmargin.compare.dask_workers ADDRESS``, is a worker.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any, Final, final

from lexmargin.processes.owner import child_path
from lexmargin.processes.tie import end_group, end_with

__all__ = ["LOOPBACK", "LocalWorkers", "main"]

LOOPBACK: Final = "127.0.0.1"


@final
class LocalWorkers:
    """A scheduler in this process and so many workers, each of one thread.

    Args:
        count: of the workers.
        timeout: seconds for the scheduler to start.
    """

    def __init__(self, count: int, timeout: float) -> None:
        self._count = count
        self._timeout = timeout
        self._cluster: Any = None
        self._workers: list[subprocess.Popen[bytes]] = []
        self._address = ""

    def start(self) -> str:
        """Start everything and return the address of the scheduler."""
        import distributed

        self._cluster = distributed.LocalCluster(
            n_workers=0,
            processes=False,
            host=LOOPBACK,
            protocol="tcp://",
            dashboard_address=f"{LOOPBACK}:0",
            silence_logs=50,
        )
        self._address = self._cluster.scheduler_address
        self.mend()
        return self._address

    def mend(self) -> None:
        """Replace workers that have ended, and wake those that were stopped."""
        ended = [worker for worker in self._workers if worker.poll() is not None]
        for worker in ended:
            self._forget(worker)
        for worker in self._workers:
            with suppress(OSError):
                os.killpg(worker.pid, signal.SIGCONT)
        while len(self._workers) < self._count:
            self._workers.append(self._born())

    def _born(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-m", __name__, self._address],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(child_path())},
            start_new_session=True,
        )

    def _forget(self, worker: subprocess.Popen[bytes]) -> None:
        self._workers.remove(worker)
        end_group(worker.pid)
        worker.wait()
        if worker.stdin is not None:
            worker.stdin.close()

    def close(self) -> None:
        """End the workers and the scheduler."""
        for worker in list(self._workers):
            self._forget(worker)
        if self._cluster is not None:
            self._cluster.close()


async def _work(address: str) -> None:
    import distributed

    async with distributed.Worker(
        address, nthreads=1, host=LOOPBACK, dashboard=False, silence_logs=50
    ) as worker:
        await worker.finished()


def main(address: str) -> None:
    """Be a worker until the scheduler or the process that holds the standard input ends."""
    end_with(os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    asyncio.run(_work(address))


if __name__ == "__main__":
    main(sys.argv[1])
