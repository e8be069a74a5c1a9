"""Statements whose figure is their curves, drawn over the first of them."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import numpy as np

from lexmargin.paper.figures import plot_seen
from lexmargin.paper.statement import Measurement, Statement
from lexmargin.plots import BLUE, GREEN, GREY, ORANGE, VERMILION, panel

__all__ = ["PlainStatement"]

_LOOKS: Final = ((BLUE, "o-"), (ORANGE, "s-"), (GREEN, "^-"), (VERMILION, "v-"), (GREY, "x-"))
_HEIGHT: Final = 3.4
"""Inches: between the lower and the higher figures of the other rows."""
_LONG: Final = 40
"""Letters of a name beside which the figure's width has no room for another."""


class PlainStatement(Statement):
    """A statement that names the axes of its figure and no more.

    The first curve is the abscissa, every other one is drawn over it under its own name. Without
    curves there is no figure.
    """

    axes: ClassVar[tuple[str, str]] = ("", "")
    """Words of the two axes."""
    logarithmic: ClassVar[bool] = True
    """Whether both axes are; a value that is rounding is then left out."""

    def draw(self, measurement: Measurement) -> Any:
        """Curves over the first of them."""
        if not measurement.curves:
            return None
        (_, at), *others = ((name, np.array(v)) for name, v in measurement.curves.items())
        with panel(_HEIGHT) as (figure, axes):
            for (name, values), (color, mark) in zip(others, _LOOKS, strict=False):
                if self.logarithmic:
                    plot_seen(axes, at, values, mark, color, name)
                else:
                    axes.plot(at, values, mark, ms=4, color=color, label=name)
            axes.set_xlabel(self.axes[0])
            axes.set_ylabel(self.axes[1])
            ncols = 1 if max(len(name) for name, _ in others) > _LONG else 2
            figure.legend(frameon=False, loc="outside upper left", fontsize=8, ncols=ncols)
            return figure
