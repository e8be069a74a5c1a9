"""The page of the benchmarks: docs/benchmarks.md and one figure each, from out/bench/*.json.

Nothing is measured here. What a goal that is not reached costs, and what was tried, stands in
benchmarks/remarks.toml; what the goals were before, in benchmarks/before.json.
Usage: python benchmarks/page.py [folder of the JSON files] [docs folder]
       python benchmarks/page.py --before [folder]    keeps the goals found there as those before
"""

from __future__ import annotations

import json
import re
import statistics
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final, final

from common import ENOUGH, OUT, Role
from figure import draw

ORDER: Final = (
    "linear_margins", "polyhedral_margins", "small_problems", "multipliers", "paths", "nonconvex",
    "certificates", "relu", "waiting", "first_answer", "lexicographic", "overhead",
)  # fmt: skip
HERE: Final = Path(__file__).resolve().parent
DOCS: Final = HERE.parent / "docs"
REMARKS: Final = HERE / "remarks.toml"
BEFORE: Final = HERE / "before.json"
PARTS: Final = ("build", "solve", "certify")
LIMITS: Final = "limits.txt"
"""What `python tests/limits_kept.py --count 200` prints, kept beside the JSON files."""
Document = Mapping[str, Any]


def read(folder: Path) -> list[Document]:
    """Return the documents found, in the order of the page."""
    every = (json.loads(path.read_text()) for path in sorted(folder.glob("*.json")))
    # Files without seeds are of the benchmarks before these.
    found = {one["name"]: one for one in every if one["rows"] and "seeds" in one}
    return [found[name] for name in ORDER if name in found] + [
        document for name, document in found.items() if name not in ORDER
    ]


def number(value: Any, digits: int = 3) -> str:
    """Return a short number, or a dash for null."""
    if value is None:
        return "–"
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.1e}"
    return f"{value:.{digits}g}" if abs(value) < 1e3 else f"{value:.0f}"


def over(values: Sequence[float | None]) -> str:
    """Return a number, or the median and the range of those of several seeds."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return number(known[0] if known else None)
    middle = number(statistics.median(known))
    return f"{middle} ({number(min(known))} to {number(max(known))})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return [*lines, *("| " + " | ".join(row) + " |" for row in cells), ""]


@final
@dataclass(frozen=True)
class Method:
    """The rows of one method on one instance, one for each seed."""

    instance: str
    name: str
    rows: tuple[Mapping[str, Any], ...]

    @property
    def role(self) -> str:
        return str(self.rows[0]["role"])

    @property
    def median(self) -> float | None:
        """Median CPU seconds over the seeds; None where one has no answer."""
        medians = [row["median"] for row in self.rows]
        return None if None in medians else statistics.median(medians)

    @property
    def least(self) -> float | None:
        """The median, or the seconds that were not enough."""
        spent = [row["median"] if row["seconds"] else row["spent"] for row in self.rows]
        return None if None in spent else statistics.median(spent)

    @property
    def spread(self) -> str:
        """Median and range: of the runs of one seed, or of the medians of several."""
        if self.median is None:
            return "no answer"
        one = len(self.rows) == 1
        seconds = self.rows[0]["seconds"] if one else [row["median"] for row in self.rows]
        return f"{number(seconds[0])} (one run)" if len(seconds) == 1 else over(seconds)

    @property
    def residual(self) -> float | None:
        """The largest gap over the seeds, or ε where no bound is known."""
        words = [r["stationarity"] if r["gap"] is None else r["gap"] for r in self.rows]
        known = [word for word in words if word is not None]
        return max(known, default=None)

    @property
    def residuals(self) -> str:
        """All that is known: the gap, ε and δ, each the largest."""
        parts = []
        for word, key in (("gap", "gap"), ("ε", "stationarity"), ("δ", "complementarity")):
            known = [row[key] for row in self.rows if row[key] is not None]
            parts += [f"{word} {number(max(known))}"] if known else []
        return ", ".join(parts) or "–"

    @property
    def memory(self) -> str:
        """MiB at the peak, and as a multiple of the data."""
        used = [row["memory"] for row in self.rows if row["memory"] is not None]
        if not used:
            return "–"
        text = f"{number(max(used) / 2**20)}"
        size = self.rows[0]["data"]
        return text if not size else f"{text} ({number(max(used) / size)} ×)"

    @property
    def memory_of_data(self) -> str:
        """Memory at the peak as a multiple of the data."""
        used = [row["memory"] for row in self.rows if row["memory"] is not None]
        size = self.rows[0]["data"]
        return number(max(used) / size) if used and size else "–"

    @property
    def further(self) -> str:
        """The verdict, the figures and the note."""
        last = self.rows[-1]
        figures = [
            f"{name.removesuffix(' %')} {number(value)}{' %' if name.endswith(' %') else ''}"
            for name, value in last["figures"].items()
        ]
        return ", ".join(part for part in (last["verdict"], *figures, last["note"]) if part)


def methods(document: Document) -> list[Method]:
    """Return the methods of every instance in the order of the rows."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in document["rows"]:
        found.setdefault((row["instance"], row["method"]), []).append(row)
    return [Method(*key, tuple(rows)) for key, rows in found.items()]


