"""The page of the benchmarks: docs/benchmarks.md and one figure each, from out/bench/*.json.

Nothing is measured here. Usage: python benchmarks/page.py [folder of the JSON files] [docs folder]
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from common import OUT

ORDER: Final = (
    "linear_hard_margin", "linear_ten_minutes", "nonconvex", "relu", "paths", "lexicographic",
    "multipliers", "first_answer", "overhead",
)  # fmt: skip
DOCS: Final = Path(__file__).resolve().parents[1] / "docs"
COLOURS: Final = ("#1b6ca8", "#d1495b", "#edae49", "#66a182", "#8d5a97", "#5c5c5c", "#00798c")
Document = Mapping[str, Any]


def read(folder: Path) -> list[Document]:
    """Return the documents found, in the order of the page."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    known = [found.pop(name) for name in ORDER if name in found]
    return [*known, *found.values()]


def number(value: Any, digits: int = 3) -> str:
    """Return a short number, or a dash for null."""
    if value is None:
        return "–"
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.1e}"
    return f"{value:.{digits}g}" if abs(value) < 1e3 else f"{value:.0f}"


def spread(row: Mapping[str, Any]) -> str:
    """Return ``median (smallest to largest)``."""
    seconds = row["seconds"]
    if not seconds:
        return "no answer"
    if len(seconds) == 1:
        return f"{number(seconds[0])} (one run)"
    return f"{number(row['median'])} ({number(min(seconds))} to {number(max(seconds))})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + [
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows
    ]


def section(document: Document, figure: str) -> list[str]:
    """Return one benchmark as Markdown."""
    lines = [f"## {document['title']}", "", f"![{document['title']}]({figure})", ""]
    if document["targets"]:
        rows = [
            [
                target["what"],
                number(target["reached"]),
                f"{'≥' if target['at_least'] else '≤'} {number(target['wanted'])}",
                "met" if target["met"] else "**not met**",
            ]
            for target in document["targets"]
        ]
        lines += [*table(("goal", "reached", "wanted", ""), rows), ""]
    for remark in document["remarks"]:
        lines += [remark, ""]
    ratios = {(r["instance"], r["method"]): r for r in document["ratios"]}
    rows = []
    for row in document["rows"]:
        ratio = ratios.get((row["instance"], row["method"]))
        memory = None if row["memory"] is None else row["memory"] / 2**20
        rest = [f"{name} {number(value)}" for name, value in row["figures"].items()]
        rows.append(
            [
                row["instance"],
                row["method"],
                spread(row),
                "" if ratio is None else f"{'≥ ' * ratio['bound']}{number(ratio['ratio'])}",
                number(row["stationarity"]),
                number(row["complementarity"]),
                row["verdict"],
                number(memory),
                ", ".join([*rest, *([row["note"]] if row["note"] else [])]),
            ]
        )
    head = ("instance", "method", "CPU s", "× ours", "ε", "δ", "verdict", "MiB", "further")
    lines += [*table(head, rows), ""]
    if document["growth"]:
        rows = [
            [
                grown["method"],
                ", ".join(
                    f"{size:g}: {number(seconds)}"
                    for size, seconds in zip(grown["sizes"], grown["seconds"], strict=True)
                ),
                f"{grown['variable']}^{grown['exponent']:.2f}",
            ]
            for grown in document["growth"]
        ]
        lines += [*table(("growth of", "size: CPU s", "fitted"), rows), ""]
    facts = ", ".join(f"{name} {value}" for name, value in document["machine"].items())
    lines += [f"Measured on {document['date']}: {facts}.", ""]
    return lines


