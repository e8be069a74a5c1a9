"""Every key of every TOML file, read off the dataclasses that read them: docs/keys.md.

Usage: python docs/keys.py    writes the page; a test holds the page and the code together.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Final, Union, final, get_args, get_origin

from lexmargin.compare.pages.known_issues import KnownIssue
from lexmargin.formulations import Formulation
from lexmargin.inputs.codec import Field, schema
from lexmargin.inputs.expressions import Number
from lexmargin.inputs.kinds import Words
from lexmargin.predictors import Member, Predictor
from lexmargin.predictors.activations import Activation
from lexmargin.shelf.problems import (
    ELSEWHERE,
    AnswerSpec,
    DataSpec,
    FlowPoint,
    KnownPoint,
    ProblemFile,
)
from lexmargin.shelf.profiles import ClaimRule, Grade, Profile, Word
from lexmargin.shelf.real import RealCase

__all__ = ["MEANINGS", "Key", "page", "tables"]

PAGE: Final = Path(__file__).resolve().parent / "keys.md"

MEANINGS: Final[Mapping[str, str]] = {
    # Parameters of formulations.
    "formulation": "the problem: see [Which norm, which path](choose.md)",
    "norm": "p of the norm",
    "rho": "the size ρ of the parameters, > 0",
    "margin-path.gamma": "the wanted margin γ > 0 of the min-norm form (eq. 7); without it the max "
    "form (eq. 6)",
    "scaled-margin.gamma": "the wanted margin γ > 0 of eq. 14",
    "strength": "μ > 0 of the penalty",
    "power": "of the penalty's norm, ≥ 1",
    "loss": "`exponential` is that of eq. 1; `cross-entropy` is for one score per class",
    "lexicographic.levels": "how many smallest margins are settled, k of Definition 5; all of them "
    "without it",
    "w-set.levels": "how many parts are minimised, one after another",
    "w-set.exponents": "λ > 0 of every block of θ, where terms of different degrees share blocks; "
    "the predictor's own without it",
    "method": "which algorithm",
    # The file.
    "ProblemFile.title": "one line",
    "ProblemFile.source": "where the answer comes from: a proof, a paper with the equation",
    "ProblemFile.predictor": "a table: the score F",
    "ProblemFile.data": "a table: the samples",
    "ProblemFile.start": "a flat θ that local solvers and gradient flow start from",
    "ProblemFile.flow": "tables: where gradient flow from `start` is at which time",
    "ProblemFile.answer": "a table: what is known of the answer, exactly",
    "FlowPoint.time": "of the exponential loss's gradient flow (eq. 4, small steps)",
    "FlowPoint.theta": "the flat θ at that time",
    # Predictors.
    "kind": "which predictor",
    "outputs": "scores: one, or one per class",
    "form": "b·abs(b), b₊² - b₋² with two parameters, b², or b, in this order",
    "log.power": "q ≥ 1 of log^q",
    "log.shift": "s: the score at scale e^s",
    "widths": "units of each hidden layer",
    "activation": "of every hidden unit; its own parameters stand beside it",
    "depth": "number L of factors",
    "bias": "which layers have a bias",
    "leading.predictor": "the predictor F whose leading part it is: a table of its own",
    "width": "units of every layer",
    "branches": "residual branches, one after another",
    "exponents": "one row per feature, one column per parameter",
    "members": "tables, one per summand: its `kind`, its parameters and its `columns`",
    "columns": "of X that this member reads, from 0; all of them without it",
    "relu.power": "of the rectified score, ≥ 1",
    "leaky-relu.slope": "for negative scores",
    # Samples.
    "DataSpec.X": "N rows of p numbers",
    "DataSpec.y": "N labels; of two classes the second in ascending order is +1",
    "DataSpec.weights": "N numbers > 0 that weigh the samples in a loss; with any source",
    "DataSpec.weight": "name of a column of the CSV that holds them",
    "DataSpec.csv": "path of a CSV file, from the folder of this file; it has a header line",
    "DataSpec.label": "name of the CSV's label column; the last column without it",
    "DataSpec.delimiter": '`","`, `";"`, `"\\t"`, `"|"` or `" "` (runs of spaces); told from the '
    "first two lines without it",
    "DataSpec.comment": 'what a line begins with that is skipped: `"#"` without it, `""` for none',
    "DataSpec.index": "name of a column of row names, which is left out; a first column without a "
    "name is one by itself",
    "DataSpec.decimal": '`"."` or `","`; told without it: commas are decimal marks where the '
    "delimiter is another, no number has a point, and not all of them look like 1,234",
    "DataSpec.npz": "path of a NumPy file with arrays `X` and `y`",
    "DataSpec.dataset": "one that scikit-learn ships: `breast_cancer`, `wine`, `iris`, `digits`",
    "DataSpec.positive": "its classes that become +1",
    "DataSpec.negative": "its classes that become -1; all others without it",
    "DataSpec.standardize": "every column less its mean, over its standard deviation",
    # Answers.
    "AnswerSpec.direction": "θ divided by its norm, in the problem's norm",
    "AnswerSpec.directions": "several of equal standing: any of them is right",
    "AnswerSpec.theta": "the solution of the program as stated, its blocks flattened and joined",
    "AnswerSpec.thetas": "several of equal standing",
    "AnswerSpec.objective": "the program's value there",
    "AnswerSpec.margin": "of the unit direction; at the stated scale where there is no degree",
    "AnswerSpec.margins": "of all samples, as `margin`",
    "AnswerSpec.multipliers": "λ of θ = Σ λ_n ∇f_n(θ), up to one positive factor",
    "AnswerSpec.multiplier_dimension": "of the set of all such λ",
    "AnswerSpec.dual": "a λ of the simplex with ‖Σ λ_n z_n‖ = margin in the dual norm: a proof",
    "AnswerSpec.levels": "values of a staged program, in order",
    "AnswerSpec.unique": "whether it is the only solution",
    "AnswerSpec.licq": "whether the gradients of the support are linearly independent",
    "AnswerSpec.mfcq": "whether the Mangasarian-Fromovitz condition holds",
    "AnswerSpec.feasible": "false where no parameters separate the samples",
    "AnswerSpec.verdict": "what the certificate must say",
    "AnswerSpec.tolerance": "relative accuracy of the numbers here, where they are decimals",
    "AnswerSpec.note": "a sentence",
    "AnswerSpec.points": "tables: other points whose nature is known",
    "KnownPoint.theta": "the point, flat",
    "KnownPoint.verdict": "what a certificate may say; `KKT` stands for stationary, at least",
    "KnownPoint.objective": "the program's value there",
    "KnownPoint.multipliers": "as in the answer",
    "KnownPoint.note": "a sentence",
    # Solvers.
    "Profile.backend": "the route to the solver",
    "Profile.solver": "its name there",
    "Profile.handles": "classes of programs it accepts",
    "Profile.finds": "what its answer is when its claim is true",
    "Profile.cite": "key of the paper about it",
    "Profile.requires": "the module that must be importable",
    "Profile.licence": "for people",
    "Profile.install": "for people: the command",
    "Profile.note": "a sentence",
    "Profile.words": "a table: the solver's own names, a list each, for "
    + ", ".join(f"`{word.value}`" for word in Word),
    "Profile.fixed": "a table: options that are always passed",
    "Profile.claim": "a table: what its own words mean",
    "ClaimRule.measure": "what residuals are divided by before they are compared",
    "ClaimRule.absolute": "its tolerance on primal and dual residuals at the grade `default`",
    "ClaimRule.relative": "the same, relative",
    "ClaimRule.gap_absolute": "on the duality gap; not tested without it",
    "ClaimRule.gap_relative": "the same, relative",
    "ClaimRule.infeasible": "on a λ that it takes for a proof that nothing is feasible",
    "ClaimRule.scales_itself": "its residuals are those of a problem that it has scaled",
    "RealCase.dataset": "one that scikit-learn ships",
    "RealCase.positive": "its classes that become +1",
    "RealCase.negative": "its classes that become -1; all others without it",
    "RealCase.support": "the samples that hold the optimum; none where nothing separates",
    "RealCase.standardize": "every column less its mean, over its standard deviation",
    "RealCase.bias": "how a bias enters",
    "RealCase.power": "the samples times 2^power",
    "Grade.tolerance": "asked of every solver; each keeps its own where it is left out",
    "Grade.verified": "the relative residual up to which an answer is accepted",
    "KnownIssue.profile": "the solver profile",
    "KnownIssue.problem": "on which problem",
    "KnownIssue.wrong": "what goes wrong, in a sentence",
    "KnownIssue.honesty": "what the comparison finds of the claim",
    "KnownIssue.ran": "what it finds of the run",
    "KnownIssue.grade": "at which grade",
    "KnownIssue.link": "where it is discussed",
    "KnownIssue.versions": "a table: packages and the versions that it was seen with",
}
"""What a key means: by class or word where the same name means two things."""


@final
@dataclass(frozen=True)
class Key:
    """One key of one table."""

    name: str
    of: str
    values: str
    default: str
    meaning: str


def _plain(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return a hint without its annotations and without None, and the annotations."""
    if get_origin(hint) is Annotated:
        inner, *marks = get_args(hint)
        found, more = _plain(inner)
        return found, (*marks, *more)
    if get_origin(hint) in (Union, types.UnionType):
        others = [one for one in get_args(hint) if one is not type(None)]
        return _plain(others[0]) if len(others) == 1 else (hint, ())
    return hint, ()