def by_instance(document: Document) -> Iterator[tuple[str, list[Method]]]:
    """Yield every instance with its methods."""
    for instance, group in groupby(methods(document), key=lambda method: method.instance):
        yield instance, list(group)


def times(ours: Method | None, other: Method) -> str:
    """Return how many times slower another is than ours, by medians; ≥ where it was stopped."""
    if ours is None or ours.median is None or other.least is None or other is ours:
        return ""
    return f"{'' if other.median is not None else '≥ '}{number(other.least / ours.median)}"


def key(what: str) -> str:
    """Return a goal's name without what may differ from run to run: which peer was the fastest."""
    return re.sub(r" \([^)]*\)(?=$|,)|, at (most|least)", "", what)


def overview(documents: Sequence[Document]) -> list[str]:
    """Return one line for each instance that a user calls something for."""
    rows = []
    for document in documents:
        for instance, group in by_instance(document):
            ours = next((m for m in group if m.role == Role.OURS), None)
            if ours is None:
                continue
            engine = next((m for m in group if m.role == Role.ENGINE), None)
            peers = [m for m in group if m.role == Role.PEER]
            good = [m for m in peers if m.median is not None and not (m.residual or 0) > ENOUGH]
            late = [m for m in peers if m.median is None and m.least is not None]
            peer = min(good or late, key=lambda m: m.least or 0.0, default=None)
            faster = "" if peer is None else times(ours, peer)
            known = peer is not None and peer.median is not None and ours.median is not None
            wins = known and peer.median < ours.median
            rows.append(
                [
                    instance,
                    number(ours.least),
                    "–" if engine is None else number(engine.median),
                    "–" if peer is None else f"{number(peer.least)}, {peer.name}",
                    f"**{faster}**" if wins else faster or "–",
                    f"{number(ours.residual)} / {number(None if peer is None else peer.residual)}",
                    ours.memory_of_data,
                ]
            )
    head = ("instance", "ours, CPU s", "engine", "fastest peer", "peer / ours",
            "residual, ours / peer", "memory / data")  # fmt: skip
    note = "A ratio in bold is below 1: a peer is faster there."
    return ["## What a user waits for", "", note, "", *table(head, rows)]


def goals(document: Document) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Return the goals, each with its targets, one for each seed."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for target in document["targets"]:
        found.setdefault(key(target["what"]), []).append(target)
    return list(found.items())


def wanted(target: Mapping[str, Any]) -> str:
    """Return what a goal asks."""
    return f"{'≥' if target['at_least'] else '≤'} {number(target['wanted'])}"


def word(targets: Sequence[Mapping[str, Any]]) -> str:
    """Return whether a goal is met, and for how many seeds."""
    met = sum(target["met"] for target in targets)
    if met == len(targets):
        return "met"
    return "**NOT met**" if met == 0 else f"**NOT met** (met with {met} of {len(targets)} seeds)"


def shares(documents: Sequence[Document], what: str) -> str:
    """Return how the time of ours is shared out on the instance that a goal is about."""
    for document in documents:
        for row in document["rows"]:
            mine = row["role"] == Role.OURS and what.startswith(f"{row['instance']}: ")
            if mine and "certify %" in row["figures"]:
                return ", ".join(f"{part} {row['figures'][f'{part} %']:.0f} %" for part in PARTS)
    return ""


