"""``bench new``: write the files of a method, backbone or encoder that work as they are."""

from __future__ import annotations

from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from typing import Annotated, Literal

import typer

from bench.components import KINDS
from bench.errors import ConfigError
from bench.registry import NAME, NAME_RULE

EXAMPLES = """
  bench new method my-denoiser
  bench new backbone my-recommender --out ~/models/my-recommender
"""
FILES = {
    "{package}/__init__.py": "{kind}.py.j2",
    "{package}/config.py": "{kind}_config.py.j2",
    "{package}/model.py": "{kind}_model.py.j2",
    "{package}/card.yaml": "{kind}_card.yaml.j2",
    "tests/test_{package}.py": "{kind}_test.py.j2",
    "pyproject.toml": "pyproject.toml.j2",
}
"""Paths in the written folder and their templates, of which each kind has some."""
TRY = {
    "method": "bench run planted --backbone sasrec --method none {name} --set epochs=1",
    "backbone": "bench run planted --backbone {name} --method none --set epochs=1",
    "encoder": "bench embed planted --encoder {name}",
}


def new(
    kind: Annotated[
        Literal["method", "backbone", "encoder"],
        typer.Argument(help="method, backbone or encoder.", show_default=False),
    ],
    name: Annotated[
        str, typer.Argument(help="Name to register, such as my-denoiser.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; must not exist.", show_default="./NAME")
    ] = None,
) -> None:
    """Write a package with a component that passes its tests.

    Replace the example that it computes.
    """
    folder = (out or Path(name)).expanduser()
    package = _package(kind, name)
    if folder.exists():
        raise ConfigError(f"{folder} exists; name another folder with --out")
    names = {
        "kind": kind,
        "name": name,
        "package": package,
        "title": name.replace("-", " ").replace("_", " ").capitalize(),
        "class_name": "".join(part.capitalize() for part in package.split("_")),
    }
    for path, content in _render(kind, names).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
        typer.echo(str(target))
    typer.echo(f"\nTest it:    pytest {folder}")
    typer.echo(f"Run it:     {TRY[kind].format(name=name)} --plugin {folder / package}")
    typer.echo(f"Install it: pip install -e {folder}")


def _package(kind: str, name: str) -> str:
    """Return the import name of a component; make sure that neither name is taken."""
    if not NAME.fullmatch(name):
        raise ConfigError(f"{kind} name '{name}' {NAME_RULE}; choose another")
    if name in KINDS[kind].names():
        raise ConfigError(f"a {kind} named '{name}' is registered already; choose another name")
    package = name.replace("-", "_").replace(".", "_").strip("_")
    if not package.isidentifier():
        raise ConfigError(f"{kind} name '{name}' must begin with a letter; choose another")
    if iskeyword(package):
        raise ConfigError(f"{kind} name '{name}' is a word of Python's syntax; choose another")
    if find_spec(package) is not None:
        raise ConfigError(f"a Python module named '{package}' is installed; choose another name")
    return package


def _render(kind: str, names: dict[str, str]) -> dict[str, str]:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("bench.cli"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - the templates are Python and TOML, not HTML
    )
    known = set(templates.list_templates())
    return {
        path.format(**names): templates.get_template(template).render(names)
        for path, template in ((path, name.format(kind=kind)) for path, name in FILES.items())
        if template in known
    }
