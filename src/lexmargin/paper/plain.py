"""Statements whose figure is their curves, or their figures beside the predictions."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import numpy as np

from lexmargin.paper.figures import plot_seen
from lexmargin.paper.statement import Measurement, Statement
from lexmargin.plots import BLUE, GREEN, GREY, ORANGE, VERMILION, panel

__all__ = ["PlainStatement"]

_LOOKS: Final = ((BLUE, "o-"), (ORANGE, "s-"), (GREEN, "^-"), (VERMILION, "v-"), (GREY, "x-"))


class PlainStatement(Statement):
    """A statement that names its axes and no more.

    The first curve is the abscissa, every other one is drawn over it under its own name. Without
    curves every check is drawn beside its prediction.
    """

    axes: ClassVar[tuple[str, str]] = ("figure", "measured and predicted")
    """Words of the two axes."""
    logarithmic: ClassVar[bool] = True
    """Whether both axes of the curves are; a value that is rounding is then left out."""

    def draw(self, measurement: Measurement) -> Any:
        """Curves over the first of them, or checks beside their predictions."""
        with panel(3.4) as (figure, axes):
            names = list(measurement.curves)
            if names:
                at = np.array(measurement.curves[names[0]])
                for name, (color, mark) in zip(names[1:], _LOOKS * 3, strict=False):
                    values = np.array(measurement.curves[name])
                    if self.logarithmic:
                        plot_seen(axes, at, values, mark, color, name)
                    else:
                        axes.plot(at, values, mark, ms=4, color=color, label=name)
            else:
                rows = np.arange(len(measurement.checks)) + 1
                predicted = [check.predicted for check in measurement.checks]
                measured = [check.measured for check in measurement.checks]
                axes.plot(rows, predicted, "_", ms=14, color=GREY, label="predicted")
                axes.plot(rows, measured, "o", ms=5, color=BLUE, label="measured")
                axes.set_xticks(rows)
            axes.set_xlabel(self.axes[0])
            axes.set_ylabel(self.axes[1])
            figure.legend(frameon=False, loc="outside upper left", fontsize=8, ncols=2)
            return figure
