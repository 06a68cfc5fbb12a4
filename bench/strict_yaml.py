"""YAML of plain values in which a key stands once; whatever is wrong is a ``YAMLError``."""

from __future__ import annotations

from typing import Any

import yaml

_MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, less two surprises.

    It lets the last of two equal keys win, and a scalar that looks like a date or number and is
    none (``2024-13-45``, ``0x_``) fails with whatever its conversion raises.
    """

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            name = (key.tag, str(key.value))
            if name in seen and key.tag != _MERGE:
                raise yaml.composer.ComposerError(
                    problem=f"key '{key.value}' stands there twice", problem_mark=key.start_mark
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
    """Give the plain value that a YAML text means.

    Parameters
    ----------
    text
        One document.

    Raises
    ------
    yaml.YAMLError
        It is not YAML, holds other than plain values, or a key stands twice in a mapping.

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
    """Give the reason alone, without the excerpt that ``str(error)`` shows over several lines."""
    return str(getattr(error, "problem", None) or "not valid YAML")
