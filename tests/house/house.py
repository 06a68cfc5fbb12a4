"""Paths of the repository and contents of its pages, for the tests that check them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINKS = ("methods", "datasets", "reports")
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("**/*.md")),
    *sorted((ROOT / "methods").glob("**/README.md")),
]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def sources(*folders: str) -> list[Path]:
    """Python files of top-level folders, each once: links are not followed."""
    return [path for folder in folders for path in _walk(ROOT / folder)]


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
        elif path.suffix == ".py":
            yield path


def fenced(page: Path) -> list[tuple[str, str]]:
    """Language and content of each fenced block of a page."""
    return [(match[1], match[2]) for match in _FENCE.finditer(page.read_text(encoding="utf-8"))]
