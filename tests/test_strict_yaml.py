"""YAML: what PyYAML lets pass or fails at with other errors than its own."""

import pytest
import yaml

from bench.strict_yaml import load_yaml, yaml_problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", "key 'a' appears twice"),
        ("a: {b: 1, b: 2}", "key 'b' appears twice"),
        ("day: 2024-13-45", "'2024-13-45' is no timestamp"),
        ("epochs: 0x_", "'0x_' is no int"),
        ("epochs: !!int abc", "'abc' is no int"),
        ("flag: !!bool perhaps", "'perhaps' is no bool"),
        ("day: !!timestamp abc", "'abc' is no timestamp"),
        ("x: !!python/object/apply:os.system [id]", "could not determine a constructor"),
        ("x: [", "expected the node content"),
        ("[" * 5000, "not valid YAML"),
    ],
)
def test_whatever_is_wrong_is_a_yaml_error(text, problem):
    with pytest.raises(yaml.YAMLError) as caught:
        load_yaml(text)
    assert problem in yaml_problem(caught.value)


def test_the_second_of_two_keys_is_where_the_error_points():
    with pytest.raises(yaml.YAMLError) as caught:
        load_yaml("a: 1\nb: 2\na: 3\n")
    assert caught.value.problem_mark.line == 2


def test_a_merge_may_be_overridden_and_equal_keys_may_stand_apart():
    text = "base: &base {a: 1, b: 2}\nother: {<<: *base, a: 3}\nlist: [{a: 1}, {a: 2}]\n"
    assert load_yaml(text) == yaml.safe_load(text)
    assert load_yaml(text)["other"] == {"a": 3, "b": 2}
