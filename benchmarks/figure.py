"""The figure of one benchmark: medians on every instance, growth below them, on log scales."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

__all__ = ["draw"]

COLOURS: Final = ("#1b6ca8", "#d1495b", "#edae49", "#66a182", "#8d5a97", "#5c5c5c", "#00798c")
WIDTH: Final = 4.8
"""Inches: narrow, so that letters stay readable on a telephone."""


def draw(document: Mapping[str, Any], path: Path) -> None:
    """Draw the medians of every method, and the growth, into ``path`` as SVG."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "lexmargin", "font.size": 9})
    instances = list(dict.fromkeys(row["instance"] for row in document["rows"]))
    methods = list(dict.fromkeys(row["method"] for row in document["rows"]))
    methods.sort(key=lambda method: method != document["ours"])
    grown = document["growth"]
    heights = [0.9 + 0.42 * len(instances) + 0.2 * len(methods) / 2] if instances else []
    heights += [2.4 + 0.2 * len(grown)] if grown else []
    figure, axes = plt.subplots(
        len(heights), 1, figsize=(WIDTH, sum(heights)), squeeze=False, height_ratios=heights,
        layout="constrained",
    )  # fmt: skip
    if instances:
        _medians(document, axes[0][0], instances, methods)
    if grown:
        _growth(grown, axes[-1][0])
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    plt.close(figure)


def _medians(
    document: Mapping[str, Any], axis: Any, instances: list[str], methods: list[str]
) -> None:
    for index, method in enumerate(methods):
        rows = [row for row in document["rows"] if row["method"] == method and row["seconds"]]
        if not rows:
            continue
        middle = [row["median"] for row in rows]
        low = [m - min(row["seconds"]) for m, row in zip(middle, rows, strict=True)]
        high = [max(row["seconds"]) - m for m, row in zip(middle, rows, strict=True)]
        ours = method == document["ours"]
        axis.errorbar(
            middle, [instances.index(row["instance"]) for row in rows], xerr=[low, high],
            fmt="D" if ours else "o", markersize=7 if ours else 5, label=method, capsize=2,
            color=COLOURS[index % len(COLOURS)], zorder=3 if ours else 2,
            markerfacecolor="none" if index >= len(COLOURS) else None,
        )  # fmt: skip
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    if high < 10.0 * low:
        # Less than a decade has ticks that overlap.
        axis.set_xlim(low / 3.0, 3.0 * high)
    axis.set_yticks(range(len(instances)), [textwrap.fill(name, 20) for name in instances])
    axis.set_ylim(len(instances) - 0.5, -0.5)
    axis.set_xlabel("CPU seconds: median, smallest to largest")
    axis.grid(axis="x", alpha=0.3)
    axis.legend(
        loc="lower center", bbox_to_anchor=(0.3, 1.0), ncols=2, frameon=False, fontsize=8
    )  # fmt: skip


def _growth(grown: list[Mapping[str, Any]], axis: Any) -> None:
    for index, one in enumerate(grown):
        label = f"{one['method']}: {one['variable']}^{one['exponent']:.2f}"
        colour = COLOURS[index % len(COLOURS)]
        axis.plot(one["sizes"], one["seconds"], "o-", color=colour, label=label)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel(" or ".join(dict.fromkeys(one["variable"] for one in grown)))
    axis.set_ylabel("CPU seconds")
    axis.grid(alpha=0.3)
    axis.legend(loc="upper center", bbox_to_anchor=(0.4, -0.18), fontsize=8, frameon=False)
