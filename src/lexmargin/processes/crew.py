"""Several tasks at a time: so many threads, each with a nursery of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

from lexmargin.processes.owner import Nursery

__all__ = ["crew"]

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


def crew(
    tasks: Sequence[_Task],
    work: Callable[[_Task, Nursery], _Result],
    workers: int,
    preloaded: Sequence[str],
    *,
    single: bool = True,
    loud: bool = False,
) -> Generator[_Result, None, None]:
    """Yield the result of every task once, in the order in which they come.

    The threads only wait for their nurseries. All are ended when the iterator is closed, and by
    the first exception, which is raised here.

    Args:
        tasks: what is done.
        work: carries out a task by asking the nursery.
        workers: how many at a time, 1 or more.
        preloaded, single, loud: of every nursery.
    """
    results: SimpleQueue[tuple[_Result, None] | tuple[None, BaseException]] = SimpleQueue()
    waiting = deque(tasks)

    def carry_out(nursery: Nursery) -> None:
        try:
            while waiting:
                try:
                    task = waiting.popleft()
                except IndexError:
                    # Another worker has taken the last one.
                    return
                results.put((work(task, nursery), None))
        except BaseException as error:
            results.put((None, error))

    some = range(min(workers, len(tasks)))
    nurseries = [Nursery(preloaded, single=single, loud=loud) for _ in some]
    threads = [Thread(target=carry_out, args=(nursery,), daemon=True) for nursery in nurseries]
    try:
        for thread in threads:
            thread.start()
        for _ in tasks:
            result, error = results.get()
            if error is not None:
                raise error
            yield result  # type: ignore[misc]
    finally:
        waiting.clear()
        for nursery in nurseries:
            nursery.stop()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        for nursery in nurseries:
            nursery.close()
