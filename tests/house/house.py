"""Where the repository's parts lie, for the tests that check the house itself."""

from __future__ import annotations

import ast
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


def module_name(path: Path) -> str:
    """Name under which a file of bench, methods or reports is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts if parts[0] == "bench" else ("bench", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Full names of every module or object that a file imports, wherever it does so."""
    name = module_name(path)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            start = ".".join(base) if node.level else ""
            module = ".".join(part for part in (start, node.module) if part)
            found.update(f"{module}.{alias.name}" for alias in node.names)
    return found


def within(name: str, *packages: str) -> bool:
    """Whether a dotted name is one of some packages or inside one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def fenced(page: Path) -> list[tuple[str, str]]:
    """Language and content of each fenced block of a page."""
    return [(match[1], match[2]) for match in _FENCE.finditer(page.read_text(encoding="utf-8"))]
