"""Well-formed receipts of false statements, by a forger who may call everything the toolkit has.

The forger picks tolerances, invents or improves evidence, has the toolkit compute what follows from
it, and signs. Where what follows is not the false word wanted, the word is written in its place.
"""

from __future__ import annotations

import copy
import json
import math
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from scipy.optimize import nnls

import lexmargin as lm
from lexmargin.errors import LexmarginError, ReceiptError
from lexmargin.judge import Tolerances, Verdict
from lexmargin.judge.certificate import Ascent
from lexmargin.judge.given import ESTABLISHED, Evidence
from lexmargin.judge.programs.program_evidence import evidence_for_problem
from lexmargin.judge.receipts.receipt import Receipt, facts_of, receipt
from lexmargin.judge.receipts.receipt_evidence import evidence_to_json
from lexmargin.judge.receipts.receipt_format import digest, encoded
from lexmargin.judge.receipts.verify import verify_receipt
from receipt_cases import FAMILIES, Array, Case, Rng, unit

_TINY: Final = 5e-324
_MARGINS: Final = ("margin", "bound")
_ROUGH: Final = ("radius", "rate")
"""A verifier repeats these within a factor only."""
ABOVE: Final = ("stationarity", "complementarity", "feasibility", "bound", "gap", "levels_gap")
"""Errors, bounded from above: a larger one says less, and is true."""
BELOW: Final = "stationarity_bound"
"""An error, bounded from below."""
BESIDE: Final = (
    "licq", "rank", "sigma_min", "sigma_max", "independent", "bound", "gap", "curvature", "radius",
    "rate", "levels_gap",
)  # fmt: skip
"""What may be left unsaid, unless the word rests on it."""
RESTS: Final[dict[Verdict, tuple[str, ...]]] = {
    Verdict.GLOBAL: ("bound", "gap", "levels_gap"),
    Verdict.STRICT_LOCAL: ("curvature", "radius"),
    Verdict.SADDLE: ("rate",),
}
TRUE_TOO: Final = frozenset(
    {
        (Verdict.GLOBAL, Verdict.KKT),
        (Verdict.GLOBAL, Verdict.CLARKE_KKT),
        (Verdict.GLOBAL, Verdict.UNDECIDED),
        (Verdict.STRICT_LOCAL, Verdict.KKT),
        (Verdict.STRICT_LOCAL, Verdict.CLARKE_KKT),
        (Verdict.STRICT_LOCAL, Verdict.UNDECIDED),
        (Verdict.KKT, Verdict.CLARKE_KKT),
        (Verdict.KKT, Verdict.UNDECIDED),
        (Verdict.CLARKE_KKT, Verdict.UNDECIDED),
    }
)
"""Words that are true where a better one is, and hide nothing that speaks against the point."""


@dataclass(frozen=True)
class Forgery:
    """A signed receipt, the false statement in it, and why it is false."""

    content: dict[str, Any]
    statement: str
    why: str


def signed(content: dict[str, Any]) -> dict[str, Any]:
    unsigned = {key: value for key, value in content.items() if key != "digest"}
    return unsigned | {"digest": digest(unsigned)}


def read(content: dict[str, Any]) -> Receipt:
    return Receipt.from_bytes(json.dumps(content).encode())


# -- what a forger may invent ----------------------------------------------------------------------


def tolerances(rng: Rng, sharpest: float, loosest: float) -> Tolerances:
    kind = int(rng.integers(4))
    if kind == 0 and loosest >= 1e-7:
        return Tolerances()
    if kind == 1:
        return Tolerances.at(loosest)
    low = math.log10(max(sharpest, 1e-16)) + 0.1
    powers = rng.uniform(max(low, -16.0), math.log10(loosest), 5)
    names = ("support", "stationarity", "complementarity", "feasibility", "gap")
    limits = {name: float(10.0**power) for name, power in zip(names, powers, strict=True)}
    if kind == 3 and sharpest == 0.0:
        limits["stationarity"] = limits["complementarity"] = 1e-300
    return Tolerances(
        **limits,
        kink=float(10.0 ** rng.uniform(-9.0, -2.0)),
        rank=float(10.0 ** rng.uniform(-13.0, -2.0)),
        euler=float(10.0 ** rng.uniform(-12.0, -2.0)),
    )


