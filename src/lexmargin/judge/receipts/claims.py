"""What a receipt claims, and when less is claimed than is shown: an order on words and numbers.

A claim stands where what is measured implies it. So a receipt that was written when less could be
shown is still valid; one that says more than is shown, or something else, never is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any, Final, final

from lexmargin.judge.certificate import Certificate
from lexmargin.judge.given import ESTABLISHED, STRICTLY
from lexmargin.judge.reasons import Condition
from lexmargin.judge.receipts.receipt_format import Fields
from lexmargin.judge.tolerances import COARSE, REPEATED, REPEATED_ZERO, ROUGH, Tolerances
from lexmargin.judge.verdict import Verdict

__all__ = ["CLAIMS", "IMPLIED", "Claim", "Less", "implied_by", "is_less", "is_said_of"]

_NOTHING: Final[frozenset[Verdict]] = frozenset()
IMPLIED: Final[Mapping[Verdict, frozenset[Verdict]]] = MappingProxyType(
    {
        Verdict.NOT_SEPARATING: _NOTHING,
        Verdict.NOT_STATIONARY: _NOTHING,
        Verdict.FRITZ_JOHN: _NOTHING,
        Verdict.UNDECIDED: _NOTHING,
        Verdict.CLARKE_KKT: frozenset({Verdict.UNDECIDED}),
        Verdict.KKT: frozenset({Verdict.UNDECIDED, Verdict.CLARKE_KKT}),
        Verdict.SADDLE: _NOTHING,
        Verdict.STRICT_LOCAL: frozenset({Verdict.UNDECIDED, Verdict.CLARKE_KKT, Verdict.KKT}),
        Verdict.GLOBAL: frozenset({Verdict.UNDECIDED, Verdict.CLARKE_KKT, Verdict.KKT}),
    }
)
"""By the word that is shown, the other words that are true too and say less.