def values_of(hint: Any) -> str:
    """Return in words what a key holds."""
    plain, marks = _plain(hint)
    extra = "".join(f' or "{w}"' for m in marks if isinstance(m, Words) for w in m.words)
    if get_origin(plain) in (Union, types.UnionType):
        return " or ".join(values_of(one) for one in get_args(plain))
    if get_origin(plain) in (tuple, frozenset):
        return f"list of {values_of(get_args(plain)[0])}"
    if get_origin(plain) is not None and issubclass(get_origin(plain), Mapping):
        return "table"
    named = {str: "text", bool: "true or false", int: "whole number", float: "number"}
    if plain in named:
        return named[plain] + extra
    if plain is Number:
        return "number, or exact text"
    if isinstance(plain, type) and issubclass(plain, Enum):
        return ", ".join(f"`{member.value}`" for member in plain)
    family = getattr(plain, "family", None)
    if family is not None:
        return "table" if plain is not Activation else ", ".join(f"`{w}`" for w in family.classes)
    return "table"


def _default(one: Field) -> str:
    if one.needed or one.default is MISSING:
        return "needed"
    value = one.default
    if value is None or value == () or isinstance(value, Mapping):
        return "none"
    if isinstance(value, Activation):
        return f"`{Activation.family.word(type(value))}`"
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return str(value).lower()
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`" if value != "" else "none"


def _meaning(one: Field, *owners: str) -> str:
    for name in (*(f"{owner}.{one.name}" for owner in owners), one.name):
        if name in MEANINGS:
            return MEANINGS[name]
    raise KeyError(f"docs/keys.py has no meaning for {one.name} of {', '.join(owners)}")


def _of_class(cls: type[Any], skipped: Sequence[str] = ()) -> list[Key]:
    return [
        Key(one.name, "", values_of(one.hint), _default(one), _meaning(one, cls.__name__))
        for one in schema(cls)
        if one.name not in skipped
    ]


def _of_family(family: Any, skipped: Sequence[str] = ()) -> list[Key]:
    """Return the keys of all classes of a family; equal ones stand in one line."""
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for word, cls in sorted(family.classes.items()):
        # Classes that a test or a user defines elsewhere are no part of the package.
        if not cls.__module__.startswith("lexmargin."):
            continue
        for one in schema(cls):
            if one.name not in skipped:
                known = (one.name, values_of(one.hint), _default(one), _meaning(one, word))
                found.setdefault(known, []).append(f"`{word}`")
    return [
        Key(name, ", ".join(words), values, default, meaning)
        for (name, values, default, meaning), words in found.items()
    ]


def _words(family: Any) -> str:
    return ", ".join(
        f"`{word}`"
        for word, cls in sorted(family.classes.items())
        if cls.__module__.startswith("lexmargin.")
    )


def tables() -> Iterator[tuple[str, str, list[Key]]]:
    """Yield every table: its title, a sentence, and its keys."""
    formulation = Key(
        "formulation", "", _words(Formulation.family), "needed", MEANINGS["formulation"]
    )
    yield "A problem file", "The keys at the top.", [formulation, *_of_class(ProblemFile)]
    yield (
        "Parameters of the formulation",
        "They stand at the top too; each belongs to the formulations named.",
        _of_family(Formulation.family, ELSEWHERE),
    )
    kind = Key("kind", "", _words(Predictor.family), "needed", MEANINGS["kind"])
    yield (
        "`[predictor]`",
        "Each parameter belongs to the kinds named. A member of a sum is a table "
        "`[[predictor.members]]` with the same keys and `columns`.",
        [
            kind,
            *_of_family(Predictor.family),
            *_of_family(Activation.family),
            *_of_class(Member, ("predictor",)),
        ],
    )
    yield "`[data]`", "One of `X`, `csv`, `npz` and `dataset`.", _of_class(DataSpec)
    yield "`[answer]`", "Whatever is known.", _of_class(AnswerSpec)
    yield "`[[answer.points]]`", "Points that are not the answer.", _of_class(KnownPoint)
    yield "`[[flow]]`", "Points of gradient flow.", _of_class(FlowPoint)
    yield "A solver profile", "One file each in `solvers/`.", _of_class(Profile)
    yield "`[claim]` of a profile", "By the solver's own definition.", _of_class(ClaimRule)
    real = "One table each in `problems/_real.toml`: a problem of the collection."
    yield "A real problem of the collection", real, _of_class(RealCase)
    yield "A grade", "One table each in `solvers/_grades.toml`.", _of_class(Grade, ("name",))
    issue = "One table each in `solvers/_known_issues.toml`."
    yield "A known issue of a solver", issue, _of_class(KnownIssue)


_HEAD: Final = """# Every key

Every key of every TOML file, read off the code that reads them (`python docs/keys.py`). An unknown
key is an error that names the nearest one. Numbers may be exact text: `"1/3"`, `"2/sqrt(5)"`,
`"ln(3/2)"`.
"""


def page() -> str:
    """Return the page."""
    lines = [_HEAD]
    for title, sentence, found in tables():
        owned = any(key.of for key in found)
        head = ["key", *(["of"] if owned else []), "holds", "without it", "meaning"]
        lines += [
            f"## {title}",
            "",
            sentence,
            "",
            f"| {' | '.join(head)} |",
            "|---" * len(head) + "|",
        ]
        for key in found:
            cells = [f"`{key.name}`", *([key.of] if owned else [])]
            cells += [key.values, key.default, key.meaning]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
