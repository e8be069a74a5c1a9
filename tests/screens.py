"""Pages as a browser shows them: pictures at three widths, light and dark, and its complaints.

Usage: python tests/screens.py PAGE.html [PAGE.html ...] [--out FOLDER] [--width 390] [--dark]
Chromium is spoken to over a pipe and can reach no other machine.
"""

from __future__ import annotations

import argparse
import base64
import fcntl
import json
import os
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, final

__all__ = ["CHROMIUM", "WIDTHS", "Browser", "Look"]

CHROMIUM: Final = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (found := shutil.which(name))
    ),
    None,
)
WIDTHS: Final = (390, 768, 1280)
"""A phone held upright, a tablet, a laptop."""
PATIENCE: Final = 60.0
"""Seconds for one answer of the browser; the longest page takes two."""
SLICE: Final = 2000
"""Pixels of height per picture: more is shown too small to read."""
CRAMPED: Final = """[...document.querySelectorAll("td, th")].filter(cell => {
  const style = getComputedStyle(cell), line = 1.3 * parseFloat(style.fontSize);
  const text = document.createRange();
  text.selectNodeContents(cell);
  const width = cell.getBoundingClientRect().width, height = text.getBoundingClientRect().height;
  const upright = [...cell.children].every(c => getComputedStyle(c).writingMode[0] === "h");
  return upright && width && width < 6 * parseFloat(style.fontSize) && height > 4 * line;
}).map(cell => cell.textContent.trim().slice(0, 60))"""
"""Cells of a few letters a line, many lines high: nobody reads them."""
HIDDEN: Final = """[...document.querySelectorAll("*")].filter(one =>
  /auto|scroll|hidden/.test(getComputedStyle(one).overflowX)
  && one.scrollWidth > one.clientWidth + 1 && one.querySelector("table, :scope > tbody")
).map(one => (one.id || one.querySelector("[id]")?.id || one.textContent.trim().slice(0, 40))
  + ` ${one.scrollWidth} > ${one.clientWidth}`)"""
"""Tables of which a part is out of sight."""


