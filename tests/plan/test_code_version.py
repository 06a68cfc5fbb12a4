"""A result's code hash sees what changes results and nothing else."""

import subprocess
import sys
import textwrap

import pytest

from bench import plugins
from bench.components import BACKBONES, ENCODERS, METHODS, MethodEntry
from bench.errors import ConfigError
from bench.plan import code_version as module
from bench.plan.code_version import check_unchanged, code_version, package_version

SOURCE = '''
"""Module."""
import math

SCALE = 2
"""Attribute of the module."""

class Model:
    """Class."""

    size: int = 3
    """Attribute of the class."""

    def forward(self, x):
        """Function."""
        if x < 0:
            raise ValueError("x is negative", f"{x} is", x)
        return math.sin(x) * 2  # comment
'''


def entry(package):
    return MethodEntry("m", "M", "", f"{package}.config:C", f"{package}.model:Model", "")


def package(folder, source):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").touch()
    (folder / "model.py").write_text(source)


def forget(patch, root):
    """Hash a package anew each time; the engine stays as it is and is hashed once."""
    kept, anew = module._hash_of, module._hash_of.__wrapped__
    patch.setattr(
        module, "_hash_of", lambda name: (anew if name.split(".")[0] == root else kept)(name)
    )


def version(folder, source, monkeypatch, home="apkg", **extra):
    """Hash of a package of that source under its own root."""
    module._imports.cache_clear()
    for loaded in [key for key in sys.modules if key.split(".")[0] == "apkg"]:
        del sys.modules[loaded]
    package(folder / "apkg", source)
    for name, content in extra.items():
        package(folder / "apkg" / name, content)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(folder))
        forget(patch, "apkg")
        return code_version([entry(home), None])


