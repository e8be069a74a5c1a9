"""Receipts: a verdict with all that is needed to check it again, as one JSON object.

A receipt holds the data and θ (as exact doubles, each with its sha256), the predictor in words, λ,
the evidence behind the verdict, and the numbers claimed. :mod:`~lexmargin.judge.receipts.verify`
recomputes the numbers; the digest covers the few entries that only inform, such as versions.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from numpy.typing import ArrayLike

from lexmargin.data.dataset import Dataset
from lexmargin.errors import LexmarginError, ReceiptError
from lexmargin.formulations.base import Formulation
from lexmargin.inputs.files import read_file, write_file
from lexmargin.inputs.json_text import canonical
from lexmargin.inputs.kinds import checked
from lexmargin.inputs.limits import EMBEDDED_ENTRIES, RECEIPT_BYTES, RECEIPT_ENTRIES
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.certify import flattened
from lexmargin.judge.given import Evidence
from lexmargin.judge.programs.program_evidence import evidence_for_problem
from lexmargin.judge.receipts.claims import CLAIMS
from lexmargin.judge.receipts.facts import Facts, establish_problem
from lexmargin.judge.receipts.receipt_evidence import evidence_from_json, evidence_to_json
from lexmargin.judge.receipts.receipt_format import Fields, decoded, digest, encoded, parsed
from lexmargin.judge.receipts.receipt_problem import (
    predictor_from_json,
    problem_from_json,
    problem_to_json,
)
from lexmargin.judge.receipts.receipt_state import array_hash, checked_state, hexadecimal
from lexmargin.judge.tolerances import Tolerances
from lexmargin.judge.verdict import Verdict
from lexmargin.ops.base import FloatArray

__all__ = ["Receipt", "read_receipt", "receipt", "write_receipt"]

FORMAT: Final = "lexmargin-receipt-2"
_DATA: Final = ("sha256", "samples", "features", "X", "y")
_KEYS: Final = (
    "format",
    "versions",
    "formulation",
    "norm",
    "parameters",
    "predictor",
    "data",
    "theta",
    "theta_sha256",
    "tolerances",
    "evidence",
    "claims",
    "digest",
)


@final
@dataclass(frozen=True, eq=False)
class Receipt:
    """A receipt as read: ``content`` is its JSON object, checked for form and nothing else.

    content
        the whole JSON object.
    problem
        the formulation with its predictor and data; None where the data are not inside.
    theta, tolerances, evidence
        what the claims are to be recomputed from.
    """

    content: Mapping[str, Any]
    problem: Formulation | None
    theta: FloatArray
    tolerances: Tolerances
    evidence: Evidence

    @property
    def claims(self) -> Mapping[str, Any]:
        """The claimed numbers, by the names of :data:`~lexmargin.judge.receipts.claims.CLAIMS`."""
        found: Mapping[str, Any] = self.content["claims"]
        return found

    @property
    def verdict(self) -> Verdict:
        """The claimed verdict."""
        return Verdict(self.claims["verdict"])

    def stated(self) -> Formulation:
        """Return the problem; ReceiptError where the data are not inside."""
        if self.problem is None:
            raise ReceiptError("The receipt is without its data.", "Give the data beside it.")
        return self.problem

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


@checked
def receipt(
    problem: Formulation,
    theta: ArrayLike | Sequence[FloatArray],
    certificate: Certificate,
    *,
    embed: bool | None = None,
    state: Mapping[str, Any] | None = None,
) -> Receipt:
    """Return the receipt of a certificate, of any formulation.

    The verdict stated is the one that can be established again from the receipt without a solver;
    it may be weaker than the certificate's.

    Args:
        problem, theta, certificate: as given to, and returned by, ``certify``.
        embed: put the samples into the receipt; by default unless they are many.
        state: the tensors of a state dict that θ was read from, as `state_section` describes them.

    Raises:
        ReceiptError: a predictor that is none of the toolkit's.
    """
    flat = flattened(problem, theta)
    evidence = evidence_for_problem(problem, flat, certificate)
    facts = establish_problem(problem, flat, certificate.tolerances, evidence)
    data = problem.data
    inside = data.X.size <= EMBEDDED_ENTRIES if embed is None else embed
    content: dict[str, Any] = {
        "format": FORMAT,
        "versions": _versions(),
        "norm": "inf" if math.isinf(problem.norm_p) else problem.norm_p,
        **problem_to_json(problem),
        "data": {
            "sha256": data.fingerprint,
            "samples": data.n_samples,
            "features": data.n_features,
            "X": encoded(data.X) if inside else None,
            "y": [int(label) for label in data.y] if inside else None,
            **_weights(data, inside),
        },
        "theta": encoded(flat),
        "theta_sha256": array_hash(flat),
        "tolerances": certificate.tolerances.to_json(),
        "evidence": evidence_to_json(evidence),
        "claims": facts.to_json(),
    }
    if state is not None:
        content["state"] = dict(state)
    content["digest"] = digest(content)
    return _read(content, data)


@checked
def write_receipt(found: Receipt, path: str | Path) -> None:
    """Replace the file by a receipt, in one step; an unwritable path is a :class:`ReceiptError`."""
    write_file(path, found.to_bytes(), ReceiptError)


@checked
def read_receipt(path: str | Path, data: Dataset | None = None) -> Receipt:
    """Read the form of a receipt; nothing in it is believed yet.

    Raises:
        ReceiptError: no such file, no regular one, too large, or not a receipt.
    """
    content = read_file(
        path, RECEIPT_BYTES, ReceiptError, "Name a receipt.",
        "Write it without the data and give them with --data.",
    )  # fmt: skip
    return Receipt.from_bytes(content, data)


# -- writing ---------------------------------------------------------------------------------------


def _versions() -> dict[str, str]:
    from lexmargin.version import VERSION, installed

    return {
        "lexmargin": VERSION,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "python-flint": installed("python-flint") or "",
    }


def _weights(data: Dataset, inside: bool) -> dict[str, str]:
    return {} if data.weights is None or not inside else {"weights": encoded(data.weights)}


# -- reading ---------------------------------------------------------------------------------------


def _read(content: dict[str, Any], data: Dataset | None) -> Receipt:
    # Only receipts of trained networks name the tensors of a state dict.
    top = Fields(content, "", (*_KEYS, "state") if "state" in content else _KEYS)
    if top.text("format") != FORMAT:
        raise ReceiptError(f"The format is {top.text('format')[:40]!r}, not {FORMAT!r}.")
    if not _is_words(top.raw("versions")):
        raise ReceiptError("versions is no object of texts.", "Write the receipt again.")
    for name in ("theta_sha256", "digest"):
        hexadecimal(top.text(name), name)
    problem, count, size = _problem(top, data)
    theta = decoded(top.text("theta"), (size,), "theta")
    # The origin has no direction, but it can be what minimises a loss.
    formulation = Formulation.family.classes.get(top.text("formulation"))
    pointless = not np.any(theta) and not (formulation and formulation.traits.is_loss)
    if not np.all(np.isfinite(theta)) or pointless:
        raise ReceiptError("theta is zero or not finite.", "Write the receipt again.")
    if "state" in content:
        checked_state(top.raw("state"), size)
    _claims(top.raw("claims"))
    return Receipt(
        content,
        problem,
        theta,
        _tolerances(top.raw("tolerances")),
        evidence_from_json(top.raw("evidence"), count, size),
    )


def _is_words(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(v, str) for v in value.values())


def _norm(top: Fields) -> float:
    if top.raw("norm") == "inf":
        return math.inf
    norm = top.number("norm")
    if not 1.0 <= norm < math.inf:
        raise ReceiptError(f"norm is {norm!r}, below 1.", "Write the receipt again.")
    return norm


def _problem(top: Fields, data: Dataset | None) -> tuple[Formulation | None, int, int]:
    """Return the problem, how many margin functions it has and how many parameters."""
    stated = top.raw("data")
    # Only receipts of weighted samples name their weights.
    weighted = isinstance(stated, dict) and "weights" in stated
    part = Fields(stated, "data", (*_DATA, "weights") if weighted else _DATA)
    hexadecimal(part.text("sha256"), "data.sha256")
    samples, features = part.whole("samples", 1), part.whole("features", 1)
    if samples * features > RECEIPT_ENTRIES:
        raise ReceiptError("The data are too large.", "Write the receipt again.")
    predictor = predictor_from_json(top.raw("predictor"))
    try:
        predictor.check_size(features)
        if part.raw("X") is not None:
            labels = part.raw("y")
            if not isinstance(labels, list) or any(type(label) is not int for label in labels):
                raise ReceiptError("data.y is no list of labels.", "Write the receipt again.")
            X = decoded(part.text("X"), (samples, features), "data.X")
            weights = (
                decoded(part.text("weights"), (samples,), "data.weights") if weighted else None
            )
            inside = Dataset(X, labels, one_class=True, weights=weights)
            data = inside if data is None or data == inside else data
        elif part.raw("y") is not None or weighted:
            raise ReceiptError("data.X is not there beside the rest.", "Write the receipt again.")
        if data is None:
            size = int(sum(math.prod(shape) for shape in predictor.shapes(features)))
            return None, samples * max(1, predictor.outputs - 1), size
        problem = problem_from_json(
            top.text("formulation"), _norm(top), top.raw("parameters"), predictor, data
        )
        return problem, problem.functions.count, problem.functions.size
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
    part = Fields(value, "claims", tuple(CLAIMS))
    if part.text("verdict") not in {word.value for word in Verdict}:
        raise ReceiptError(f"claims.verdict is {part.text('verdict')[:40]!r}.")
    part.text("reason")
    for name, claim in CLAIMS.items():
        claim.read_from(part, name)


def facts_of(found: Receipt) -> Facts:
    """Recompute the facts of a receipt that has its data.

    Whatever numbers somebody wrote: what overflows is not finite, and proves nothing.
    """
    problem = found.stated()
    with np.errstate(all="ignore"):
        return establish_problem(problem, found.theta, found.tolerances, found.evidence)
