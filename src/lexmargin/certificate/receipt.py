"""Receipts: a verdict with all that is needed to check it again, as one JSON object.

A receipt holds the data and θ (as exact doubles, each with its sha256), the predictor in words, λ,
the evidence behind the verdict, and the numbers claimed. :mod:`~lexmargin.certificate.verify`
recomputes the numbers; the digest covers the few entries that only inform, such as versions.
"""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from numpy.typing import ArrayLike

from lexmargin.certificate.certificate import Certificate
from lexmargin.certificate.certify import flattened
from lexmargin.certificate.evidence import evidence_for
from lexmargin.certificate.facts import Evidence, Facts, establish
from lexmargin.certificate.norms import Array
from lexmargin.certificate.receipt_format import (
    Fields,
    canonical,
    decoded,
    digest,
    encoded,
    parsed,
    predictor_from_json,
    predictor_to_json,
)
from lexmargin.certificate.tolerances import Tolerances
from lexmargin.certificate.verdict import Verdict
from lexmargin.data import Dataset
from lexmargin.errors import LexmarginError, ReceiptError, UnsupportedError
from lexmargin.formulations.base import Formulation, FormulationName
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray

__all__ = ["CLAIMS", "Receipt", "read_receipt", "receipt", "write_receipt"]

FORMAT: Final = "lexmargin-receipt-1"
_EMBED_LIMIT: Final = 4_000_000
_MAX_SIZE: Final = 10**8
_FORMULATIONS: Final = (FormulationName.HARD_MARGIN, FormulationName.MARGIN_PATH)
_DATA: Final = ("sha256", "samples", "features", "X", "y")
_EVIDENCE: Final = ("support", "multipliers", "tau", "bound", "slopes", "better", "refutation")
_KEYS: Final = (
    "format",
    "versions",
    "formulation",
    "norm",
    "predictor",
    "data",
    "theta",
    "theta_sha256",
    "tolerances",
    "evidence",
    "claims",
    "digest",
)
CLAIMS: Final = (
    "verdict",
    "reason",
    "degree",
    "margin",
    "stationarity",
    "stationarity_bound",
    "complementarity",
    "euler",
    "licq",
    "rank",
    "sigma_min",
    "sigma_max",
    "independent",
    "nearest_kink",
    "bound",
    "gap",
    "curvature",
    "better_margin",
)
"""The names of what a receipt claims."""


@final
@dataclass(frozen=True, eq=False)
class Receipt:
    """A receipt as read: ``content`` is its JSON object, checked for form and nothing else.

    content
        the whole JSON object.
    functions
        predictor and data; None where the data are not inside.
    theta, norm, tolerances, evidence
        what the claims are to be recomputed from; ``evidence`` is None without data.
    """

    content: Mapping[str, Any]
    functions: MarginFunctions | None
    theta: FloatArray
    norm: float
    tolerances: Tolerances
    evidence: Evidence

    @property
    def claims(self) -> Mapping[str, Any]:
        """The claimed numbers, by the names of :data:`CLAIMS`."""
        found: Mapping[str, Any] = self.content["claims"]
        return found

    @property
    def verdict(self) -> Verdict:
        """The claimed verdict."""
        return Verdict(self.claims["verdict"])

    def to_bytes(self) -> bytes:
        """Return the JSON text."""
        return canonical(self.content) + b"\n"

    @staticmethod
    def from_bytes(content: bytes, data: Dataset | None = None) -> Receipt:
        """Read the form of a receipt.

        Raises:
            ReceiptError: an unknown or missing key, or a value of another type.
        """
        return _read(parsed(content), data)


