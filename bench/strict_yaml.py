"""YAML of plain values with unique keys; every problem is a ``YAMLError``."""

from __future__ import annotations

from typing import Any

import yaml

_MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without two of its surprises.

    PyYAML lets the last of two equal keys win, and fails on a scalar that only looks like a date
    or number (``2024-13-45``, ``0x_``) with whatever its conversion raises.
    """

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            name = (key.tag, str(key.value))
            if name in seen and key.tag != _MERGE:
                raise yaml.composer.ComposerError(
                    problem=f"key '{key.value}' appears twice", problem_mark=key.start_mark
                )
            seen.add(name)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, LookupError, AttributeError):
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(
                problem=f"{node.value!r} is no {kind} (in quotes it would be text)",
                problem_mark=node.start_mark,
            ) from None


def load_yaml(text: str) -> Any:
    """Parse a YAML text into plain values.

    Parameters
    ----------
    text
        One document.

    Raises
    ------
    yaml.YAMLError
        The text is not YAML, holds other than plain values, or repeats a key in a mapping.

    Examples
    --------
    >>> load_yaml("epochs: 3")
    {'epochs': 3}
    """
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except RecursionError:
        raise yaml.YAMLError("nested too deeply") from None


def yaml_problem(error: yaml.YAMLError) -> str:
    """Return the reason alone, without the excerpt that ``str(error)`` shows over several lines."""
    return str(getattr(error, "problem", None) or "not valid YAML")