def test_comments_docstrings_layout_and_place_do_not_count(tmp_path, monkeypatch):
    plain = version(tmp_path / "a", SOURCE, monkeypatch)
    same = (
        SOURCE.replace('"""Function."""\n', '"""Longer\n\n        text."""\n')
        .replace("# comment", "")
        .replace("math.sin(x) * 2", "(math.sin(x)\n            * 2)")
        .replace('"""Module."""', "# no docstring")
    )
    assert same != SOURCE
    assert version(tmp_path / "b", same, monkeypatch) == plain


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Attribute of the module."""', '"""Other words."""'),
        ('"""Attribute of the class."""', ""),
        ('"x is negative"', '"x must not be negative"'),
        ('f"{x} is"', 'f"{x:.3f} stands"'),
        ('f"{x} is"', '"is"'),
    ],
)
def test_docstrings_of_attributes_and_texts_of_errors_do_not_count(tmp_path, monkeypatch, old, new):
    plain = version(tmp_path / "a", SOURCE, monkeypatch)
    assert SOURCE.replace(old, new) != SOURCE
    assert version(tmp_path / "b", SOURCE.replace(old, new), monkeypatch) == plain


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("* 2", "* 3"),
        ("math.sin", "math.cos"),
        ("* 2", "* 2.0"),
        ("self, x)", "self, x, y=None)"),
        ("ValueError", "TypeError"),
        ('is", x)', 'is", -x)'),
        ("size: int = 3", "size: int = 4"),
        ("size: int = 3", 'size: str = "3"'),
    ],
)
def test_code_counts(tmp_path, monkeypatch, old, new):
    plain = version(tmp_path / "a", SOURCE, monkeypatch)
    assert version(tmp_path / "b", SOURCE.replace(old, new), monkeypatch) != plain


def test_a_new_module_in_the_package_counts(tmp_path, monkeypatch):
    plain = version(tmp_path / "a", SOURCE, monkeypatch)
    assert version(tmp_path / "b", SOURCE, monkeypatch) == plain
    assert version(tmp_path / "c", SOURCE, monkeypatch, sub="x = 1") != plain


IMPORTS = {
    "relative": "from ..shared import model",
    "relative name": "from ..shared.model import x",
    "absolute": "import apkg.shared.model",
    "absolute name": "from apkg.shared.model import x",
    "inside a function": "def f():\n    from apkg.shared import model",
    "through another": "from apkg import between",
}


@pytest.mark.parametrize("statement", IMPORTS.values(), ids=IMPORTS)
def test_what_a_component_imports_of_its_own_distribution_counts(tmp_path, monkeypatch, statement):
    def hashed(place, shared, unrelated="x = 1"):
        modules = {"sub": statement, "shared": shared, "unrelated": unrelated}
        between = "from apkg.between.model import y"
        with monkeypatch.context() as patch:
            folder = tmp_path / place
            package(folder / "apkg" / "between", "from apkg.shared import model\ny = 1")
            (folder / "apkg" / "between" / "__init__.py").write_text(between)
            return version(folder, SOURCE, patch, home="apkg.sub", **modules)

    plain = hashed("a", "x = 1")
    assert hashed("b", "x = 2") != plain
    assert hashed("c", "x = 1", "x = 2") == plain


def test_a_plugin_of_one_file_counts_with_the_methods_that_it_builds_on(tmp_path, monkeypatch):
    def found(place, source):
        for cached in (module._imports, plugins._module):
            cached.cache_clear()
        (tmp_path / place).mkdir()
        (tmp_path / place / "alone_plugin.py").write_text(source)
        monkeypatch.setenv("BENCH_PLUGINS", str(tmp_path / place / "alone_plugin.py"))
        [loaded] = plugins.plugin_modules()
        alone = MethodEntry("m", "M", "", f"{loaded.__name__}:C", f"{loaded.__name__}:Model", "")
        names.clear()
        version = code_version([alone])
        del sys.modules["alone_plugin"]
        return version

    forget(monkeypatch, "alone_plugin")
    names, hashed = [], module._hash_of
    monkeypatch.setattr(module, "_hash_of", lambda name: names.append(name) or hashed(name))
    source = f"from bench.methods.hsd.model import HSD\n{SOURCE}"
    plain = found("a", source)
    assert {"alone_plugin", "bench.methods.hsd.model"} <= set(names)
    assert found("b", f"# a comment\n{source}") == plain
    assert found("c", source.replace("* 2", "* 3")) != plain


def test_code_that_changes_after_it_was_read_is_refused(tmp_path, monkeypatch):
    """A notebook edits a model: the process may have imported the code from before."""
    package(tmp_path / "edited", SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    plain = code_version([entry("edited")])
    package(tmp_path / "edited", SOURCE)
    check_unchanged([entry("edited")])
    package(tmp_path / "edited", SOURCE.replace("* 2", "* 3"))
    assert code_version([entry("edited")]) == plain
    with pytest.raises(ConfigError, match=r"edited/model.py has changed .* restart Python"):
        check_unchanged([entry("edited")])


def test_a_method_that_builds_on_another_depends_on_it(monkeypatch):
    assert module._with_imports({"bench.methods.backbones.gru4rec"}) == {
        "bench.methods.backbones.gru4rec"
    }
    monkeypatch.setattr(module, "_imports", {"m": {"n.a", "n"}, "n.a": set(), "n": {"m"}}.get)
    assert {"m", "n"} <= module._with_imports({"m"})


def test_everything_the_engine_imports_is_hashed_or_harmless():
    harmless = {"bench.components", "bench.config", "bench.errors", "bench.files", "bench.version"}
    harmless |= {"bench.settings", "bench.strict_yaml", "bench.data.interactions"}
    harmless |= {"bench.data.noise"}  # the fingerprint covers what it draws
    plain_data = {"bench.plan.experiment", "bench.plan.progress", "bench.plan.result"}
    plain_data |= {"bench.plan.variants"}
    imported = {
        name
        for engine in module.ENGINE
        for place, path in module._sources(engine)
        for name in module._imported(module._parse(path), module._package_of(engine, place))
        if name.partition(".")[0] == "bench" and module._exists(name)
    }
    assert {
        name
        for name in imported - harmless - plain_data
        if not module._covered(name, {*module.ENGINE, *module.TEXTS})
    } == set()


def test_what_chooses_texts_counts_for_cells_with_an_encoder_only(monkeypatch):
    parts = [METHODS.get("none")], [METHODS.get("none"), ENCODERS.get("random")]
    before = [code_version(part) for part in parts]
    hashed = module._hash_of
    changed = lambda name: "changed" if name == "bench.text.texts" else hashed(name)  # noqa: E731
    monkeypatch.setattr(module, "_hash_of", changed)
    after = [code_version(part) for part in parts]
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)


def test_an_encoders_own_hash_sees_what_encoders_share_and_no_engine(monkeypatch):
    names = []
    hashed = module._hash_of
    monkeypatch.setattr(module, "_hash_of", lambda name: names.append(name) or hashed(name))
    package_version("bench.text.encoders.smollm2.model")
    assert {"bench.text.encoders.smollm2", "bench.text.encoders.tokens"} <= set(names)
    assert all(name.startswith("bench.text.encoders.") for name in names)


def test_each_component_counts_and_their_order_does_not():
    none, gru, sas = METHODS.get("none"), BACKBONES.get("gru4rec"), BACKBONES.get("sasrec")
    assert code_version([none, gru]) == code_version([gru, none, None])
    assert len({code_version(parts) for parts in ([none], [none, gru], [none, sas])}) == 3


def test_the_engine_counts(monkeypatch):
    before = code_version([])
    monkeypatch.setattr(module, "ENGINE", tuple(n for n in module.ENGINE if n != "bench.seeds"))
    assert code_version([]) != before


def test_another_process_finds_the_same():
    script = textwrap.dedent("""
        from bench.components import BACKBONES
        from bench.plan.code_version import check_unchanged, code_version, package_version
        print(code_version([BACKBONES.get("gru4rec")]))
    """)
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd="/"
    )
    assert found.stdout.strip() == code_version([BACKBONES.get("gru4rec")])


def test_a_module_that_is_gone_is_named():
    with pytest.raises(ConfigError, match="'no_such_package' is not installed"):
        code_version([entry("no_such_package")])