def missed(documents: Sequence[Document], remarks: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the goals that are not reached; those with one profile stand in one table."""
    every = [goal for document in documents for goal in goals(document)]
    groups: dict[int, list[list[str]]] = {}
    for what, found in every:
        if word(found) == "met":
            continue
        places = (k for k, r in enumerate(remarks) if what.startswith(tuple(r["goals"])))
        reached = over([target["reached"] for target in found])
        row = [what, reached, wanted(found[0]), word(found), shares(documents, what)]
        groups.setdefault(next(places, len(remarks)), []).append(row)
    count = sum(map(len, groups.values()))
    lines = ["## Goals that are not reached", ""]
    lines += [f"{len(every) - count} of {len(every)} goals are met. These are not:", ""]
    for place, rows in sorted(groups.items()):
        lines += table(("goal", "now", "wanted", "", "of ours"), rows)
        if place < len(remarks):
            lines += [f"Profile: {remarks[place]['profile']}", ""]
            lines += [*(f"* Tried: {text}" for text in remarks[place]["tried"]), ""]
    return lines


def section(document: Document, figure: str, before: Mapping[str, float]) -> list[str]:
    """Return one benchmark as Markdown."""
    lines = [f"## {document['title']}", ""]
    if document["targets"]:
        rows = [
            [
                found[0]["what"] if len(found) == 1 else what,
                number(before.get(what)),
                over([target["reached"] for target in found]),
                wanted(found[0]),
                word(found),
            ]
            for what, found in goals(document)
        ]
        lines += table(("goal", "before", "now", "wanted", ""), rows)
    lines += [f"![{document['title']}]({figure})", ""]
    for instance, group in by_instance(document):
        ours = next((m for m in group if m.role == Role.OURS), group[0])
        rows = [[m.name, m.spread, times(ours, m), m.residuals, m.memory, m.further] for m in group]
        head = ("method", "CPU s", "× ours", "residual", "MiB (× data)", "further")
        lines += [f"**{instance}**", "", *table(head, rows)]
    if document["growth"]:
        grown: dict[str, list[Mapping[str, Any]]] = {}
        for one in document["growth"]:
            grown.setdefault(one["method"], []).append(one)
        rows = []
        for method, found in grown.items():
            pairs = zip(found[-1]["sizes"], found[-1]["seconds"], strict=True)
            sizes = ", ".join(f"{size:g}: {number(seconds)}" for size, seconds in pairs)
            exponents = sorted(f"{one['exponent']:.2f}" for one in found)
            text = exponents[0] if len(found) == 1 else f"{exponents[0]} to {exponents[-1]}"
            rows.append([method, f"{found[-1]['variable']} = {sizes}", text])
        lines += table(("growth of", "CPU s at four sizes", "exponent"), rows)
    seeds = ", ".join(str(seed) for seed in document["seeds"])
    facts = ", ".join(f"{name} {value}" for name, value in document["machine"].items())
    lines += [f"Measured on {document['date']}, seeds {seeds}: {facts}.", ""]
    return lines


def limits(path: Path) -> list[str]:
    """Return how far limited solves came beyond their limits, where that was measured."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8").strip()
    return ["## Time limits", "", "```text", text, "```", ""]


INTRODUCTION: Final = """
Every row is CPU seconds (wall seconds where its name says so): the median of its runs and their
range, of ours and of peers in the same run. "Ours" is what a user calls, its certificate included;
the engine is its solver alone. The gap is 1 - margin/bound with a bound that the multipliers of
ours prove, recomputed from the data in NumPy; ε and δ are the residuals of stationarity and
complementarity as our certificate measures them, or as they are recomputed where the row is about
them. A dash means not measured. A peer counts as the fastest where its residual is at most 1e-6;
one that was stopped bounds its ratio from below (≥). MiB is by how much the work raised the
resident memory at its peak, and in brackets that in multiples of the data.

The instances are drawn from a seed, which is the date unless `make bench SEED=…` says another;
`make bench-long` takes five seeds, and the spread is then over these. `make bench-page` writes this
page. "Before" are the same goals on the code of another day, measured by the same scripts.
"""


def write(source: Path, docs: Path, remarks: Path = REMARKS, before: Path = BEFORE) -> Path:
    """Write the page and its figures; return the page."""
    documents = read(source)
    if not documents:
        raise SystemExit(f"page: {source} holds no results; run `make bench` first.")
    figures = docs / "benchmarks"
    figures.mkdir(parents=True, exist_ok=True)
    known = (
        tomllib.loads(remarks.read_text(encoding="utf-8"))["remark"] if remarks.is_file() else []
    )
    kept = json.loads(before.read_text(encoding="utf-8")) if before.is_file() else {"goals": {}}
    introduction = " ".join(INTRODUCTION.strip().replace("\n\n", "\0").split("\n"))
    lines = ["# Benchmarks", "", *introduction.replace("\0", "\n\n").split("\n"), ""]
    if kept["goals"]:
        lines += [f"The goals before: {kept['about']}.", ""]
    lines += overview(documents) + missed(documents, known) + limits(source / LIMITS)
    for document in documents:
        draw(document, figures / document["name"])
        lines += section(document, f"benchmarks/{document['name']}.svg", kept["goals"])
    drawn = {f"{document['name']}.svg" for document in documents}
    for old in figures.glob("*.*"):
        if old.name not in drawn:
            old.unlink()
    page = docs / "benchmarks.md"
    page.write_text("\n".join(lines), encoding="utf-8")
    return page


def keep(source: Path, path: Path = BEFORE) -> Path:
    """Keep the goals of a folder as those before."""
    documents = read(source)
    reached = {
        what: statistics.median(values)
        for document in documents
        for what, found in goals(document)
        if (values := [t["reached"] for t in found if t["reached"] is not None])
    }
    about = f"measured on {documents[0]['date']}, {documents[0]['machine']['processor']}"
    text = json.dumps({"about": about, "goals": reached}, ensure_ascii=False, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    words = sys.argv[1:]
    if words[:1] == ["--before"]:
        print(keep(*map(Path, words[1:] or [str(OUT)])))
    else:
        given = [Path(one) for one in words]
        print(write(*(given + [OUT, DOCS][len(given) :])))
