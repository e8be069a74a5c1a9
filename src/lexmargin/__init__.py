"""lexmargin: max-margin problems as declarative models, solved by others, judged by us.

The public names; each is imported from its room at first use, so that ``import lexmargin`` loads
no solver and no modelling system.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

from lexmargin.version import VERSION

if TYPE_CHECKING:
    from lexmargin import errors as errors
    from lexmargin.compare import Table, compare, contender
    from lexmargin.data.dataset import Dataset, load_csv, load_dataset, load_npz
    from lexmargin.errors import (
        BadInputError,
        DataError,
        DegreeError,
        ExpressionError,
        InvisibleLevelWarning,
        LexmarginError,
        LibraryError,
        MissingBackendError,
        NotSeparableError,
        ParameterError,
        ReceiptError,
        RejectedReceiptError,
        ShapeError,
        SolverFailedError,
        TimeLimitError,
        UnjudgedError,
        UnknownNameError,
        UnsupportedError,
    )
    from lexmargin.estimator import MarginClassifier
    from lexmargin.formulations import (
        ConstrainedPath,
        HardMargin,
        Lexicographic,
        MarginPath,
        RegularizationPath,
        ScaledMargin,
        WSet,
    )
    from lexmargin.judge import (
        Certificate,
        LimitCertificate,
        Tolerances,
        Verdict,
        certify,
        certify_function,
        certify_limit,
        certify_linear,
        certify_module,
        load_state,
        trained_margins,
    )
    from lexmargin.losses import Loss
    from lexmargin.outputs.progress import Tick
    from lexmargin.paths.descend import Descent, descend
    from lexmargin.paths.grid import AdaptiveGrid
    from lexmargin.paths.identify import Identified, identify
    from lexmargin.paths.trace import trace
    from lexmargin.paths.traced import TracedPath
    from lexmargin.predictors import (
        Bias,
        ConvolutionalNetwork,
        DiagonalNetwork,
        Identity,
        Leading,
        LeakyReLU,
        Linear,
        Log,
        Member,
        Network,
        Polynomial,
        ReLU,
        Residual,
        Square,
        Sum,
    )
    from lexmargin.separability import Coefficient, Separation, SeparationKind, separability
    from lexmargin.shelf.build import load, save
    from lexmargin.shelf.library import Library
    from lexmargin.solution import Claim, Ran, Solution
    from lexmargin.solve import solve

__version__ = VERSION

_ROOMS = {
    "judge": (
        "Certificate",
        "LimitCertificate",
        "Tolerances",
        "Verdict",
        "certify",
        "certify_function",
        "certify_limit",
        "certify_linear",
        "certify_module",
        "load_state",
        "trained_margins",
    ),
    "compare": ("Table", "compare", "contender"),
    "data.dataset": ("Dataset", "load_csv", "load_dataset", "load_npz"),
    "errors": (
        "BadInputError",
        "DataError",
        "DegreeError",
        "ExpressionError",
        "InvisibleLevelWarning",
        "LexmarginError",
        "LibraryError",
        "MissingBackendError",
        "NotSeparableError",
        "ParameterError",
        "ReceiptError",
        "RejectedReceiptError",
        "ShapeError",
        "SolverFailedError",
        "TimeLimitError",
        "UnjudgedError",
        "UnknownNameError",
        "UnsupportedError",
    ),
    "estimator": ("MarginClassifier",),
    "formulations": (
        "Coefficient",
        "ConstrainedPath",
        "HardMargin",
        "Lexicographic",
        "MarginPath",
        "RegularizationPath",
        "ScaledMargin",
        "WSet",
    ),
    "shelf.library": ("Library",),
    "shelf.build": ("load", "save"),
    "outputs.progress": ("Tick",),
    "losses": ("Loss",),
    "paths": (
        "AdaptiveGrid",
        "Descent",
        "Identified",
        "TracedPath",
        "descend",
        "identify",
        "trace",
    ),
    "predictors": (
        "Bias",
        "ConvolutionalNetwork",
        "DiagonalNetwork",
        "Identity",
        "Leading",
        "LeakyReLU",
        "Linear",
        "Log",
        "Member",
        "Network",
        "Polynomial",
        "ReLU",
        "Residual",
        "Square",
        "Sum",
    ),
    "separability": ("Coefficient", "Separation", "SeparationKind", "separability"),
    "solution": ("Claim", "Ran", "Solution"),
    "solve": ("solve",),
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "AdaptiveGrid",
    "BadInputError",
    "Bias",
    "Certificate",
    "Claim",
    "Coefficient",
    "ConstrainedPath",
    "ConvolutionalNetwork",
    "DataError",
    "Dataset",
    "DegreeError",
    "Descent",
    "DiagonalNetwork",
    "ExpressionError",
    "HardMargin",
    "Identified",
    "Identity",
    "InvisibleLevelWarning",
    "Leading",
    "LeakyReLU",
    "Lexicographic",
    "LexmarginError",
    "Library",
    "LibraryError",
    "LimitCertificate",
    "Linear",
    "Log",
    "Loss",
    "MarginClassifier",
    "MarginPath",
    "Member",
    "MissingBackendError",
    "Network",
    "NotSeparableError",
    "ParameterError",
    "Polynomial",
    "Ran",
    "ReLU",
    "ReceiptError",
    "RegularizationPath",
    "RejectedReceiptError",
    "Residual",
    "ScaledMargin",
    "Separation",
    "SeparationKind",
    "ShapeError",
    "Solution",
    "SolverFailedError",
    "Square",
    "Sum",
    "Table",
    "Tick",
    "TimeLimitError",
    "Tolerances",
    "TracedPath",
    "UnjudgedError",
    "UnknownNameError",
    "UnsupportedError",
    "Verdict",
    "WSet",
    "certify",
    "certify_function",
    "certify_limit",
    "certify_linear",
    "certify_module",
    "compare",
    "contender",
    "descend",
    "identify",
    "load",
    "load_csv",
    "load_dataset",
    "load_npz",
    "load_state",
    "save",
    "separability",
    "solve",
    "trace",
    "trained_margins",
]


class _Package(types.ModuleType):
    """The package, whose verbs stay verbs: ``lexmargin.solve`` is a module and a function."""

    def __setattr__(self, name: str, value: Any) -> None:
        # The import system binds a module to its name in the package, and so would hide the verb.
        if name in _HOME and isinstance(value, types.ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        # A function of a notebook that says ``lm.solve`` takes the package along to a worker.
        return importlib.import_module, (self.__name__,)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module("lexmargin.errors")
    room = _HOME.get(name)
    if room is None:
        raise AttributeError(f"module 'lexmargin' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"lexmargin.{room}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
