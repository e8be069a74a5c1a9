"""The child of :mod:`lexmargin.isolated`: ``python -m lexmargin.worker QUESTION ANSWER``."""

from __future__ import annotations

import sys
from pathlib import Path

from lexmargin.isolated import work

if __name__ == "__main__":
    work(Path(sys.argv[1]), Path(sys.argv[2]))