def weights(rng: Rng, count: int, old: Array | None) -> Array:
    """Return weights of any kind: better, worse, of another scale, or beyond the doubles."""
    kind = int(rng.integers(9))
    if old is None or not np.any(old > 0.0) or kind == 0:
        old = rng.dirichlet(np.full(count, float(rng.choice([0.2, 1.0, 5.0]))))
    with np.errstate(over="ignore", under="ignore"):
        match kind:
            case 1:
                found = old * 10.0 ** float(rng.uniform(-12.0, 12.0))
            case 2:
                found = old / np.max(old) * float(rng.choice([1e300, 1.7e308, 1e-300, 1e-320]))
            case 3:
                shape = old / np.max(old) if rng.random() < 0.5 else rng.random(count)
                found = _TINY * np.rint(shape * float(rng.integers(1, 9)))
            case 4:
                found = np.eye(count)[int(rng.integers(count))] * np.max(old)
            case 5:
                found = np.zeros(count)
            case 6:
                found = old * (1.0 + 10.0 ** rng.uniform(-9.0, 0.0) * rng.standard_normal(count))
            case 7:
                found = old + np.max(old) * 10.0 ** rng.uniform(-9.0, 3.0, count)
            case _:
                found = old
    found = np.maximum(np.nan_to_num(found, posinf=1.7e308), 0.0)
    return np.asarray(found)


def ascent(rng: Rng, theta: Array, count: int, old: Ascent | None) -> Ascent:
    """Return a curve of any kind: along an axis, around the sphere, or near the one found."""
    direction = np.eye(theta.size)[int(rng.integers(theta.size))]
    kind = int(rng.integers(4))
    if kind == 0:
        direction = rng.standard_normal(theta.size)
    elif kind == 1:
        direction = rng.standard_normal(theta.size)
        direction = direction - theta * (direction @ theta) / (theta @ theta)
    elif kind == 2 and old is not None:
        direction = old.direction + 10.0 ** rng.uniform(-9.0, 0.0) * direction
    size = float(np.linalg.norm(direction))
    direction = direction / size if size > 1e-9 else np.eye(theta.size)[0]
    direction = direction * float(rng.choice([-1.0, 1.0]))
    held = np.flatnonzero(rng.random(count) < 0.5)
    return Ascent(direction, held, int(rng.integers(1, 3)))


def fitted(case: Case, support: Any) -> Array:
    """Return weights of the support's gradients that come nearest to a gradient of the norm."""
    functions, p = case.problem.functions, case.problem.norm_p
    theta = unit(case.theta, p)
    target = np.sign(theta) * np.abs(theta) ** (0.0 if math.isinf(p) else p - 1.0)
    if math.isinf(p):
        target = np.where(np.abs(theta) >= 1.0 - 1e-9, np.sign(theta), 0.0)
    rows = functions.jacobian(case.problem.rho_value * theta)[support]
    size = float(np.max(np.abs(rows))) or 1.0
    found = np.zeros(functions.count)
    found[support] = nnls(rows.T / size, target)[0] / size
    return found


