"""Floor 7: paths over time or over ρ."""

from lexmargin.losses import Loss
from lexmargin.paths.descend import Descent, EndReason, descend
from lexmargin.paths.flow import Clock, FlowMethod, GradientFlow
from lexmargin.paths.grid import AdaptiveGrid
from lexmargin.paths.identify import Identified, identify
from lexmargin.paths.point import PathPoint
from lexmargin.paths.records import Records
from lexmargin.paths.shown import Shown
from lexmargin.paths.trace import trace
from lexmargin.paths.traced import PathEnd, TracedPath

__all__ = [
    "AdaptiveGrid",
    "Clock",
    "Descent",
    "EndReason",
    "FlowMethod",
    "GradientFlow",
    "Identified",
    "Loss",
    "PathEnd",
    "PathPoint",
    "Records",
    "Shown",
    "TracedPath",
    "descend",
    "identify",
    "trace",
]
