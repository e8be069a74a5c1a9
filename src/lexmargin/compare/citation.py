"""A file to cite a comparison by: CFF 1.2, with the versions and the machine that it is from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lexmargin.compare.pages.table import Table
from lexmargin.compare.sources import digest
from lexmargin.errors import LexmarginError
from lexmargin.inputs.json_text import canonical
from lexmargin.shelf.library import Library
from lexmargin.shelf.profiles import Profile
from lexmargin.version import VERSION, installed

__all__ = ["as_citation"]

_MESSAGE: Final = (
    "If you use this comparison, please cite it, the solvers compared, and lexmargin itself."
)


def as_citation(table: Table, library: Library) -> str:
    """Return a comparison as a citation file; the same rows give the same one.

    Args:
        table: its rows.
        library: where the profiles of the solvers are.
    """
    profiles = list(dict.fromkeys(row.profile for row in table.rows if row.entered))
    problems = {row.problem for row in table.rows}
    identity = digest(canonical(sorted(row.key for row in table.rows)))
    machine = "; ".join(f"{name}: {word}" for name, word in table.machine.items())
    lines = [
        "cff-version: 1.2.0",
        f"message: {_quoted(_MESSAGE)}",
        f"title: {_quoted(f'{len(profiles)} solvers on {len(problems)} max-margin problems')}",
        "type: dataset",
        f"version: {_quoted(identity)}",
        "authors:",
        f"  - name: {_quoted('lexmargin contributors')}",
        f"abstract: {_quoted(f'{len(table.rows)} runs, judged by certificates. {machine}')}",
        "references:",
        *_software("lexmargin", VERSION, "BSD-3-Clause", ""),
    ]
    for name in profiles:
        try:
            profile: Profile | None = library.profile(name)
        except LexmarginError:
            profile = None
        if profile is not None:
            version = installed(profile.requires) or ""
            lines += _software(name, version, profile.licence, profile.cite)
        else:
            lines += _software(name, "", "", "a model of the authors' own")
    return "\n".join(lines) + "\n"


def _software(title: str, version: str, licence: str, cite: str) -> Iterator[str]:
    yield "  - type: software"
    yield f"    title: {_quoted(title)}"
    yield "    authors:"
    yield f"      - name: {_quoted(f'the authors of {title}')}"
    if version:
        yield f"    version: {_quoted(version)}"
    notes = [f"licence: {licence}"] * bool(licence) + [f"cite: {cite}"] * bool(cite)
    if notes:
        yield f"    notes: {_quoted('; '.join(notes))}"


def _quoted(text: str) -> str:
    """Return a YAML string in double quotes, which JSON's are."""
    return canonical(text).decode()