def evidence(rng: Rng, case: Case, word: Verdict, limits: Tolerances) -> Evidence:
    """Return the toolkit's best evidence for the word wanted, with some of it made up."""
    problem, theta = case.problem, case.theta
    honest = lm.certify(problem, theta, tolerances=limits)
    wanted = word if rng.random() < 0.7 else honest.verdict
    functions = problem.functions
    try:
        found = evidence_for_problem(problem, theta, replace(honest, verdict=wanted))
    except (LexmarginError, AssertionError):
        found = evidence_for_problem(problem, theta, honest)
    count = functions.count
    if math.isnan(found.tau) and isinstance(problem, (lm.ConstrainedPath, lm.RegularizationPath)):
        return found
    if math.isnan(found.tau) or rng.random() < 0.4:
        tau = float(rng.choice([0.0, 1e-12, 1e-7, limits.support, 1e-4, 1e-3, 1e-2]))
        values = functions.values(problem.rho_value * theta)
        support = np.flatnonzero(values <= (1.0 + tau) * np.min(values))
        held = np.zeros(count)
        if rng.random() < 0.5:
            # δ is proportional to λ, and ε need not be.
            held = fitted(case, support) * float(10.0 ** rng.choice([0.0, rng.uniform(-12.0, 0.0)]))
        else:
            held[support] = weights(rng, count, found.multipliers)[support]
        found = replace(found, tau=tau, support=support, multipliers=held)
    elif rng.random() < 0.3:
        held = np.zeros(count)
        held[found.support] = weights(rng, count, found.multipliers)[found.support]
        found = replace(found, multipliers=held)
    if rng.random() < 0.5:
        found = replace(found, bound=weights(rng, count, found.bound))
    if rng.random() < 0.3:
        start = found.refutation if found.refutation is not None else found.multipliers
        found = replace(found, refutation=weights(rng, count, start))
    if rng.random() < 0.3:
        found = replace(found, singular=weights(rng, count, found.singular))
    if rng.random() < 0.4:
        found = replace(found, ascent=ascent(rng, theta, count, found.ascent))
    if rng.random() < 0.3:
        found = replace(found, slopes=_slopes(rng, found, functions.data.n_samples))
    if isinstance(problem, lm.Lexicographic) and rng.random() < 0.7:
        levels = tuple(weights(rng, count, old) for old in found.levels)
        extra = tuple(weights(rng, count, None) for _ in range(int(rng.integers(3))))
        found = replace(found, levels=levels + extra)
    return _useful(found, problem) if rng.random() < 0.9 else found


def _slopes(rng: Rng, found: Evidence, samples: int) -> tuple[tuple[int, int, int, float], ...]:
    slope = float(rng.choice([0.0, 0.5, 1.0, 1.5, -0.5, 1e300]))
    fresh = [(0, int(rng.integers(samples)), int(rng.integers(3)), slope) for _ in range(2)]
    return (*found.slopes, *fresh)


def _useful(found: Evidence, problem: Any) -> Evidence:
    """Drop what the problem has no use for: that alone would be refused."""
    directions = problem.functions.homogeneity.degree is not None
    if not isinstance(problem, lm.Lexicographic):
        found = replace(found, levels=())
    if directions and not isinstance(problem, (lm.WSet, lm.ScaledMargin)):
        return replace(found, singular=None)
    return replace(found, bound=None)


# -- receipts --------------------------------------------------------------------------------------


def blank(case: Case) -> dict[str, Any]:
    """Return an honest receipt of the case, to be changed."""
    found = receipt(case.problem, case.theta, lm.certify(case.problem, case.theta))
    return copy.deepcopy(dict(found.content))


def forged(rng: Rng, case: Case) -> Forgery:
    """Return a receipt of a word that is false of the case."""
    word = list(case.false)[int(rng.integers(len(case.false)))]
    limits = tolerances(rng, case.sharpest, case.loosest)
    content = blank(case)
    content["tolerances"] = limits.to_json()
    content["evidence"] = evidence_to_json(evidence(rng, case, word, limits))
    try:
        facts = facts_of(read(signed(content)))
    except ReceiptError:
        facts = None
    if facts is not None:
        content["claims"] = facts.to_json()
        if facts.verdict in case.false:
            why = case.false[facts.verdict]
            return Forgery(signed(content), f"{facts.verdict} (the toolkit's own)", why)
        fault = false_number(case, content["claims"])
        if fault:
            return Forgery(signed(content), *fault)
    content["claims"]["verdict"] = word.value
    return Forgery(signed(content), word.value, case.false[word])


def false_number(case: Case, claims: dict[str, Any]) -> tuple[str, str] | None:
    """Return what the toolkit's own numbers state falsely, by the oracle's."""
    margin, bound = claims["margin"], claims["bound"]
    if abs(case.margin) > 0.0 and not abs(margin - case.margin) <= 1e-9 * abs(case.margin):
        return f"margin {margin!r}", f"it is {case.margin!r}"
    if bound is not None and bound < case.reach * (1.0 - 1e-9):
        return f"bound {bound!r}", f"a direction has the margin {case.reach!r}"
    return None