def receipt(
    problem: Formulation,
    theta: ArrayLike | Sequence[FloatArray],
    certificate: Certificate,
    *,
    embed: bool | None = None,
) -> Receipt:
    """Return the receipt of a certificate of a max-margin problem (eq. 6/7, homogeneous).

    The verdict stated is the one that can be established again from the receipt without a solver;
    where that is weaker than the certificate's, ``claims["reason"]`` says why.

    Args:
        problem, theta, certificate: as given to, and returned by, ``certify``.
        embed: put the samples into the receipt; by default unless they are many.

    Raises:
        UnsupportedError: another formulation, or a predictor that is not homogeneous.
        ReceiptError: a predictor that is none of the toolkit's.
    """
    functions = problem.functions
    if problem.name not in _FORMULATIONS or functions.homogeneity.degree is None:
        raise UnsupportedError(
            f"There are no receipts for {problem.name.value} with this predictor.",
            "Receipts exist for hard-margin and margin-path of homogeneous predictors.",
        )
    flat = flattened(problem, theta)
    evidence = evidence_for(functions, flat, problem.norm_p, certificate)
    facts = establish(functions, flat, problem.norm_p, certificate.tolerances, evidence)
    if facts.verdict is not certificate.verdict:
        facts = replace(
            facts, reason=f"{facts.reason}; the certificate says {certificate.verdict.value}"
        )
    data = problem.data
    inside = data.X.size <= _EMBED_LIMIT if embed is None else embed
    content: dict[str, Any] = {
        "format": FORMAT,
        "versions": _versions(),
        "formulation": problem.name.value,
        "norm": "inf" if math.isinf(problem.norm_p) else problem.norm_p,
        "predictor": predictor_to_json(problem.predictor),
        "data": {
            "sha256": data.fingerprint,
            "samples": data.n_samples,
            "features": data.n_features,
            "X": encoded(data.X) if inside else None,
            "y": [int(label) for label in data.y] if inside else None,
        },
        "theta": encoded(flat),
        "theta_sha256": _sha256(flat),
        "tolerances": certificate.tolerances.to_json(),
        "evidence": _evidence_to_json(evidence),
        "claims": facts.to_json(),
    }
    content["digest"] = digest(content)
    return _read(content, data)


def write_receipt(found: Receipt, path: str | Path) -> None:
    """Write a receipt; an unwritable path is a :class:`ReceiptError`."""
    try:
        Path(path).write_bytes(found.to_bytes())
    except OSError as error:
        raise ReceiptError(f"{path} cannot be written ({error}).", "Name another file.") from error


def read_receipt(path: str | Path, data: Dataset | None = None) -> Receipt:
    """Read the form of a receipt; nothing in it is believed yet.

    Raises:
        ReceiptError: no such file, too large, or not a receipt.
    """
    from lexmargin.certificate.receipt_format import MAX_BYTES

    try:
        with Path(path).open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ReceiptError(f"{path} cannot be read ({error}).", "Name a receipt.") from error
    return Receipt.from_bytes(content, data)


# -- writing ---------------------------------------------------------------------------------------


def _sha256(values: FloatArray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values, dtype="<f8").tobytes()).hexdigest()


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    import lexmargin

    return {
        "lexmargin": lexmargin.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "python-flint": version("python-flint"),
    }


def _sparse(values: Array | None) -> dict[str, Any] | None:
    if values is None:
        return None
    used = np.flatnonzero(values)
    return {"n": [int(n) for n in used], "values": [float(values[n]) for n in used]}


def _evidence_to_json(evidence: Evidence) -> dict[str, Any]:
    return {
        "support": [int(n) for n in evidence.support],
        "multipliers": _sparse(evidence.multipliers),
        "tau": evidence.tau if math.isfinite(evidence.tau) else None,
        "bound": _sparse(evidence.bound),
        "slopes": [list(entry) for entry in evidence.slopes],
        "better": None if evidence.better is None else encoded(evidence.better),
        "refutation": _sparse(evidence.refutation),
    }


# -- reading ---------------------------------------------------------------------------------------


def _read(content: dict[str, Any], data: Dataset | None) -> Receipt:
    top = Fields(content, "", _KEYS)
    if top.text("format") != FORMAT:
        raise ReceiptError(f"The format is {top.text('format')[:40]!r}, not {FORMAT!r}.")
    if top.text("formulation") not in {name.value for name in _FORMULATIONS}:
        raise ReceiptError(f"There are no receipts for {top.text('formulation')[:40]!r}.")
    if not _is_words(top.raw("versions")):
        raise ReceiptError("versions is no object of texts.", "Write the receipt again.")
    for name in ("theta_sha256", "digest"):
        _hexadecimal(top.text(name), name)
    functions, count, size = _functions(top, data)
    theta = decoded(top.text("theta"), (size,), "theta")
    if not np.all(np.isfinite(theta)) or not np.any(theta):
        raise ReceiptError("theta is zero or not finite.", "Write the receipt again.")
    _claims(top.raw("claims"))
    return Receipt(
        content,
        functions,
        theta,
        _norm(top),
        _tolerances(top.raw("tolerances")),
        _evidence_from_json(top.raw("evidence"), count, size),
    )


def _is_words(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(v, str) for v in value.values())


def _hexadecimal(text: str, key: str) -> None:
    if len(text) != 64 or any(c not in "0123456789abcdef" for c in text):
        raise ReceiptError(f"{key} is no sha256.", "Write the receipt again.")


def _norm(top: Fields) -> float:
    if top.raw("norm") == "inf":
        return math.inf
    norm = top.number("norm")
    if not 1.0 <= norm < math.inf:
        raise ReceiptError(f"norm is {norm!r}, below 1.", "Write the receipt again.")
    return norm