def draw(document: Document, path: Path) -> None:
    """Draw the medians of every method on every instance, and the growth, on log scales."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "lexmargin", "font.size": 9})
    instances = list(dict.fromkeys(row["instance"] for row in document["rows"]))
    methods = list(dict.fromkeys(row["method"] for row in document["rows"]))
    methods.sort(key=lambda method: method != document["ours"])
    grown = document["growth"]
    height = 1.4 + 0.3 * max(len(instances), 4) + 0.18 * len(methods)
    figure, axes = plt.subplots(
        1, 2 if grown else 1, figsize=(11.0 if grown else 8.0, height), squeeze=False,
        width_ratios=(3, 2) if grown else (1,), layout="constrained",
    )  # fmt: skip
    left = axes[0][0]
    for index, method in enumerate(methods):
        found = [
            (instances.index(row["instance"]), row)
            for row in document["rows"]
            if row["method"] == method and row["seconds"]
        ]
        if not found:
            continue
        middle = [row["median"] for _, row in found]
        low = [m - min(row["seconds"]) for m, (_, row) in zip(middle, found, strict=True)]
        high = [max(row["seconds"]) - m for m, (_, row) in zip(middle, found, strict=True)]
        ours = method == document["ours"]
        left.errorbar(
            middle, [y for y, _ in found], xerr=[low, high], fmt="D" if ours else "o",
            markersize=7 if ours else 5, color=COLOURS[index % len(COLOURS)], label=method,
            capsize=2, zorder=3 if ours else 2,
        )  # fmt: skip
    for y, instance in enumerate(instances):
        silent = [
            row["method"]
            for row in document["rows"]
            if row["instance"] == instance and not row["seconds"]
        ]
        if silent:
            left.annotate(
                f"no answer: {', '.join(silent)}", (0.99, y + 0.38), ha="right", va="bottom",
                xycoords=("axes fraction", "data"), fontsize=6, color="#777777",
            )  # fmt: skip
    left.set_xscale("log")
    left.set_yticks(range(len(instances)), [textwrap.fill(name, 36) for name in instances])
    left.set_ylim(len(instances) - 0.5, -0.5)
    left.set_xlabel("CPU seconds: median, smallest to largest")
    left.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper left", ncols=min(4, len(methods)), frameon=False)
    if grown:
        right = axes[0][1]
        for index, one in enumerate(grown):
            label = f"{one['method']}: {one['variable']}^{one['exponent']:.2f}"
            right.plot(
                one["sizes"], one["seconds"], "o-", color=COLOURS[index % len(COLOURS)], label=label
            )
        right.set_xscale("log")
        right.set_yscale("log")
        sizes = sorted({size for one in grown for size in one["sizes"]})
        right.set_xticks(sizes, [f"{size:g}" for size in sizes])
        right.set_xticks([], minor=True)
        right.set_xlabel(" or ".join(dict.fromkeys(one["variable"] for one in grown)))
        right.set_ylabel("CPU seconds")
        right.grid(alpha=0.3)
        figure.legend(*right.get_legend_handles_labels(), loc="outside lower right", fontsize=7)
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    figure.savefig(path.with_suffix(".png"), dpi=110)
    plt.close(figure)


def write(source: Path, docs: Path) -> Path:
    """Write the page and its figures; return the page."""
    documents = read(source)
    if not documents:
        raise SystemExit(f"page: {source} holds no results; run `make bench` first.")
    figures = docs / "benchmarks"
    figures.mkdir(parents=True, exist_ok=True)
    lines = [
        "# Benchmarks",
        "",
        "Every row is CPU seconds, the median of its runs and their range, of ours and of peers in "
        "the same run. ε and δ are the residuals of stationarity and complementarity as *our* "
        "certificate measures them on the answer of each method; a dash means not measured. "
        "Where a method was stopped, the CPU seconds it had bound its ratio from below (≥). "
        "MiB is by how much the work raised the resident memory. Sections of different dates were "
        "measured on machines of different speed: compare ratios. `make bench` measures again and "
        "`make bench-page` writes this page.",
        "",
    ]
    for document in documents:
        draw(document, figures / document["name"])
        lines += section(document, f"benchmarks/{document['name']}.svg")
    page = docs / "benchmarks.md"
    page.write_text("\n".join(lines), encoding="utf-8")
    return page


if __name__ == "__main__":
    given = [Path(word) for word in sys.argv[1:]]
    print(write(*(given + [OUT, DOCS][len(given) :])))