def misstated(rng: Rng, case: Case) -> Forgery:
    """Return an honest receipt with one claim, or one entry that the claims rest on, made false."""
    content = blank(case)
    claims = content["claims"]
    word = Verdict(claims["verdict"])
    numbers = [n for n in claims if type(claims[n]) is float]
    kind = int(rng.integers(7))
    if kind == 0:
        clause = str(rng.choice(["; no other does better", " ", "\n", "; the certificate says"]))
        claims["reason"] += clause
        return Forgery(signed(content), f"the reason with {clause!r}", "nobody measured it")
    if kind == 1:
        name = str(rng.choice(numbers))
        old = claims[name]
        grown = 10.0 ** float(rng.uniform(-6.0, 1.0))
        floor = 0.0 if name in _MARGINS else 1e-3
        sign = float(rng.choice([-1.0, 1.0]))
        if word.certified or word is Verdict.UNDECIDED:
            sign = ({BELOW: 1.0} | dict.fromkeys(ABOVE, -1.0)).get(name, sign)
        claims[name] = old + sign * grown * (abs(old) + floor)
        if abs(claims[name] - old) <= (1e-4 if name == "curvature" else 1e-8) * (1.0 + abs(old)):
            claims[name] = old + sign * (1.0 if name not in _MARGINS else 0.01 * old)
        if name in _ROUGH:
            claims[name] = old * 100.0
        return Forgery(signed(content), f"{name} {claims[name]!r}", f"it is {old!r}")
    if kind == 2:
        name = str(rng.choice(["licq", "independent", "rank"]))
        old = claims[name]
        claims[name] = {"rank": (old or 0) + 1}.get(name, not old)
        return Forgery(signed(content), f"{name} {claims[name]!r}", f"it is {old!r}")
    if kind == 3:
        needed = [n for n in numbers if n not in BESIDE or n in RESTS.get(word, ())]
        name = str(rng.choice(needed))
        old, claims[name] = claims[name], None
        return Forgery(signed(content), f"no {name}", f"it is {old!r}")
    if kind == 4:
        absent = [n for n in claims if claims[n] is None]
        name = str(rng.choice(absent))
        fake: Any = {"licq": True, "independent": True, "rank": 1, "levels": [1.0]}.get(name, 0.25)
        claims[name] = fake
        return Forgery(signed(content), f"{name} {fake!r}", "it was not measured")
    if kind == 5:
        other = [w for w in Verdict if w is not word and (word, w) not in TRUE_TOO]
        # Of a global optimum a strict one may be shown too.
        other = [w for w in other if (word, w) != (Verdict.GLOBAL, Verdict.STRICT_LOCAL)]
        wrong = other[int(rng.integers(len(other)))]
        claims |= {"verdict": wrong.value, "reason": ESTABLISHED[wrong]}
        return Forgery(signed(content), wrong.value, f"{word.value} does not imply it")
    return transplanted(rng, case, content)


def transplanted(rng: Rng, case: Case, content: dict[str, Any]) -> Forgery:
    """Return claims of one problem beside data at which the margin is another."""
    data = case.problem.data
    factor = 1.0 + 10.0 ** float(rng.uniform(-6.0, 0.0))
    other = lm.Dataset(data.X * factor, data.y, one_class=True)
    content["data"] |= {"X": encoded(other.X), "sha256": other.fingerprint}
    return Forgery(signed(content), "the margin of data of another length", f"times {factor}")


def forgery(rng: Rng, name: str) -> Forgery:
    """Return one forgery of a family."""
    case = FAMILIES[name](rng)
    return forged(rng, case) if rng.random() < 0.75 else misstated(rng, case)


def accepted(found: Forgery) -> str:
    """Return what a verifier says of a forgery: empty where it is rejected."""
    try:
        said = verify_receipt(read(found.content))
    except ReceiptError:
        return ""
    return f"accepted {found.statement} ({said.facts.certificate.reasons[0]}), although {found.why}"
