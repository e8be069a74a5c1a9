"""Count the way from `lexmargin certify FILE` to the line that decides stationarity.

`python tests/way_of_a_certificate.py [NAME ...]` prints for each problem of the shelf: the modules
entered until the word of first order, the returns to a module already left, and how often one
certificate evaluates the network, in which arithmetic and from where.
"""

from __future__ import annotations

import collections
import contextlib
import io
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final, final

import numpy as np

import lexmargin
from lexmargin.cli.main import app

ROOT: Final = str(Path(lexmargin.__file__).parent) + "/"
PREDICTORS: Final = ROOT + "predictors/"
DECIDES: Final = ("first_order", "_first_order", "_word")
FLOATS: Final = ("JacobianOps", "NumpyOps")
SHELF: Final = ("xor", "saddle-is-kkt", "diagonal-2", "two-levels-l1")


@final
@dataclass
class Way:
    """What one certificate entered: modules until stationarity is decided, and evaluations.

    ``evaluations`` by arithmetic and caller, ``points`` those in floats by their parameters.
    """

    entered: list[str] = field(default_factory=list)
    decided: bool = False
    evaluations: collections.Counter[tuple[str, str]] = field(default_factory=collections.Counter)
    points: collections.Counter[bytes] = field(default_factory=collections.Counter)
    _inside: FrameType | None = None

    @property
    def modules(self) -> int:
        """How many modules were entered."""
        return len(set(self.entered))

    @property
    def returns(self) -> int:
        """How often a module was entered that had been left."""
        return len(self.entered) - self.modules

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "return" and frame is self._inside:
            self._inside = None
        if event != "call" or not code.co_filename.startswith(ROOT) or code.co_name == "<module>":
            return
        if not self.decided:
            name = code.co_filename[len(ROOT) :]
            if not self.entered or self.entered[-1] != name:
                self.entered.append(name)
            self.decided = code.co_name in DECIDES
        predicts = code.co_name == "__call__" and code.co_filename.startswith(PREDICTORS)
        if predicts and self._inside is None:
            self._inside = frame
            _, ops, parameters = (frame.f_locals[name] for name in code.co_varnames[:3])
            arithmetic = type(ops).__name__
            self.evaluations[arithmetic, _asked_by(frame)] += 1
            if arithmetic in FLOATS:
                blocks = [np.ravel(getattr(one, "value", one)) for one in parameters]
                self.points[np.concatenate(blocks).tobytes()] += 1

    @property
    def arithmetics(self) -> dict[str, int]:
        """How often the network was evaluated in each arithmetic."""
        found = collections.Counter[str]()
        for (arithmetic, _), count in self.evaluations.items():
            found[arithmetic] += count
        return dict(found)


def _asked_by(frame: FrameType) -> str:
    """Return the functions that asked, the judge's first."""
    names: list[str] = []
    above = frame.f_back
    while above is not None and len(names) < 4:
        code = above.f_code
        if code.co_filename.startswith(ROOT + "judge/") or "margins" in code.co_filename:
            names.append(code.co_name)
        above = above.f_back
    return " < ".join(names)


def way(name: str) -> Way:
    """Certify a problem of the shelf at its stored answer, and return what was entered."""
    found = Way()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        # Once before: imports and caches of the class are no part of the way.
        app(["certify", name])
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        sys.setprofile(found)
        try:
            app(["certify", name])
        finally:
            sys.setprofile(None)
    return found


def main(*names: str) -> int:
    for name in names or SHELF:
        found = way(name)
        print(
            f"{name}: {found.modules} modules entered, {found.returns} returns, "
            f"{found.evaluations.total()} evaluations"
        )
        for (arithmetic, asked), count in found.evaluations.most_common():
            print(f"    {count}  {arithmetic}: {asked}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
