"""The paper, passage by passage in its order: what each says in our words, and what kind it is."""

from __future__ import annotations

from enum import Enum, StrEnum, unique
from itertools import takewhile

__all__ = ["Kind", "Passage"]


class Kind(StrEnum):
    """What a passage is, and so whether a row has to stand for it."""

    CLAIM = "claim"
    """It can be false: at least one row measures it."""
    DEFINITION = "definition"
    """It fixes a name, an object or an assumption, or says where something is."""
    EARLIER = "earlier work"
    """It motivates, or says what others showed."""


_CLAIM, _DEFINITION, _EARLIER = Kind.CLAIM, Kind.DEFINITION, Kind.EARLIER


@unique
class Passage(Enum):
    """Consecutive sentences (a displayed formula counts as one) of one section of the paper.

    Attributes:
        section: its number, or its heading where it has none.
        sentences: how many; the passages of a section follow each other without a gap.
        called: the paper's own name, as ``Lemma 3, eq. 8``; empty where it has none.
        words: what it says, in a few words of ours; a proof belongs to what it proves.
        kind: whether a row has to stand for it.
        restates: members whose rows stand for it too.
    """

    ABSTRACT = ("Abstract", 4, "", "what is studied and shown", _CLAIM,
                "COROLLARY_1", "DISCARD", "THEOREM_2", "THEOREM_3", "THEOREM_4")  # fmt: skip

    MOTIVATION = ("1", 10, "", "inductive bias chooses among global minima", _EARLIER)
    SGD = ("1", 1, "", "stochastic gradient descent, the common algorithm", _CLAIM)
    GEOMETRIES = ("1", 3, "", "each algorithm has its geometry: ℓ2, ℓ1", _EARLIER)
    THREE_PATHS = ("1", 5, "", "optimization, constrained, regularization path", _DEFINITION)
    EARLIER_PATHS = ("1", 5, "", "paths of linear and homogeneous models", _EARLIER)
    DEFINITION_1 = ("1", 3, "Definition 1", "α-positive homogeneous", _DEFINITION)
    NOT_HOMOGENEOUS = ("1", 2, "", "beyond homogeneous predictors",
                       _CLAIM, "LEMMA_3", "THEOREM_1")  # fmt: skip
    SEVERAL = ("1", 4, "", "several max-margin solutions; the path finds the refined ones",
               _CLAIM, "THEOREM_4")  # fmt: skip
    EARLIER_OPTIMIZATION = ("1", 8, "", "gradient descent on linear models, and near", _EARLIER)
    NONLINEAR_DESCENT = ("1", 2, "", "descent on homogeneous predictors reaches the margin problem",
                         _CLAIM, "THEOREM_2")  # fmt: skip
    FINITE = ("1", 5, "", "problems with finite minimizers", _EARLIER)

    REALIZABLE = ("Contributions", 2, "", "realizable problems, exponential loss", _DEFINITION)
    OTHER_LOSSES = ("Contributions", 2, "", "logistic loss and its multi-class form alike", _CLAIM)
    ANY_MODEL = ("Contributions", 4, "", "the margin converges, sometimes the parameters too",
                 _CLAIM, "COROLLARY_1", "EXAMPLE_1")  # fmt: skip
    SUMS = ("Contributions", 5, "", "sums: the solution, the shallow network, the free bias",
            _CLAIM, "THEOREM_1", "DISCARD", "FREE_BIAS")  # fmt: skip
    HOMOGENEOUS = ("Contributions", 3, "", "stationary points; lexicographic margins",
                   _CLAIM, "THEOREM_2", "THEOREM_3", "THEOREM_4")  # fmt: skip

    LOSS = ("2", 4, "eq. 1", "the exponential loss, the unit ball of any norm", _DEFINITION)
    LEMMA_1 = ("2", 12, "Lemma 1, eq. 2 and 3", "two forms of one problem, same solutions", _CLAIM)

    OPTIMIZATION_PATH = ("2.1", 2, "eq. 4", "direction of gradient descent's iterates", _DEFINITION)

    CONSTRAINED_PATH = ("2.2", 2, "eq. 5", "minimisers of the loss over the ball", _DEFINITION)
    EARLIER_CONSTRAINED = ("2.2", 1, "", "considered for linear models before", _EARLIER)
    APPENDIX_F = ("2.2", 2, "Appendix F", "closely linked to the regularization path", _CLAIM)
    LEAST_LOSS = ("2.2", 3, "", "L*(ρ), which exists by compactness", _DEFINITION)
    ASSUMPTION_1 = ("2.2", 3, "Assumption 1", "L*(ρ) falls strictly to zero", _DEFINITION)
    TWO_FORMS_LOSS = ("2.2", 2, "", "the constrained path as a smallest norm", _CLAIM, "LEMMA_1")
    LEMMA_2 = ("2.2", 8, "Lemma 2", "minimisers lie on the unit sphere", _CLAIM)

    MARGIN_PATH = ("2.3", 7, "eq. 6", "margin path, γ(ρ, θ), γ*(ρ)", _DEFINITION)
    ASSUMPTION_2 = ("2.3", 3, "Assumption 2", "γ*(ρ) rises strictly to infinity", _DEFINITION)
    SUMS_SATISFY = ("2.3", 1, "", "sums of homogeneous functions satisfy Assumption 2", _CLAIM)
    TWO_FORMS_MARGIN = ("2.3", 2, "eq. 7", "the margin path as a smallest norm", _CLAIM, "LEMMA_1")

    DEFINITION_2 = ("3", 6, "Definition 2", "convergence of sets", _DEFINITION)

    LEMMA_3 = ("3.1", 5, "Lemma 3, eq. 8", "the path's margin is within log N", _CLAIM)
    SANDWICH = ("3.1", 5, "eq. 9", "the loss lies between e^-γ and N e^-γ", _CLAIM)
    COROLLARY_1 = ("3.1", 5, "Corollary 1", "the ratio of the two margins tends to 1", _CLAIM)
    NOT_PARAMETERS = ("3.1", 2, "", "which need not move the parameters together",
                      _CLAIM, "EXAMPLE_2")  # fmt: skip
    SAME_SET = ("3.1", 3, "within Example 1", "one margin set at every ρ", _CLAIM)
    EXAMPLE_1 = ("3.1", 7, "Example 1", "homogeneous: the two paths meet", _CLAIM)
    EARLIER_MARGINS = ("3.1", 4, "", "linear models, other losses", _EARLIER)
    ANY_NORM = ("3.1", 1, "", "the two paths meet in any norm", _CLAIM)
    REFINED = ("3.1", 2, "", "a specific subset of the margin set", _CLAIM, "THEOREM_4")
    EXAMPLE_2 = ("3.1", 16, "Example 2", "log predictor: the two paths stay apart", _CLAIM)
    EXAMPLE_2_PATHS = ("3.1", 8, "after Example 2", "so do the other two paths", _CLAIM)
    EXAMPLE_3_PATHS = ("3.1", 2, "before Example 3", "with a power 1 + ε they meet", _CLAIM)
    EXAMPLE_3 = ("3.1", 9, "Example 3", "and so does the constrained path", _CLAIM)

    SUM = ("3.2", 5, "eq. 10", "a sum of homogeneous functions, ℓ2 only", _DEFINITION)
    LEMMA_4 = ("3.2", 13, "Lemma 4, eq. 11 to 13", "the margin path's asymptotic form", _CLAIM)
    CLAIM_1 = ("3.2", 9, "Claim 1, eq. 14", "the scaled problem tends to the set W", _CLAIM)
    LEMMA_5 = ("3.2", 9, "Lemma 5, eq. 15", "any path within C of γ* has that form", _CLAIM)
    THEOREM_1 = ("3.2", 8, "Theorem 1, eq. 16 and 17", "so has the constrained path", _CLAIM)
    IMPLICATION = ("3.2", 2, "", "ensembles drop the shallowest network", _CLAIM, "DISCARD")
    ENSEMBLE = ("3.2", 10, "", "an ensemble of networks of different depths", _DEFINITION)
    DISCARD = ("3.2", 4, "after Theorem 1", "the shallowest network is dropped if it can be",
               _CLAIM)  # fmt: skip
    CONJECTURE = ("3.2", 3, "the conjecture after Theorem 1", "then the next, and so on", _CLAIM)
    FREE_BIAS = ("3.2", 8, "§3.2, SVM with a free bias", "b² represents the unregularised bias",
                 _CLAIM)  # fmt: skip

    MARGIN_SET = ("4", 6, "eq. 18", "the homogeneous margin set as a smallest norm",
                  _CLAIM, "LEMMA_1", "SAME_SET")  # fmt: skip

    ASSUMPTION_3 = ("4.1", 6, "Assumption 3", "f is twice continuously differentiable", _DEFINITION)
    UNLIKELY = ("4.1", 4, "before Definition 3", "descent is unlikely to end at the global optimum",
                _CLAIM)  # fmt: skip
    DEFINITION_3 = ("4.1", 8, "Definition 3, eq. 19", "first-order stationary points", _DEFINITION)
    ASSUMPTION_4 = (
        "4.1",
        13,
        "Assumption 4, eq. 20 and 21",
        "losses and parameters settle",
        _CLAIM,
    )
    ASSUMPTION_5 = ("4.1", 3, "Assumption 5", "independent support gradients", _DEFINITION)
    REMARK_1 = ("4.1", 3, "Remark 1", "an optimum need not be stationary without it", _CLAIM)
    INDEPENDENT = ("4.1", 5, "after Remark 1", "generic data have independent support vectors",
                   _CLAIM)  # fmt: skip
    THEOREM_2 = ("4.1", 4, "Theorem 2", "gradient descent ends at a stationary point", _CLAIM)
    REMARK_2 = ("4.1", 9, "Remark 2, eq. 22", "when θ is stationary for eq. 5", _CLAIM)
    FASTER = ("4.1", 3, "before Definition 4", "the Lagrangian's gradient vanishes faster", _CLAIM)
    DEFINITION_4 = ("4.1", 4, "Definition 4", "stationary as ρ grows", _DEFINITION)
    THEOREM_3 = ("4.1", 4, "Theorem 3", "so is gradient descent's direction", _CLAIM)

    NOT_UNIQUE = ("4.2", 4, "", "one set, which need not be a point",
                  _CLAIM, "SAME_SET", "THEOREM_4")  # fmt: skip
    DEFINITION_5 = ("4.2", 9, "Definition 5, eq. 23", "two forms of the lexicographic set", _CLAIM)
    DEFINITION_6 = ("4.2", 4, "Definition 6", "limit set of the constrained path", _CLAIM)
    THEOREM_4 = ("4.2", 4, "Theorem 4", "limits are lexicographic max-margin directions", _CLAIM)

    SUMMARY = ("5", 8, "", "what §3 shows", _CLAIM, "COROLLARY_1", "THEOREM_1", "DISCARD")
    SHARED = ("5", 1, "§5, shared variables", "left open: sums that share parameters", _CLAIM)
    SUMMARY_4 = ("5", 5, "", "what §4 shows", _CLAIM, "THEOREM_2", "THEOREM_3", "THEOREM_4")
    WEIGHTS = ("5", 1, "§5, weights", "left open: do weights matter in the limit", _CLAIM)

    def __init__(
        self, section: str, sentences: int, called: str, words: str, kind: Kind, *restates: str
    ) -> None:
        self.section, self.sentences, self.called = section, sentences, called
        self.words, self.kind, self.restated = words, kind, restates

    @property
    def restates(self) -> tuple[Passage, ...]:
        """Members whose rows stand for this passage too."""
        return tuple(Passage[name] for name in self.restated)

    @property
    def place(self) -> str:
        """The paper's own name, or the numbers of its sentences within the section."""
        if self.called:
            return self.called
        before = takewhile(lambda other: other is not self, Passage)
        first = 1 + sum(p.sentences for p in before if p.section == self.section)
        last = first + self.sentences - 1
        room = f"§{self.section}" if self.section[0].isdigit() else self.section
        return f"{room}, sentence {first}" + (f" to {last}" if last > first else "")
