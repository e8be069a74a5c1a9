"""What the child of :mod:`lexmargin.run.isolated` does."""

from __future__ import annotations

import pickle
import sys

from lexmargin.errors import LexmarginError
from lexmargin.processes.nursery import Mark
from lexmargin.run.isolated import outcome_of
from lexmargin.run.stages import Run

__all__ = ["work"]


def work(payload: tuple[list[str], bytes], mark: Mark) -> Run | LexmarginError:
    """Return the outcome of a pickled job, which may need modules from the folders beside it.

    The time of the job begins at the mark, when all its modules are there.
    """
    folders, pickled = payload
    sys.path.extend(folder for folder in folders if folder not in sys.path)
    return outcome_of(pickle.loads(pickled), mark)
