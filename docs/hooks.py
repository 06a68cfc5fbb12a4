"""Pages that ``mkdocs build`` generates: the board, the notebook, the command line, the methods.

A page that the program can print is never kept in the repository, so that it cannot age.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
_LOG = logging.getLogger("mkdocs.hooks.docs")
_MATH = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">(?:\\\(|\\\[)(?P<tex>.*?)(?:\\\)|\\\])</(?P=tag)>',
    re.DOTALL,
)
_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<target>(?!https?:|#|mailto:)[^)\s]+)\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the methods' pages in the navigation."""
    listed = [{title(page): f"methods/{name}.md"} for name, page in method_pages().items()]
    for entry in config.nav:
        if "Methods" in entry:
            entry["Methods"] = [{"Overview": "methods/index.md"}, *listed]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {
        "command-line.md": command_line(),
        "methods/index.md": overview(),
        "notebook.md": notebook(ROOT / "docs" / "quickstart.ipynb"),
    }
    for name, page in method_pages().items():
        pages[f"methods/{name}.md"] = between_pages(page.read_text(encoding="utf-8"))
    pages |= board()
    for uri, content in pages.items():
        files.append(File.generated(config, uri, content=content))
    return files


def board() -> dict[str, str]:
    """Write the published results: a page, and what 'bench site' writes, in a folder."""
    from bench.packs.reference import published_site
    from bench.settings import Settings

    shown = published_site("reference", Settings.from_environment())
    head = "# Leaderboard\n\n[Open the leaderboard](board/index.html): every metric, data set and "
    head += "backbone, with intervals, tests and the command behind each row.\n\n"
    site = {f"board/{name}": content for name, content in shown.files().items()}
    return {"board.md": head + shown.excerpt(), **site}


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Include sections of other files; list on the page of the Python API what is exported."""
    # Where the pages are read without the site, the line is a link.
    markdown = re.sub(r'^.*<!-- (--8<-- "[^"]+") -->$', r"\1", markdown, flags=re.MULTILINE)
    if page.file.src_uri != "api.md":
        return markdown
    import bench

    parts = [markdown]
    for name in getattr(bench, "__all__", ()):
        if not name.startswith("_"):
            found = getattr(bench, name)
            # Where it is defined: a function may share the name of its module.
            parts.append(f"::: {found.__module__}.{found.__qualname__}")
            parts.append(
                f"    options: {{show_root_heading: true, heading_level: 2, heading: {name}}}\n"
            )
    return "\n".join(parts)


def on_page_content(html: str, page: Page, **_: object) -> str:
    """Turn TeX into MathML, which a browser shows without a script, and drop marks of Sphinx."""
    from latex2mathml.converter import convert

    def mathml(match: re.Match[str]) -> str:
        tex = unescape(match["tex"]).strip()
        tex = re.sub(r"\\arg(?![a-z])", r"\\operatorname{arg}", tex)
        tex = re.sub(r"\\tag\{(.+?)\}", r"\\qquad (\1)", tex)
        shown = convert(tex, display="inline" if match["tag"] == "span" else "block")
        if "\\" in shown:  # a command that the converter leaves as it is
            _LOG.warning("%s: TeX that cannot be shown: %s", page.file.src_uri, tex)
        return shown

    html = re.sub(r":(?:attr|class|data|func|meth|mod):(?=<code)", "", html)
    return _MATH.sub(mathml, html.replace("::</p>", ":</p>"))


def notebook(path: Path) -> str:
    """Turn the cells of a notebook into Markdown."""
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
    return "\n\n".join([*parts, "[Download this notebook](quickstart.ipynb).", ""])


def command_line() -> str:
    """Describe every command, from the program itself, as Markdown."""
    import typer.cli
    import typer.main

    from bench.cli.main import app

    command = typer.main.get_command(app)
    context = command.make_context("bench", ["ls", "methods"], resilient_parsing=True)
    text = typer.cli.get_docs_for_click(obj=command, ctx=context, name="bench")
    text = re.sub(r"^# `bench`", "# Command line", text)
    for inner in _below(command):
        # In lists of commands typer cuts the summaries short.
        short, whole = inner.get_short_help_str(), inner.get_short_help_str(limit=200)
        text = text.replace(f"* `{inner.name}`: {short}\n", f"* `{inner.name}`: {whole}\n")
    return re.sub(
        r"^\s*Examples:\n((?:  .+\n)+)",
        r"\nExamples:\n\n```text\n\1```\n",
        text,
        flags=re.MULTILINE,
    )


def _below(command: Any) -> Iterator[Any]:
    for inner in getattr(command, "commands", {}).values():
        yield inner
        yield from _below(inner)


def overview() -> str:
    """List the registered methods and backbones."""
    from bench.components import BACKBONES, METHODS

    written = method_pages()
    lines = ["# Methods and backbones", ""]
    for heading, registry in (("Methods", METHODS), ("Backbones", BACKBONES)):
        lines += [f"## {heading}", "", "| name | title | what it does |", "|---|---|---|"]
        for name in registry.names():
            entry = registry.get(name)
            page = name.replace("-", "_")
            label = f"[`{name}`]({page}.md)" if page in written else f"`{name}`"
            lines.append(f"| {label} | {entry.title} | {entry.summary} |")
        lines.append("")
    return "\n".join(
        [*lines, "`bench show NAME` prints settings, variants and published figures.", ""]
    )


def method_pages() -> dict[str, Path]:
    """Find the page of each method and backbone, by the name of its folder."""
    found = sorted(ROOT.glob("methods/*/README.md")) + sorted(
        ROOT.glob("methods/backbones/*/README.md")
    )
    return {page.parent.name: page for page in found}


def title(page: Path) -> str:
    """Return the first heading of a page, as far as a colon."""
    match = re.search(r"^# ([^:\n]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    return match[1].strip() if match else page.parent.name


def between_pages(text: str) -> str:
    """Point links to another method's README at its page here; drop links to other files."""

    def target(match: re.Match[str]) -> str:
        path, _, anchor = match["target"].partition("#")
        other = re.fullmatch(r"(?:\.\./)+(?:methods/)?(?:backbones/)?(\w+)/README\.md", path)
        if other and other[1] in method_pages():
            return f"[{match['text']}]({other[1]}.md{'#' + anchor if anchor else ''})"
        return match["text"]

    return _LINK.sub(target, text)
