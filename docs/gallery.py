"""The gallery: every problem of the shelf with its mathematics, its stored answer and a picture.

``write(folder)`` makes ``gallery.md`` and one SVG per problem. Stored answers are drawn as they
are stored; only problems that store none are solved. The same shelf gives the same bytes.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

import lexmargin as lm
from lexmargin.errors import LexmarginError
from lexmargin.formulations import Formulation
from lexmargin.ops.base import FloatArray
from lexmargin.ops.numpy import NumpyOps
from lexmargin.plots import BLUE, GREEN, GREY, ORANGE, VERMILION, margin_figure, style
from lexmargin.shelf.build import build, stored_theta
from lexmargin.shelf.library import Library
from lexmargin.shelf.problems import ProblemFile

__all__ = ["FAMILIES", "Entry", "entries", "write"]

FAMILIES = {
    "linear": "Linear scores and norms",
    "lexicographic": "Lexicographic max margin",
    "paths": "Paths over the norm",
    "sums": "Sums of homogeneous parts",
    "networks": "Linear networks",
    "relu": "ReLU networks",
    "flows": "Gradient flow",
    "lies": "Where solvers err",
    "real": "Real data",
}
_PREDICTORS = {
    "linear": r"F(x; \theta) = \theta\cdot x",
    "diagonal": r"F(x; \theta) = \sum_i x_i \prod_l u^{(l)}_i",
    "convolution": r"F(x; \theta) = x\cdot(u^{(1)} \star \cdots \star u^{(L)})",
    "network": r"F(x; \theta) = W_L\,\sigma(W_{L-1}\cdots\sigma(W_1 x))",
    "polynomial": r"F(x; \theta) = \sum_j x_j \prod_i \theta_i^{e_{ji}}",
    "log": r"f_n(\theta) = \log^q(\theta\cdot z_n)",
    "sum": r"F(x; \theta) = \sum_k F^{(k)}(x; \theta_k)",
    "bias": r"F(x; \theta) = b|b|",
}
_GRID = 161
_ANGLES = 721
_WIDTH, _HEIGHT = 5.2, 3.9


@final
@dataclass(frozen=True)
class Entry:
    """One problem with what the page says of it; ``theta`` is None where nothing separates."""

    name: str
    file: ProblemFile
    problem: Formulation
    theta: FloatArray | None
    certificate: lm.Certificate | None
    stored: bool


def entries(library: Library, families: Sequence[str] = ()) -> Iterator[Entry]:
    """Yield every problem of the given families (all by default), families in page order."""
    names = library.problems()
    for family in families or (*FAMILIES, *sorted({n.split("/")[0] for n in names} - {*FAMILIES})):
        for name in names:
            if name.startswith(f"{family}/"):
                yield _entry(library, name)


def _entry(library: Library, name: str) -> Entry:
    file = library.problem(name)
    problem = build(file)
    try:
        theta = stored_theta(file, problem)
    except LexmarginError:
        if file.answer is not None and file.answer.feasible is False:
            return Entry(name, file, problem, None, None, stored=False)
        solution = lm.solve(problem, starts=1, seed=0)
        theta = np.concatenate([block.reshape(-1) for block in solution.theta])
        return Entry(name, file, problem, theta, solution.certificate, stored=False)
    return Entry(name, file, problem, theta, lm.certify(problem, theta), stored=True)


def picture(entry: Entry) -> Any:
    """Return the figure of a problem: the plane, the circle of directions, or the margins."""
    problem, theta = entry.problem, entry.theta
    with style() as plt:
        if isinstance(entry.problem.predictor, lm.Polynomial) and problem.functions.size == 2:
            return _on_the_circle(plt, entry)
        if problem.data.n_features == 2:
            return _in_the_plane(plt, entry)
        if theta is None:
            return _two_components(plt, entry)
        if problem.functions.count == 1:
            return _parameters(plt, problem, theta)
    assert entry.certificate is not None
    values = problem.functions.values(theta)
    degree = problem.functions.homogeneity.degree
    if degree is not None and np.isfinite(entry.certificate.margin) and values.min() > 0:
        values = values * (entry.certificate.margin / values.min())
    figure = margin_figure(values, entry.certificate, entry.name)
    figure.set_size_inches(_WIDTH, _HEIGHT)
    return figure


def three_norms() -> Any:
    """One labelled data set and its separators through the origin in ℓ1, ℓ2 and ℓ∞."""
    X = np.array([[0.5, 2.0], [1.5, 1.4], [2.0, 2.4], [-0.7, -1.6], [-2.1, -1.2], [-1.6, -2.6]])
    data = lm.Dataset(X, [1, 1, 1, -1, -1, -1])
    with style() as plt:
        figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="compressed")
        reach = np.array([-4.6, 4.6])
        for norm, label, colour, dash in (
            (1.0, "ℓ1", VERMILION, "-"),
            (2.0, "ℓ2", "#333333", "--"),
            (np.inf, "ℓ∞", GREEN, "-."),
        ):
            answer = lm.solve(lm.HardMargin(lm.Linear(), data, norm=norm))
            assert answer.certificate is not None and answer.certificate.certified
            a, b = answer.direction
            axes.plot(reach, -a / b * reach, dash, color=colour, lw=1.8, label=f"{label} separator")
        for sign, colour, marker in ((1, BLUE, "o"), (-1, ORANGE, "s")):
            chosen = data.y == sign
            axes.plot(
                *X[chosen].T, marker, color=colour, ms=8, mec="white", label=f"$y_n = {sign:+d}$"
            )
        axes.set_xlim(*reach)
        axes.set_ylim(-3.0, 3.0)
        axes.set_aspect("equal")
        axes.set_xlabel("$x_1$")
        axes.set_ylabel("$x_2$")
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
        return figure


def _axes(plt: Any, **options: Any) -> tuple[Any, Any]:
    return plt.subplots(figsize=(_WIDTH, _HEIGHT), layout="constrained", **options)


def _score(entry: Entry, points: FloatArray) -> FloatArray:
    """F at points of the plane; the logarithm of a score has the sign pattern of the score."""
    assert entry.theta is not None
    if isinstance(entry.problem.predictor, lm.Log):
        return np.asarray(points @ entry.theta)
    ops = NumpyOps()
    blocks = entry.problem.functions.blocks(entry.theta)
    return np.asarray(entry.problem.predictor(ops, blocks, points), dtype=np.float64)


def _in_the_plane(plt: Any, entry: Entry) -> Any:
    """Samples, and where the predictor of the answer changes sign and meets the margin."""
    figure, axes = _axes(plt)
    X, y = entry.problem.data.X, entry.problem.data.y
    one_class = bool(np.all(y == y[0]))
    low, high = np.minimum(X.min(axis=0), 0.0), np.maximum(X.max(axis=0), 0.0)
    reach = 0.35 * max(float((high - low).max()), 1e-12)
    middle, half = (low + high) / 2, float((high - low).max()) / 2 + reach
    across = half * _WIDTH / _HEIGHT
    if entry.theta is not None:
        h = np.linspace(middle[0] - across, middle[0] + across, _GRID)
        v = np.linspace(middle[1] - half, middle[1] + half, _GRID)
        grid = np.stack(np.meshgrid(h, v), axis=-1).reshape(-1, 2)
        score = _score(entry, grid).reshape(_GRID, _GRID)
        level = float(np.min(_score(entry, X) * entry.problem.data.signed))
        top = float(np.abs(score).max()) or 1.0
        # Where every unit is dead the score is 0: a region of its own, drawn in white.
        zero = 1e-9 * top
        levels, colours = [-2 * top, -zero, zero, 2 * top], [ORANGE, "white", BLUE]
        axes.contourf(h, v, score, levels=levels, colors=colours, alpha=0.13)
        if np.mean(np.abs(score) <= zero) < 0.01:
            axes.contour(h, v, score, levels=[0.0], colors=["#333333"], linewidths=1.4)
        if 0 < level < top:
            lines = [level] if one_class else [-level, level]
            axes.contour(h, v, score, levels=lines, colors=[GREY], linewidths=0.9, linestyles="--")
    for label, colour, marker in ((1, BLUE, "o"), (-1, ORANGE, "s")):
        chosen = entry.problem.data.signed == label
        if chosen.any():
            name = "$z_n$" if one_class else f"$y_n = {label:+d}$"
            axes.plot(*X[chosen].T, marker, color=colour, ms=7, mec="white", label=name, zorder=3)
    linear = isinstance(entry.problem.predictor, (lm.Linear, lm.Log))
    if entry.theta is not None and linear:
        arrow = entry.theta / np.linalg.norm(entry.theta) * 0.75 * half
        axes.annotate(
            "", arrow, (0, 0), arrowprops={"arrowstyle": "->", "color": VERMILION, "lw": 1.8}
        )
        axes.plot([], [], color=VERMILION, lw=1.8, label=r"direction $\hat\theta$")
    if entry.theta is None:
        axes.set_title("no parameters separate these samples")
    axes.set_xlim(middle[0] - across, middle[0] + across)
    axes.set_ylim(middle[1] - half, middle[1] + half)
    axes.set_aspect("equal")
    axes.set_xlabel("$x_1$" if not one_class else "$z_1$")
    axes.set_ylabel("$x_2$" if not one_class else "$z_2$")
    axes.legend(frameon=True, framealpha=0.8, edgecolor="none", loc="best", fontsize=8)
    return figure


def _on_the_circle(plt: Any, entry: Entry) -> Any:
    """Every margin along the unit circle of θ, the smallest one heavy, the answers marked."""
    figure, axes = _axes(plt)
    angles = np.linspace(-np.pi, np.pi, _ANGLES)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    values = np.array([entry.problem.functions.values(point) for point in circle])
    colours = (BLUE, ORANGE, GREEN, GREY)
    for n, row in enumerate(values.T):
        axes.plot(np.degrees(angles), row, color=colours[n % 4], lw=1.3, label=f"$f_{n + 1}$")
    axes.plot(np.degrees(angles), values.min(axis=1), color="#333333", lw=2.6, label="smallest")
    answer = entry.file.answer
    assert answer is not None
    points = answer.directions or answer.thetas or ((answer.direction or answer.theta),)
    for point in points:
        assert point is not None
        place = np.array([number.value for number in point])
        place = place / np.linalg.norm(place)
        at, low = np.degrees(np.arctan2(place[1], place[0])), entry.problem.functions.values(place)
        axes.plot(at, low.min(), "*", color=VERMILION, ms=13, mec="white", zorder=4)
    axes.plot([], [], "*", color=VERMILION, ms=10, ls="none", label="stored answer")
    axes.set_yscale("log")
    axes.set_xticks(range(-180, 181, 90))
    axes.set_xlabel("angle of $\\theta$ on the unit circle, degrees")
    axes.set_ylabel("margin $f_n(\\theta)$")
    axes.legend(frameon=False, fontsize=8, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def _parameters(plt: Any, problem: Formulation, theta: FloatArray) -> Any:
    """The entries of θ, block by block: with one sample there is one margin to show."""
    figure, axes = _axes(plt)
    start = 0
    colours = (BLUE, ORANGE, GREEN, VERMILION)
    for k, block in enumerate(problem.functions.blocks(theta)):
        place = np.arange(start, start + block.size)
        colour = colours[k % 4]
        axes.bar(place, block.reshape(-1), width=0.6, color=colour, label=f"block {k + 1}")
        start += block.size
    axes.axhline(0.0, color=GREY, lw=0.8)
    axes.set_xticks(range(start), [str(i + 1) for i in range(start)])
    axes.set_xlim(-0.9, start - 0.1)
    axes.set_xlabel("parameter")
    axes.set_ylabel("value in the stored answer")
    count = len(problem.functions.shapes)
    if count > 1:
        above = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": count}
        axes.legend(frameon=False, fontsize=8, **above)
    return figure


def _two_components(plt: Any, entry: Entry) -> Any:
    """Two principal components of samples that no score of this kind separates."""
    figure, axes = _axes(plt)
    X = entry.problem.data.X - entry.problem.data.X.mean(axis=0)
    right = np.linalg.svd(X, full_matrices=False)[2][:2]
    # A singular vector's sign is arbitrary: its largest entry is made positive.
    right *= np.sign(right[np.arange(2), np.abs(right).argmax(axis=1)])[:, None]
    place = X @ right.T
    for label, colour, marker in ((-1, ORANGE, "s"), (1, BLUE, "o")):
        chosen = entry.problem.data.signed == label
        axes.plot(
            *place[chosen].T, marker, color=colour, ms=3.5, alpha=0.7, mew=0,
            label=f"$y_n = {label:+d}$ ({chosen.sum()})",
        )  # fmt: skip
    axes.set_title("no parameters separate these samples")
    axes.set_xlabel("first principal component")
    axes.set_ylabel("second principal component")
    axes.legend(frameon=True, framealpha=0.8, edgecolor="none", fontsize=8)
    return figure


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        inside = ", ".join(_shown(v) for v in value)
        return f"[{inside}]" if value and isinstance(value[0], list) else f"({inside})"
    text = str(value)
    return text if len(text) <= 24 else f"{text[:18]}…"


def _text(entry: Entry) -> str:
    """The section of one problem, in Markdown."""
    raw = tomllib.loads(entry.file.path.read_text(encoding="utf-8"))
    comment = " ".join(
        line.lstrip("# ")
        for line in entry.file.path.read_text(encoding="utf-8").splitlines()
        if line.startswith("#")
    )
    answer = {k: v for k, v in raw.get("answer", {}).items() if k != "points"}
    note = answer.pop("note", "")
    rows = [f"| {key.replace('_', ' ')} | `{_shown(value)}` |" for key, value in answer.items()]
    cert = entry.certificate
    if cert is not None:
        origin = "of the stored answer, no solver involved" if entry.stored else "of our own answer"
        rows.append(f"| **measured** | **{cert.verdict.value}**, γ = {cert.margin:.6g}; {origin} |")
    facts = [
        f"`{entry.name}` · source: {entry.file.source}.{' ' + comment if comment else ''}",
        "",
        f"{{math}}`{_PREDICTORS[entry.file.predictor.kind]}`",
        "",
    ]
    if rows:
        facts += ["| stored answer | |", "|---|---|", *rows, ""]
    if note:
        facts += [f"Note: {note}.", ""]
    lines = [
        f"({_label(entry.name)})=",
        f"### {entry.file.title}",
        "",
        "::::{container} problem",
        ":::{container} picture",
        f"```{{image}} gallery/{entry.name.replace('/', '-')}.svg",
        f":alt: {entry.file.title}; picture of the answer",
        ":loading: lazy",
        "```",
        "",
        "```text",
        *str(entry.problem.program()).splitlines(),
        "```",
        ":::",
        ":::{container} facts",
        *facts,
        ":::",
        "::::",
        "",
    ]
    return "\n".join(lines)


def _label(name: str) -> str:
    return "problem-" + name.replace("/", "-")


def _save(figure: Any, path: Path) -> None:
    with style() as plt:
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


def write(
    folder: Path, families: Sequence[str] = (), say: Callable[[str], None] = lambda _: None
) -> int:
    """Write ``gallery.md`` and ``gallery/*.svg`` into a folder; return how many problems."""
    pictures = folder / "gallery"
    pictures.mkdir(parents=True, exist_ok=True)
    _save(three_norms(), pictures / "three-norms.svg")
    parts = [_HEAD]
    family, count = "", 0
    for entry in entries(Library(), families):
        if entry.name.split("/")[0] != family:
            family = entry.name.split("/")[0]
            parts.append(f"## {FAMILIES.get(family, family)}\n")
        say(entry.name)
        _save(picture(entry), pictures / f"{entry.name.replace('/', '-')}.svg")
        parts.append(_text(entry))
        count += 1
    (folder / "gallery.md").write_text("\n".join(parts), encoding="utf-8")
    return count


_HEAD = """# Gallery of problems

Every file of the shelf `problems/`: what is asked, where the answer comes from, the program as
`problem.program()` prints it, the answer as the file stores it, and what the certificate measures
at that answer without any solver. `lexmargin show NAME` prints the same in a terminal,
`lexmargin solve NAME` has it solved.

With two features the picture is the plane of the samples: blue where the predictor of the answer
is positive, dashed where it equals the margin. Polynomials in two parameters are drawn along the
unit circle of θ. Otherwise the sorted margins are shown, the support marked.
"""


if __name__ == "__main__":
    made = write(Path(sys.argv[1]), sys.argv[2:], lambda name: print(name, flush=True))
    print(f"{made} problems")