def _functions(top: Fields, data: Dataset | None) -> tuple[MarginFunctions | None, int, int]:
    """Return the margin functions, how many they are and how many parameters they have."""
    part = Fields(top.raw("data"), "data", _DATA)
    _hexadecimal(part.text("sha256"), "data.sha256")
    samples, features = part.whole("samples", 1), part.whole("features", 1)
    if samples * features > _MAX_SIZE:
        raise ReceiptError("The data are too large.", "Write the receipt again.")
    predictor = predictor_from_json(top.raw("predictor"))
    try:
        if part.raw("X") is not None:
            labels = part.raw("y")
            if not isinstance(labels, list) or any(type(label) is not int for label in labels):
                raise ReceiptError("data.y is no list of labels.", "Write the receipt again.")
            X = decoded(part.text("X"), (samples, features), "data.X")
            inside = Dataset(X, labels, one_class=True)
            data = inside if data is None or data == inside else data
        elif part.raw("y") is not None:
            raise ReceiptError("data.y is there without data.X.", "Write the receipt again.")
        if data is None:
            size = int(sum(math.prod(shape) for shape in predictor.shapes(features)))
            return None, samples * max(1, predictor.outputs - 1), size
        functions = MarginFunctions(predictor, data)
        if functions.homogeneity.degree is None:
            raise ReceiptError("The predictor is not homogeneous.", "Write the receipt again.")
        return functions, functions.count, functions.size
    except LexmarginError as error:
        if isinstance(error, ReceiptError):
            raise
        raise ReceiptError(f"data: {error}", "Write the receipt again.") from error


def _tolerances(value: object) -> Tolerances:
    names = [field.name for field in fields(Tolerances)]
    part = Fields(value, "tolerances", names)
    try:
        return Tolerances(**{name: part.number(name) for name in names})
    except LexmarginError as error:
        raise ReceiptError(f"tolerances: {error}") from error


def _claims(value: object) -> None:
    part = Fields(value, "claims", CLAIMS)
    if part.text("verdict") not in {word.value for word in Verdict}:
        raise ReceiptError(f"claims.verdict is {part.text('verdict')[:40]!r}.")
    part.text("reason")
    for name in CLAIMS[2:]:
        if part.raw(name) is not None and not isinstance(part.raw(name), bool):
            part.number(name)


def _dense(value: object, key: str, count: int) -> Array:
    part = Fields(value, key, ("n", "values"))
    places, values = part.wholes("n", count), part.numbers("values")
    if len(places) != len(values) or any(v <= 0.0 or math.isinf(v) for v in values):
        raise ReceiptError(f"{key} needs one positive number per index.")
    found = np.zeros(count)
    found[list(places)] = values
    return found


def _evidence_from_json(value: object, count: int, size: int) -> Evidence:
    part = Fields(value, "evidence", _EVIDENCE)
    multipliers = _dense(part.raw("multipliers"), "evidence.multipliers", count)
    support = np.array(part.wholes("support", count), dtype=np.intp)
    if np.any(multipliers[np.setdiff1d(np.arange(count), support)] > 0.0):
        raise ReceiptError("evidence.multipliers has weight outside the support.")
    if not support.size:
        raise ReceiptError("evidence.support is empty.", "Write the receipt again.")
    slopes = []
    entries = part.raw("slopes")
    if not isinstance(entries, list):
        raise ReceiptError("evidence.slopes is no list.")
    for entry in entries:
        whole = isinstance(entry, list) and len(entry) == 4
        if not whole or any(type(n) is not int or n < 0 for n in entry[:3]):
            raise ReceiptError("evidence.slopes needs [layer, sample, unit, slope].")
        if type(entry[3]) not in (int, float):
            raise ReceiptError("evidence.slopes needs [layer, sample, unit, slope].")
        slopes.append((entry[0], entry[1], entry[2], float(entry[3])))
    names = ("bound", "refutation")
    weights = {
        name: None if part.raw(name) is None else _dense(part.raw(name), f"evidence.{name}", count)
        for name in names
    }
    better = part.raw("better")
    return Evidence(
        support=support,
        multipliers=multipliers,
        tau=math.nan if part.raw("tau") is None else part.number("tau"),
        bound=weights["bound"],
        slopes=tuple(slopes),
        better=None if better is None else decoded(part.text("better"), (size,), "evidence.better"),
        refutation=weights["refutation"],
    )


def facts_of(found: Receipt) -> Facts:
    """Recompute the facts of a receipt that has its data."""
    assert found.functions is not None
    return establish(found.functions, found.theta, found.norm, found.tolerances, found.evidence)
