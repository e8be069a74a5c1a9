"""The README as a package index shows it: every link there leads somewhere.

An index shows the text alone, without the files beside it. Links to them become absolute below the
project's home; as long as it has none, a file is named and not linked, and a picture left out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]+)\]\((?![a-z]+:|#)(?P<file>[^)\s]+)\)")


def with_absolute_links(text: str, home: str) -> str:
    """Return the text with its links to files below ``home``, or without them if it is empty."""

    def there(link: re.Match[str]) -> str:
        if home:
            return f"{link['picture']}[{link['text']}]({home.rstrip('/')}/{link['file']})"
        if link["picture"]:
            return ""
        named = link["text"] == link["file"]
        return f"`{link['file']}`" if named else f"{link['text']} (`{link['file']}`)"

    return re.sub(r"\n{3,}", "\n\n", LINK.sub(there, text))


class Readme(MetadataHookInterface):
    """Gives the package its description."""

    def update(self, metadata: dict[str, Any]) -> None:
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": with_absolute_links(text, self.config["home"]),
        }
