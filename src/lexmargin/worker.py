"""What the child of :mod:`lexmargin.isolated` does."""

from __future__ import annotations

import pickle
import sys

from lexmargin.errors import LexmarginError
from lexmargin.isolated import outcome_of
from lexmargin.processes.nursery import Mark
from lexmargin.run import Run

__all__ = ["work"]


def work(payload: tuple[list[str], bytes], mark: Mark) -> Run | LexmarginError:
    """Return the outcome of a pickled job, which may need modules from the folders beside it.

    The time of the job begins at the mark, when all its modules are there.
    """
    folders, pickled = payload
    sys.path.extend(folder for folder in folders if folder not in sys.path)
    return outcome_of(pickle.loads(pickled), mark)
