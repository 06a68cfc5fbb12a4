"""YAML: what PyYAML lets pass or fails at with other errors than its own."""

from itertools import pairwise

import pytest
import yaml

from bench.errors import ConfigError
from bench.plan.spec import Spec
from bench.strict_yaml import YamlError, load_yaml


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", "key 'a' appears twice"),
        ("a: {b: 1, b: 2}", "key 'b' appears twice"),
        ("epochs: 0x_", "'0x_' is no int"),
        ("epochs: !!int abc", "'abc' is no int"),
        ("flag: !!bool perhaps", "'perhaps' is no bool"),
        ("day: !!timestamp abc", "'abc' is no timestamp"),
        ("x: !!python/object/apply:os.system [id]", "could not determine a constructor"),
        ("x: [", "expected the node content"),
        ("[" * 5000, "nested too deeply"),
        ("epochs: 010", "'010' begins with a zero"),
        ("epochs: 08", "'08' begins with a zero"),
        ("seeds: [010, 011]", "'010' begins with a zero"),
        ("epochs: 1:30", "'1:30' is a number to base 60"),
        ("epochs: 190:20:30.15", "'190:20:30.15' is a number to base 60"),
        ("1: a\n'1': b", "key '1' appears twice"),
        ("a: &a [*a]", "an alias refers to what it is part of"),
        ('title: "a\\e[31mb"', "the control character U+001B is in a text"),
        ('title: "\\ud800"', "a lone surrogate, is in a text"),
        ("title: \x01", "special characters are not allowed"),
    ],
)
def test_whatever_is_wrong_is_a_yaml_error(text, problem):
    with pytest.raises(YamlError) as caught:
        load_yaml(text)
    assert problem in str(caught.value)


def test_the_second_of_two_keys_is_where_the_error_points():
    with pytest.raises(YamlError) as caught:
        load_yaml("a: 1\nb: 2\na: 3\n")
    assert caught.value.line == 3


def test_a_merge_may_be_overridden_and_equal_keys_may_stand_apart():
    text = "base: &base {a: 1, b: 2}\nother: {<<: *base, a: 3}\nlist: [{a: 1}, {a: 2}]\n"
    assert load_yaml(text) == yaml.safe_load(text)
    assert load_yaml(text)["other"] == {"a": 3, "b": 2}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e3", 1000),
        ("2e+1", 20),
        ("1e-3", 0.001),
        ("1.5e3", 1500.0),
        ("2024-01-01", "2024-01-01"),
        ("0x10", 16),
        ("0.5", 0.5),
        ("0", 0),
        ("'010'", "010"),
        ("!!str 1:30", "1:30"),
        ('"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
        ("127.0.0.1:5000", "127.0.0.1:5000"),
    ],
)
def test_scalars_mean_what_they_say(text, value):
    read = load_yaml(text)
    assert (type(read), read) == (type(value), value)


@pytest.mark.parametrize("link", ["[{}]", "{{<<: [{}]}}"])
def test_aliases_that_expand_without_end_are_refused(link):
    """9^8 values of 500 bytes: billion laughs, by lists and by merges."""
    lines = ["a: &a {k: x, l: y}"]
    for last, name in pairwise("abcdefgh"):
        lines.append(f"{name}: &{name} " + link.format(", ".join([f"*{last}"] * 9)))
    with pytest.raises(YamlError) as caught:
        load_yaml("\n".join(lines))
    assert str(caught.value) == "its aliases expand to more than 100,000 values"


def test_messages_quote_no_more_than_a_line():
    content = load_yaml(f"seeds: {{a: {'x' * 10_000}}}\ndatasets: [planted]")
    with pytest.raises(ConfigError) as caught:
        Spec.parse(content, "spec.yaml")
    assert len(str(caught.value)) < 600
    with pytest.raises(YamlError) as caught:
        load_yaml(f"a: 1\n? {'x' * 10_000}\n: 1\n? {'x' * 10_000}\n: 2")
    assert len(str(caught.value)) == 300


def test_seeds_batches_and_names():
    text = "name: 123\ndatasets: [planted]\nseeds: [1e3]\ntraining: {batch_size: 1e3}"
    spec = Spec.parse(load_yaml(text), "spec.yaml")
    assert (spec.name, spec.seeds, spec.training.batch_size) == ("123", (1000,), 1000)
    assert Spec.parse(load_yaml("name: 2024-01-01\ndatasets: [a]"), "x").name == "2024-01-01"
    for value in ("1.10", "yes"):
        with pytest.raises(ConfigError, match=r"key 'name' = .*: text is expected; put"):
            Spec.parse(load_yaml(f"name: {value}\ndatasets: [a]"), "x")