@final
@dataclass(frozen=True)
class Look:
    """What a page is like at one width.

    Attributes:
        faults: errors and warnings of the console, exceptions of scripts.
        requests: addresses asked for that are no part of the page's own files.
        wide, window: of the page and of what is seen of it, in pixels; wider scrolls sideways.
        cramped: the texts of cells a few letters wide.
        hidden: tables of which a part is out of sight.
    """

    faults: tuple[str, ...]
    requests: tuple[str, ...]
    wide: int
    window: int
    cramped: tuple[str, ...]
    hidden: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Nothing complained, nothing asked for, no sideways scroll."""
        return not self.faults and not self.requests and self.wide <= self.window


@final
class Browser:
    """A headless Chromium with one page, from ``with`` to its end."""

    def __enter__(self) -> Self:
        if CHROMIUM is None:
            raise FileNotFoundError("there is no chromium here")
        self._profile = tempfile.mkdtemp(prefix="screens-")
        theirs, self._to = os.pipe()
        self._from, back = os.pipe()
        # 3 and 4 are the numbers that --remote-debugging-pipe speaks on.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (theirs, back)]
        null = os.open(os.devnull, os.O_RDWR)
        words = [
            CHROMIUM,
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"),
            *("--hide-scrollbars", "--no-first-run", f"--user-data-dir={self._profile}"),
            *("--host-resolver-rules=MAP * ~NOTFOUND", "about:blank"),
        ]
        moved = [(os.POSIX_SPAWN_DUP2, end, to) for end, to in zip(ends, (3, 4), strict=True)]
        moved += [(os.POSIX_SPAWN_DUP2, null, to) for to in (0, 1, 2)]
        self._process = os.posix_spawn(
            CHROMIUM, words, dict(os.environ), file_actions=moved, setpgroup=0
        )
        for end in (theirs, back, null, *ends):
            os.close(end)
        self._read, self._count, self._events = b"", 0, list[Mapping[str, Any]]()
        target = self._ask("Target.createTarget", {"url": "about:blank"})["targetId"]
        joined = self._ask("Target.attachToTarget", {"targetId": target, "flatten": True})
        self._session = joined["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        os.killpg(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)
        for end in (self._to, self._from):
            os.close(end)
        shutil.rmtree(self._profile, ignore_errors=True)

    def look(self, page: Path, width: int, dark: bool = False) -> Look:
        """Open a page at a width and return what it is like."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self._ask("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", {"features": [scheme]})
        self._events.clear()
        self._ask("Page.navigate", {"url": page.resolve().as_uri()})
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            self._hear()
        # Two frames later everything has been laid out, and what fails has failed.
        frames = "new Promise(f => requestAnimationFrame(() => requestAnimationFrame(f)))"
        self.run(frames)
        wide, window = self.run("[document.documentElement.scrollWidth, innerWidth]")
        return Look(
            tuple(word for event in self._events if (word := _fault(event))),
            tuple(word for event in self._events if (word := _request(event))),
            wide, min(window, width), tuple(self.run(CRAMPED)), tuple(self.run(HIDDEN)),
        )  # fmt: skip

    def run(self, script: str) -> Any:
        """Return the value of an expression on the page."""
        asked = {"expression": script, "returnByValue": True, "awaitPromise": True}
        found = self._ask("Runtime.evaluate", asked)
        if "exceptionDetails" in found:
            raise ValueError(found["exceptionDetails"])
        return found["result"].get("value")

    def pictures(self, stem: Path) -> list[Path]:
        """Save the whole page that is open as PNG, from the top down; return the files."""
        box = self._ask("Page.getLayoutMetrics")["cssContentSize"]
        files = []
        for number, top in enumerate(range(0, max(1, int(box["height"])), SLICE)):
            height = min(SLICE, box["height"] - top)
            clip = {"x": 0, "y": top, "width": box["width"], "height": height, "scale": 1}
            asked = {"format": "png", "captureBeyondViewport": True, "clip": clip}
            file = stem.with_name(f"{stem.name}-{number:02d}.png")
            file.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot", asked)["data"]))
            files.append(file)
        return files

    def _ask(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        self._count += 1
        message = {"id": self._count, "method": method, "params": params or {}}
        if hasattr(self, "_session"):
            message["sessionId"] = self._session
        sent = json.dumps(message).encode() + b"\0"
        while sent:
            sent = sent[os.write(self._to, sent) :]
        while True:
            heard = self._hear()
            if heard.get("id") == self._count:
                if "error" in heard:
                    raise ValueError(f"{method}: {heard['error']}")
                return heard["result"]

    def _hear(self) -> Mapping[str, Any]:
        """Return the next message; events are kept."""
        until = time.monotonic() + PATIENCE
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._from], [], [], max(0.0, until - time.monotonic()))
            more = os.read(self._from, 1 << 20) if ready else b""
            if not more:
                raise TimeoutError("the browser does not answer")
            self._read += more
        text, _, self._read = self._read.partition(b"\0")
        heard: Mapping[str, Any] = json.loads(text)
        if "method" in heard:
            self._events.append(heard)
        return heard


def _fault(event: Mapping[str, Any]) -> str:
    """Return what the console says, if it is an error or a warning."""
    told = event["params"]
    match event["method"]:
        case "Runtime.exceptionThrown":
            return str(told["exceptionDetails"].get("exception", {}).get("description", "error"))
        case "Log.entryAdded" if told["entry"]["level"] in ("error", "warning"):
            return str(told["entry"]["text"])
        case "Runtime.consoleAPICalled" if told["type"] in ("error", "warning", "assert"):
            return str(told["args"])
    return ""


def _request(event: Mapping[str, Any]) -> str:
    """Return the address asked for, unless it is a file or part of the page."""
    if event["method"] != "Network.requestWillBeSent":
        return ""
    address = str(event["params"]["request"]["url"])
    return "" if address.startswith(("file:", "data:", "about:")) else address


def main() -> int:
    """Look at every page; print what is not sound."""
    parser = argparse.ArgumentParser(description="Show pages as a browser does.")
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, help="folder of the pictures; none are made without")
    parser.add_argument("--width", type=int, action="append", help="instead of 390, 768 and 1280")
    parser.add_argument("--dark", action="store_true", help="dark only; both without it")
    asked = parser.parse_args()
    worst = 0
    if asked.out:
        asked.out.mkdir(parents=True, exist_ok=True)
    with Browser() as browser:
        for page in asked.pages:
            for width in asked.width or WIDTHS:
                for dark in (True,) if asked.dark else (False, True):
                    found = browser.look(page, width, dark)
                    worst = max(worst, not found.sound)
                    name = f"{page.stem}-{width}-{'dark' if dark else 'light'}"
                    print(f"{name}: {'sound' if found.sound else found}", flush=True)
                    if not dark:
                        for word in (*found.cramped[:5], *found.hidden):
                            print(f"  {word}")
                    if asked.out:
                        browser.pictures(asked.out / name)
    return worst


if __name__ == "__main__":
    sys.exit(main())
