"""What holds in every test: missing backends are skipped aloud, and no reason is unlisted."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from lexmargin.judge.certificate import Certificate
from lexmargin.judge.reasons import template_of

REQUIRED_BACKENDS = frozenset({"cvxpy", "pyomo", "casadi", "cyipopt"})
REQUIRE_VARIABLE = "LEXMARGIN_REQUIRE_BACKENDS"


@pytest.fixture(scope="module")
def interrupts() -> Generator[None]:
    """Ctrl-C and hang-up as in a terminal, in children: background jobs ignore the one, nohup both.

    A handler is none after the start of another program; what is ignored stays so.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    hung_up = hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    if hung_up:
        signal.signal(signal.SIGHUP, lambda *_: None)
    yield
    signal.signal(signal.SIGINT, before)
    if hung_up:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the checkout."""
    from wheel_stubs import ROOT, built, once

    folder = once(tmp_path_factory, "wheel", lambda part: built("wheel", ROOT, part))
    return next(folder.glob("lexmargin-*.whl"))


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """The folder that the wheel is installed in, to be put on the path."""
    from wheel_stubs import installed, once

    return once(tmp_path_factory, "installed", lambda part: installed(wheel, part))


def needed_backends(item: pytest.Item) -> set[str]:
    """The modules named by `@pytest.mark.backend(...)` on the item."""
    return {str(name) for mark in item.iter_markers("backend") for name in mark.args}


def pytest_runtest_setup(item: pytest.Item) -> None:
    needed = needed_backends(item)
    missing = sorted(name for name in needed if importlib.util.find_spec(name) is None)
    if missing:
        pytest.skip(f"backend not installed: {', '.join(missing)}")


def forbid_skip(report: pytest.TestReport | pytest.CollectReport, needed: set[str]) -> None:
    """Turn a skip that concerns a required backend into a failure, whoever skipped and how."""
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    words = set(re.findall(r"\w+", reason))
    if os.environ.get(REQUIRE_VARIABLE) == "1" and REQUIRED_BACKENDS & (needed | words):
        report.outcome = "failed"
        report.longrepr = f"skipped although its backend is required here: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    forbid_skip(report, needed_backends(item))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    forbid_skip(report, set())
    return report


# -- reasons ---------------------------------------------------------------------------------------


def watched(kind: type[Any], said: Callable[[Any], tuple[str, ...]]) -> None:
    """Have every object of a class say only reasons that are listed (docs/conventions.md)."""
    made = kind.__init__

    def init(self: Any, *args: Any, **fields: Any) -> None:
        made(self, *args, **fields)
        for reason in said(self):
            if template_of(reason) is None:
                raise AssertionError(f"no listed reason: {reason!r}")

    kind.__init__ = init  # type: ignore[method-assign]


watched(Certificate, lambda found: found.reasons)