UNDECIDED is weaker than what is certified alone: over a refutation or a curve that leads upwards it
would hide what speaks against the point. So would KKT, which is certified, over SADDLE, which is
not. A global optimum need not be strict: GLOBAL implies STRICT_LOCAL only where it is measured.
"""
_SAID: Final[Mapping[Verdict, frozenset[str]]] = MappingProxyType(
    {
        Verdict.UNDECIDED: frozenset({ESTABLISHED[Verdict.UNDECIDED]}),
        Verdict.CLARKE_KKT: frozenset({ESTABLISHED[Verdict.CLARKE_KKT], Condition.SLOPES.met}),
        Verdict.KKT: frozenset({ESTABLISHED[Verdict.KKT], Condition.GRADIENTS.met}),
        Verdict.STRICT_LOCAL: frozenset({ESTABLISHED[Verdict.STRICT_LOCAL], STRICTLY}),
    }
)
"""What a receipt may give as the reason of a word that is implied: nothing but the word again."""


@final
class Less(Enum):
    """In which direction a number claims less than is shown."""

    NEITHER = "neither"
    """It says what the point is, or what was done: it is repeated."""
    LARGER = "larger"
    """It bounds an error from above."""
    SMALLER = "smaller"
    """It bounds one from below."""


@final
@dataclass(frozen=True, kw_only=True)
class Claim:
    """One entry of a receipt's claims.

    read
        takes it where it is not null, and raises for another type.
    less
        in which direction it claims less, under a word that is certified or UNDECIDED.
    beside
        it is measured beside the word: to leave it out claims less.
    carries
        the words that cannot do without it, where it is measured.
    limit
        the tolerance that it must be within for a certified word, or for those of ``carries`` where
        there are any; empty where these ask for the very number that is shown.
    signed
        both signs are possible near 0.
    of_margins
        it is in the unit of the data, in which no absolute error is small.
    """

    read: Callable[[Fields, str], object] = Fields.number
    less: Less = Less.NEITHER
    beside: bool = False
    carries: frozenset[Verdict] = _NOTHING
    limit: str = ""
    signed: bool = False
    of_margins: bool = False

    def read_from(self, part: Fields, name: str) -> None:
        """Raise :class:`~lexmargin.errors.ReceiptError` where the value has another type."""
        if part.raw(name) is not None:
            self.read(part, name)

    def differs(self, name: str, claimed: Any, shown: Any, rounding: Sequence[float]) -> str:
        """Return how a claim differs from what is shown, or an empty string.

        Args:
            name: its own.
            claimed, shown: what the receipt says, and what was computed.
            rounding: the absolute error of the smallest margins in order, in their own unit.
        """
        # 1 is not true, and true is not 1.
        if type(claimed) is not type(shown):
            return f"it is {shown!r}"
        if isinstance(claimed, list):
            if len(claimed) != len(shown):
                return f"it has {len(shown)} entries"
            errors = [*rounding, *[0.0] * len(claimed)]
            pairs = zip(claimed, shown, errors, strict=False)
            return next(filter(None, (self.differs(name, a, b, [e]) for a, b, e in pairs)), "")
        if not isinstance(claimed, float):
            return "" if claimed == shown else f"it is {shown!r}"
        wrong = f"it is {shown!r}, not {claimed!r}"
        low, high = sorted((claimed, shown))
        if name in ROUGH:
            return "" if low > 0.0 and high <= ROUGH[name] * low else wrong
        floor = rounding[0] if self.of_margins else COARSE.get(name, REPEATED_ZERO)
        if low < 0.0 <= high and not (self.signed or self.of_margins):
            return wrong
        size = COARSE.get(name, REPEATED) * max(abs(claimed), abs(shown))
        return "" if high - low <= size + floor else wrong


_GLOBAL: Final = frozenset({Verdict.GLOBAL})
_STRICT_LOCAL: Final = frozenset({Verdict.STRICT_LOCAL})
CLAIMS: Final[Mapping[str, Claim]] = MappingProxyType(
    {
        "verdict": Claim(read=Fields.text),
        "reason": Claim(read=Fields.text),
        "degree": Claim(),
        "margin": Claim(of_margins=True),
        "stationarity": Claim(less=Less.LARGER, limit="stationarity"),
        "stationarity_bound": Claim(less=Less.SMALLER),
        "complementarity": Claim(less=Less.LARGER, limit="complementarity"),
        "euler": Claim(),
        "licq": Claim(read=Fields.truth, beside=True),
        "rank": Claim(read=Fields.whole, beside=True),
        "sigma_min": Claim(beside=True),
        "sigma_max": Claim(beside=True),
        "independent": Claim(read=Fields.truth, beside=True),
        "nearest_kink": Claim(),
        "bound": Claim(less=Less.LARGER, beside=True, carries=_GLOBAL, of_margins=True),
        "gap": Claim(less=Less.LARGER, beside=True, carries=_GLOBAL, limit="gap"),
        "curvature": Claim(beside=True, carries=_STRICT_LOCAL, signed=True),
        "radius": Claim(beside=True, carries=_STRICT_LOCAL),
        "rate": Claim(beside=True, carries=frozenset({Verdict.SADDLE})),
        "feasibility": Claim(less=Less.LARGER, limit="feasibility"),
        "angle": Claim(),
        "levels": Claim(read=Fields.numbers, of_margins=True),
        "levels_gap": Claim(less=Less.LARGER, beside=True, carries=_GLOBAL, limit="gap"),
    }
)
"""What a receipt claims, by name and in order."""


def implied_by(shown: Certificate, word: Verdict) -> bool:
    """Tell whether a word is true where a certificate shows more.

    On a kink what is shown rests on elements of generalised gradients, and implies no KKT.
    """
    return word in IMPLIED[shown.verdict] and not (word is Verdict.KKT and shown.on_kink)


def is_said_of(word: Verdict, reason: str) -> bool:
    """Tell whether a reason says no more than the word, which is implied."""
    return reason.removeprefix("level 1: ") in _SAID.get(word, frozenset())


def is_less(name: str, claimed: Any, shown: Any, word: Verdict, limits: Tolerances) -> bool:
    """Tell whether a claim that differs from what is shown says less, and still carries its word.

    Args:
        name, claimed, shown: the claim, and what was computed.
        word: the word claimed.
        limits: the tolerances that the word is relative to.
    """
    claim = CLAIMS[name]
    if claimed is None:
        return claim.beside and word not in claim.carries
    if type(claimed) is not float or type(shown) is not float:
        return False
    if claim.less is Less.SMALLER:
        below = 0.0 <= claimed < shown
        return below and (word.certified or word is Verdict.UNDECIDED)
    if claim.less is Less.NEITHER or not claimed > shown:
        return False
    asked = word in claim.carries if claim.carries else word.certified
    limit = limits.to_json().get(claim.limit)
    # What meets a bound must meet the one that is claimed.
    if asked and (limit is None or shown <= limit < claimed):
        return False
    return word.certified or word is Verdict.UNDECIDED
