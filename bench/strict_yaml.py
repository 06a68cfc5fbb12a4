"""YAML of plain values with unique keys that means what it seems to say."""

from __future__ import annotations

import re
from copy import deepcopy
from functools import lru_cache
from typing import Any

import yaml

from bench.errors import shortened

_MERGE = "tag:yaml.org,2002:merge"
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_FLOAT = "tag:yaml.org,2002:float"
_EXPONENT = re.compile(
    r"(?P<number>[-+]?[0-9][0-9_]*)(?P<part>\.[0-9_]*)?[eE](?P<power>[-+]?[0-9]+)"
)
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class YamlError(ValueError):
    """A text is not such YAML; the message is the reason, ``line`` (from 1) where, if known."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(shortened(reason))
        self.line = line


MOST_NODES = 100_000
"""Values of a document, those after an alias counted each time that it appears."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without some of its surprises.

    PyYAML reads ``010`` as 8 and ``1:30`` as 90, takes ``1e3`` for text and ``2024-01-01`` for a
    date, lets the last of two equal keys win, expands aliases without end, and fails on a scalar
    that only looks like a number (``0x_``) with whatever its conversion raises.
    """

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None and _expanded_size(node, {}) > MOST_NODES:
            raise yaml.composer.ComposerError(
                problem=f"its aliases expand to more than {MOST_NODES:,} values",
                problem_mark=node.start_mark,
            )
        return node

    def compose_scalar_node(self, anchor: dict[Any, yaml.Node]) -> yaml.ScalarNode:
        plain = self.peek_event().implicit[0]  # type: ignore[no-untyped-call]
        node = super().compose_scalar_node(anchor)
        problem = _ambiguity(node.value) if plain else ""
        try:  # JSON writes a character beyond U+FFFF as the escapes of two surrogates
            node.value = node.value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            problem = "half a character, a lone surrogate, is in a text; remove it"
        if control := _CONTROL.search(node.value):
            problem = f"the control character U+{ord(control[0]):04X} is in a text; remove it"
        if problem:
            raise yaml.composer.ComposerError(problem=problem, problem_mark=node.start_mark)
        return node

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
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
            value, kind = shortened(str(node.value), 80), node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(
                problem=f"{value!r} is no {kind} (in quotes it would be text)",
                problem_mark=node.start_mark,
            ) from None

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        """Return ``1e3`` as the whole number that it is."""
        found = _EXPONENT.fullmatch(node.value)
        if found and found["part"] is None and 0 <= int(found["power"]) <= 18:
            whole: int = int(found["number"]) * 10 ** int(found["power"])
            return whole
        return float(super().construct_yaml_float(node))


_Loader.add_constructor(_FLOAT, _Loader.construct_yaml_float)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_FLOAT, re.compile(f"{_EXPONENT.pattern}$"), list("-+0123456789"))


def _ambiguity(text: str) -> str:
    """Say why a plain scalar is refused that YAML 1.1 reads as another number than people do."""
    if _LEADING_ZERO.fullmatch(text):
        means = "begins with a zero, which YAML may take for octal; write it without"
    elif _BASE_60.fullmatch(text):
        means = "is a number to base 60 in YAML; write a plain number"
    else:
        return ""
    return f"'{text}' {means} (in quotes it would be text)"


def _expanded_size(node: yaml.Node, known: dict[int, int]) -> int:
    """Count the values of a node, those after an alias each time that it appears."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    size = known.get(id(node))
    if size is None:
        known[id(node)] = 0  # until it is counted
        pairs = isinstance(node, yaml.MappingNode)
        parts = (part for pair in node.value for part in pair) if pairs else node.value
        size = known[id(node)] = 1 + sum(_expanded_size(part, known) for part in parts)
    if size == 0:
        raise yaml.composer.ComposerError(
            problem="an alias refers to what it is part of", problem_mark=node.start_mark
        )
    return size


def load_yaml(text: str) -> Any:
    """Parse a YAML text, one document, into plain values.

    Raises
    ------
    YamlError
        The text is not YAML, holds other than plain values, control characters or numbers with
        leading zeros or colons, repeats a key in a mapping, or its aliases expand beyond
        :data:`MOST_NODES` values.

    Examples
    --------
    >>> load_yaml("epochs: 3")
    {'epochs': 3}
    >>> load_yaml("[1e3, 2024-01-01]")
    [1000, '2024-01-01']
    """
    try:
        return deepcopy(_parsed(text))
    except RecursionError:
        raise YamlError("nested too deeply") from None
    except yaml.YAMLError as error:
        reason = getattr(error, "problem", None) or getattr(error, "reason", None)
        mark = getattr(error, "problem_mark", None)
        raise YamlError(str(reason or "not valid YAML"), mark and mark.line + 1) from None


@lru_cache(maxsize=64)
def _parsed(text: str) -> Any:
    """Parse a text; every report of a process reads the same cards."""
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()
