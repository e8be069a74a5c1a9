"""The backend of the toolkit's own Newton methods: which problems they are made for.

Asked for most problems, so that the methods themselves are imported when they are used.
"""

from __future__ import annotations

from typing import final

import numpy as np

from lexmargin.backends.base import Backend, Compiled
from lexmargin.backends.shape import Form, shape_of
from lexmargin.formulations.base import Formulation
from lexmargin.inputs.limits import NEWTON_ENTRIES, NEWTON_PARAMETERS
from lexmargin.losses import Loss
from lexmargin.margins import MarginFunctions
from lexmargin.program import Program

__all__ = ["NewtonBackend", "fits", "kinked"]


@final
class NewtonBackend(Backend):
    """Eq. 5 and eq. 6 by Newton steps: linear f_n in any norm, smooth f_n in the Euclidean."""

    imports = ("lexmargin.backends.losses.newton",)

    def suits(self, problem: Formulation) -> bool:
        functions = problem.functions
        if not problem.is_judged:
            return False
        kkt = problem.kkt(np.ones(functions.size))[0]
        if kkt.loss is not None and functions.linear:
            return True
        if kkt.radius is None or kkt.ordered is not None:
            return False
        if kkt.loss is not None:
            return kkt.loss.loss.kind is Loss.EXPONENTIAL and fits(functions, kkt.norm)
        return kkt.level is None and _smooth(functions, kkt.norm)

    def compile(self, program: Program) -> Compiled:
        from lexmargin.backends.losses.newton import NewtonProgram, SmoothProgram
        from lexmargin.backends.losses.penalised import PenalisedProgram

        found = shape_of(program)
        if found is None or not found.affine or found.loss is None:
            return SmoothProgram(program)
        return (PenalisedProgram if found.form is Form.PENALTY else NewtonProgram)(program)


def fits(functions: MarginFunctions, norm: float) -> bool:
    small = (
        functions.size <= NEWTON_PARAMETERS and functions.size * functions.count <= NEWTON_ENTRIES
    )
    return norm == 2.0 and small


def kinked(functions: MarginFunctions) -> bool:
    return bool(functions.pre_activations(np.ones(functions.size)))


def _smooth(functions: MarginFunctions, norm: float) -> bool:
    return fits(functions, norm) and not kinked(functions)
