"""Every reason that a certificate or a receipt may print, by the word that it speaks for.

The list is closed: what is printed is one of these templates with its places filled, and the page
on conventions shows it. Places: ``{x}`` a number, ``{n}`` a whole one, and a few phrases.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final, final

from lexmargin.judge.verdict import Verdict

__all__ = [
    "BESIDE",
    "BEYOND",
    "CLAIMED",
    "CONTRADICTED",
    "DISCARDED",
    "EXPONENTS",
    "MANY_SLOPES",
    "NOISE",
    "NO_BETTER",
    "NO_EXPONENTS",
    "OTHER_SLOPES",
    "REASONS",
    "ROUNDED",
    "SHRINKING",
    "SINGULAR",
    "SLACK",
    "UNQUALIFIED",
    "VANISHES",
    "Condition",
    "claimed",
    "filled",
    "template_of",
    "words_of",
]

_PLACES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "{x}": r"-?(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|inf|nan)",
        "{n}": r"\d+",
        "{s}": r"s?",
        "{u}": r"\[[^\]]*\]",
        "{names}": r"[^:]+",
        "{layers}": r".+",
        "{margin|cost}": r"(?:margin|cost|norm)",
        "{rises|falls}": r"(?:rises|falls)",
        "{maximum|optimum}": r"(?:maximum|optimum)",
        "{method}": r"[a-z-]+",
    }
)


@final
class Condition(Enum):
    """What is asked of a stationary point: the sentence of a refutation, and of success."""

    GRADIENTS = (
        "ε is at least {x} for every λ ≥ 0 with δ ≤ {x} (tolerance {x})",
        "ε and δ are within their tolerances",
    )
    ELEMENTS = (
        "ε is at least {x} for every λ ≥ 0 with δ ≤ {x} and every element of the generalised "
        "gradients (tolerance {x})",
        "stationary with one element of the generalised gradient per support sample",
    )
    SLOPES = (ELEMENTS[0], "stationary with the slopes given at the kinks")
    BALL = (
        "-∇L does not support the ball at θ: ε is at least {x}",
        "-∇L and θ agree within tolerance",
    )
    INSIDE = (
        "the gradient of the loss does not vanish inside the ball: ε is at least {x}",
        "the gradient of the loss vanishes inside the ball",
    )
    BALANCE = (
        "loss and penalty do not balance: ε is at least {x}",
        "loss and penalty balance within tolerance",
    )
    ORIGIN = (
        "the loss falls faster than the penalty grows at θ = 0: ε is at least {x}",
        "θ = 0 is stationary",
    )

    @property
    def refuted(self) -> str:
        """Why the point is not stationary."""
        return self.value[0]

    @property
    def met(self) -> str:
        """Why it is."""
        return self.value[1]

    @property
    def at_kinks(self) -> bool:
        """Whether elements of generalised gradients take the place of gradients."""
        return self in (Condition.ELEMENTS, Condition.SLOPES)


# The sentences of first order: of doubts, in the order in which they are raised.
NOISE: Final = "the margin is no larger than its own rounding error"
CONTRADICTED: Final = "f and the gradients contradict Euler's identity by {x} of the margin"
ROUNDED: Final = "rounding alone may change ε by {x}, more than its tolerance"
NO_BETTER: Final = "ε = {x} misses its tolerance {x}, and no better than {x} is proven from below"
SLACK: Final = "δ = {x} misses its tolerance {x}: weight lies on samples above the margin"
# A unit that follows others, or a weight that acts twice, may be given slopes here that no limit of
# gradients has.
OTHER_SLOPES: Final = "stationary for slopes that need not be those of a generalised gradient"
MANY_SLOPES: Final = "the slopes there cannot be chosen, or are too many to list"
BEYOND: Final = "samples beyond the support could lower ε by {x}"
VANISHES: Final = "the gradient vanishes within its rounding"
UNQUALIFIED: Final = "no constraint qualification, ε = {x}"
SINGULAR: Final[Mapping[Verdict, str]] = MappingProxyType(
    {
        Verdict.FRITZ_JOHN: "0 is a combination of the active gradients, and no multiplier of the "
        "objective serves: ε = {x}",
        Verdict.UNDECIDED: "a multiplier of the objective serves, and was not given",
        Verdict.KKT: "0 is a combination of the active gradients: t is stationary",
    }
)
"""What 0 as a combination of the active gradients means, by the word that it gives."""
CLAIMED: Final[Mapping[str, str]] = MappingProxyType(
    {
        Condition.GRADIENTS.refuted: "the refutation separates θ̂ from the cone of gradients",
        CONTRADICTED: "f and the gradients contradict Euler's identity",
        ROUNDED: "rounding alone may change ε by more than its tolerance",
        NO_BETTER: "ε or δ of these multipliers misses its tolerance",
        SLACK: "ε or δ of these multipliers misses its tolerance",
    }
)
"""What a receipt says instead: another machine repeats it to the letter, and no digit of ε."""
_DOUBTS: Final = (NOISE, CONTRADICTED, ROUNDED, NO_BETTER, SLACK)

_OF_A_LOSS: Final = (Condition.BALL, Condition.INSIDE, Condition.BALANCE, Condition.ORIGIN)
_KINK: Final = "on a kink ({n} unit{s}, nearest at layer {n}, unit {n}, sample {n}): "
_KINK_OF_A_MODULE: Final = "on a kink of {names} ({x}): "


def _at_kinks(*reasons: str) -> tuple[str, ...]:
    return tuple(where + why for why in reasons for where in (_KINK, _KINK_OF_A_MODULE))


_SECOND_ORDER: Final = (
    "{n} parameters and {n} support margins are too many for a second-order test",
    "{n} parameters are more than {n}",
    "some parameters cost too little to be compared with the others",
    "in the metric of the cost ε is {x}",
    "the gradients are not finite",
    "the Hessian is not finite",
    "no exact second derivatives: {layers}",
    "gradients of size {x} have squares beyond double precision: give the samples in other units",
    "the second derivative of relu^p jumps here",
    "two routes to the second derivative differ by {x}",
    "no multiplier is clear of the error, so that no margin holds the point in place",
    "no multiplier is clear of the error, so that no margin holds the point",
    "{n} flat direction{s}, no known symmetry of the problem",
    "negative curvature on the tangents of the strongly active margins only",
    "Lanczos' method did not converge",
    "of {n} parameters the Hessian is not formed; Lanczos' method met no curvature below {x}, "
    "which is no proof",
    "negative curvature in the critical cone, but no increase of the {margin|cost} was shown to "
    "begin at the point",
    "negative curvature in the critical cone, but no decrease of the {margin|cost} was shown to "
    "begin at the point",
    "negative curvature on the tangents, but no increase of the {margin|cost} was shown to begin "
    "at the point",
    "negative curvature on the tangents, but no decrease of the {margin|cost} was shown to begin "
    "at the point",
)
_NOT_NEAR: Final = (
    "no strict maximiser was shown within {x}",
    "a kink is as near as the error of the point",
    "the Hessian changes by {x} within {x}, too much for Newton's method to be sure of a maximiser "
    "there",
    "a multiplier is no larger than what the true point's may differ by",
    "the gradients are dependent, so that the multipliers may be others",
    "margin {n} may be active too, with no multiplier to speak of",
)
_POSITIVE: Final = ("positive on the critical cone", "the critical cone holds no direction")
_BIRTH: Final = (
    "birth test {x} > 1 at u = {u}",
    "birth test {x} > 1 at u = {u}, and at least {x} for every λ",
)

REASONS: Final[Mapping[Verdict, tuple[str, ...]]] = MappingProxyType(
    {
        Verdict.NOT_SEPARATING: (
            "{n} of {n} margins are not positive, the worst at sample {n}",
            "a margin is not positive",
        ),
        Verdict.NOT_STATIONARY: (
            Condition.GRADIENTS.refuted,
            *_at_kinks(Condition.ELEMENTS.refuted),
            "infeasible: the smallest f_n misses {x} by {x} of it",
            "infeasible: the smallest f_n misses {x} by {x}",
            "infeasible: ‖θ‖ = {x} leaves the ball",
            "no constraint is active: every f_n exceeds {x}",
            "‖θ‖ = {x} leaves room in the ball",
            *(one.refuted for one in _OF_A_LOSS),
            "‖w_{n}‖² = {x}, and {x} is enough",
            CLAIMED[Condition.GRADIENTS.refuted],
            "infeasible, or separated from the cone of gradients",
        ),
        Verdict.FRITZ_JOHN: (
            SINGULAR[Verdict.FRITZ_JOHN],
            "the weights given combine the active gradients to 0",
        ),
        Verdict.UNDECIDED: (
            *_DOUBTS,
            *(CLAIMED[doubt] for doubt in (CONTRADICTED, ROUNDED, SLACK)),
            "f_n, its gradient or the loss leaves the range of doubles",
            "f_n, a gradient or what is made of them leaves the range of doubles",
            "the sign of a margin is not known: what was computed is no more than rounding",
            "every margin is positive, but some are lost below the smallest double or in rounding",
            "the square of the point leaves the range of doubles: rescale the data",
            "on a kink of relu (layer {n}, unit {n}, sample {n}): one gradient decides nothing",
            *_at_kinks(
                "the generalised gradient is tried for the ℓ2 ball only",
                "{n} support margins are too many to choose slopes",
                MANY_SLOPES,
                OTHER_SLOPES,
                "with normalised layers slopes are not chosen",
                *_DOUBTS,
            ),
            "the distance from kinks is unknown, because of {names}: one gradient for each sample "
            "may decide nothing",
            "level {n} is {x} and {x} at the optimum: it changes by more than the tolerance within "
            "that of the levels before",
            "level {n} can be raised or is not proven: no bound was found",
            "level {n} can be raised or is not proven: it may be {x} of the margin away from the "
            "optimum's",
            UNQUALIFIED,
            "‖θ‖ = {x} leaves room in the ball",
            SINGULAR[Verdict.UNDECIDED],
            "duality leaves a gap of {x}",
            "ε, δ or the gap of the multipliers in long numbers misses its tolerance",
            OTHER_SLOPES,
            "a kink, and the ball is not Euclidean",
            "kinks in several layers: the slopes there are not independent",
            "a slope is given where there is no kink, or outside [0, 1]",
            "level {n} is not proven by what is given",
            "what is given does not decide",
        ),
        Verdict.CLARKE_KKT: (
            *_at_kinks(
                Condition.ELEMENTS.met,
                "stationary with slope 0 there, one element of the generalised gradient",
            ),
            Condition.SLOPES.met,
        ),
        Verdict.KKT: (
            Condition.GRADIENTS.met,
            *(one.met for one in _OF_A_LOSS),
            VANISHES,
            "the bias is 0, where it has no slope",
            SINGULAR[Verdict.KKT],
            "stationary within tolerance",
        ),
        Verdict.SADDLE: (
            "no local {maximum|optimum}: along a direction of negative curvature the "
            "{margin|cost} {rises|falls} from {x} to {x}, as the square of the length from {x} on",
            "turning units on at their kinks raises the margin from {x} to {x}: no local maximum",
            *(
                f"{why}; with it as dead unit {{n}} the margin rises from {{x}} to {{x}}: no local "
                "maximum"
                for why in _BIRTH
            ),
            "the margin rises along the curve given from its beginning",
            "the curve given is feasible and better from its beginning",
        ),
        Verdict.STRICT_LOCAL: (
            *(
                f"second order: {why}{modulo}; a strict local optimum lies within {{x}}"
                for why in _POSITIVE
                for modulo in ("", ", modulo an orbit of symmetries of dimension {n}")
            ),
            "positive curvature on the critical cone, and a strict maximiser is near",
            "positive curvature on the critical cone, and a strict optimum is near",
        ),
        Verdict.GLOBAL: (
            "weak duality: no direction has a margin above the bound ({method})",
            "weak duality: no point of the ball does better ({method})",
            "weak duality: no feasible point has a smaller ‖w_{n}‖² ({method})",
            "weak duality: no feasible point costs less ({method})",
            "multipliers in doubles are too short to show it, those in long numbers do",
            "no direction has a larger margin ({method})",
            "no point of the ball has a larger margin ({method})",
            "no weights of this linear network have a margin above the bound ({method})",
            "birth test {x}: no network of any width has a margin above the bound ({method})",
            "convex: no point of the ball has a smaller loss ({method})",
            "convex: no point has a smaller objective ({method})",
            "the penalty outgrows all that the loss can gain ({method})",
            "all {n} levels are within {x} of the optimum's ({method})",
            "‖w_{n}‖ = 0, discarded: no feasible point has less ({method})",
            "the cost = 0: no feasible point has less ({method})",
            "no bias is smaller ({method})",
            "the margin meets an upper bound on all margins",
            "the margin meets an upper bound on all margins; duality proves all {n} levels",
            "the margin meets an upper bound on all margins, in long numbers",
            "the margin meets an upper bound on all margins, in long numbers; duality proves all "
            "{n} levels",
            "no point does better, by duality or because the value 0 is reached",
        ),
    }
)
"""By the word that a reason gives; of several words the certificate has the last."""

NO_EXPONENTS: Final = (
    "no exponents of the blocks make it quasi-homogeneous: at best {x} of the margins is left over",
    "the exponent of {names} would have to be 0: their size does not grow with the margins",
    "{names} is normalised, which is not judged with exponents",
)
"""Why the system of a quasi-homogeneous network does not serve."""
EXPONENTS: Final = "exponents {layers}; the admissible ones have {n} dimension{s}"
DISCARDED: Final = "discarded, as every margin stays positive without: {layers}"
SHRINKING: Final = (
    "no point is stationary with these exponents: {names} can shrink, and the margins stay"
)

BESIDE: Final = (
    *(f"second order undecided: {why}" for why in _SECOND_ORDER),
    *(
        f"second order undecided: {positive}, but {why}"
        for positive in _POSITIVE
        for why in _NOT_NEAR
    ),
    BEYOND,
    "the margin is {x} below the best bound found",
    "the stated margin misses its target by {x} of it",
    "birth test undecided, between {x} and {x}",
    *(
        f"{why}{more}"
        for why in _BIRTH
        for more in (
            "; no increase was shown",
            "; in a network one unit wider the margin rises from {x} to {x}",
        )
    ),
    "‖w_1‖² may be {x} above the least one",
    "{n} dimension(s) of θ are decided by weights below e^-{x}, unseen",
    "{n} sample(s) weigh less than {x} of the heaviest: ε feels no level of theirs",
    "the verdict speaks of level 1; later levels are recomputed, not judged",
    "from the inner products of {n} gradients of {n} parameters, which alone resolve ε to {x}",
    "degrees by layer, measured: {layers}",
    "normalised, judged by Σ λ ∇f = 0 instead of Definition 3: {layers}",
    "the leading part does not separate here: its limit problem says nothing of θ",
    *(f"the leading part does not separate here, and {why}" for why in NO_EXPONENTS),
    EXPONENTS,
    DISCARDED,
    SHRINKING,
)
"""What stands beside a word and does not decide it."""

_LEVEL: Final = re.compile(r"^level \d+: ")
"""What is said of one level of several stands after this."""


def words_of(reason: str) -> tuple[Verdict, ...]:
    """Return the words that this reason may give; none where it only stands beside one."""
    plain = _LEVEL.sub("", reason, count=1)
    return tuple(
        word
        for word, templates in REASONS.items()
        if any(_pattern(template).fullmatch(plain) for template in templates)
    )


def template_of(reason: str) -> str | None:
    """Return the template that this reason fills, None for a reason that is not listed."""
    plain = _LEVEL.sub("", reason, count=1)
    for templates in (*REASONS.values(), BESIDE):
        for template in templates:
            if _pattern(template).fullmatch(plain):
                return template
    return None


def filled(template: str, *values: float | str) -> str:
    """Return the template with its places filled in order, as many as it has: numbers to 3 digits.

    Raises StopIteration where there are fewer values than places.
    """
    given = iter(values)

    def shown(_: re.Match[str]) -> str:
        value = next(given)
        return value if isinstance(value, str) else f"{value:.3g}"

    return re.sub(r"\{[^}]*\}", shown, template)


def claimed(reason: str) -> str:
    """Return what a receipt says where a certificate gives this reason of first order."""
    return CLAIMED.get(template_of(reason) or "", reason)


@functools.cache
def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"(\{[^}]*\})", template)
    text = "".join(
        _PLACES[part] if index % 2 else re.escape(part) for index, part in enumerate(parts)
    )
    return re.compile(text, re.DOTALL)
