"""Numerics ``portable``: the published bits, on any x86-64 processor with AVX2."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from bench import numerics
from bench.errors import ConfigError
from bench.settings import Settings
from bench.training import device

HERE = Path(__file__).parent
PUBLISHED = json.loads((HERE / "portable.json").read_text())
CPU = torch.device("cpu")


def minor(text):
    return text.split(".")[:2]


def needs(*libraries):
    """Skip where this machine cannot have the published bits."""
    if platform.machine() not in {"x86_64", "AMD64"}:
        pytest.skip("numerics portable is for x86-64 processors")
    if device.arithmetic()["blas_branch"] is None:
        pytest.skip("torch's matrix products are not MKL's")
    for name in libraries:
        if minor(PUBLISHED["versions"][name]) != minor(version(name)):
            pytest.skip(f"checksums are those of {name} {PUBLISHED['versions'][name]}")


def computed(*flags):
    command = [sys.executable, str(HERE / "portable_checksums.py"), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow  # half a minute
def test_every_method_has_the_published_ranks_and_texts_the_published_vectors():
    needs("torch", "numpy", "scipy", "scikit-learn")
    found = computed("--encoder", "random", "tfidf")
    assert found["functions"] == PUBLISHED["functions"]
    assert found["ranks"] == PUBLISHED["ranks"]
    assert found["vectors"] == {name: PUBLISHED["vectors"][name] for name in found["vectors"]}


@pytest.mark.network
def test_language_models_have_the_published_vectors():
    needs("torch", "transformers")
    found = computed("--no-ranks", "--encoder", "minilm", "smollm2")
    assert found["vectors"] == {name: PUBLISHED["vectors"][name] for name in found["vectors"]}


@pytest.mark.slow
@pytest.mark.network
def test_the_default_comparison_has_the_published_ranks():
    needs("torch", "numpy", "transformers")
    found = computed("--no-ranks", "--default", "--encoder")
    assert found["default"] == PUBLISHED["default"]


def test_a_process_that_has_loaded_a_library_cannot_choose(monkeypatch):
    monkeypatch.delenv("MKL_CBWR", raising=False)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    with pytest.raises(ConfigError, match=r"cannot be chosen after torch has been imported; .*"):
        numerics.use_numerics("portable")


def test_another_kind_of_processor_is_refused(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    numerics.use_numerics("native")
    with pytest.raises(ConfigError, match="for x86-64 processors, and this one is arm64"):
        numerics.use_numerics("portable")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"cpu_capability": "DEFAULT"}, "needs a processor with AVX2, and torch uses DEFAULT"),
        ({"cpu_capability": "AVX512"}, "needs a processor with AVX2, and torch uses AVX512"),
        ({"blas_branch": "OFF"}, r"they are MKL 2024\.2 \(OFF\)"),
        ({"blas": "open", "blas_branch": None}, r"they are open \(no branch\)"),
    ],
)
def test_libraries_that_compute_otherwise_are_named(monkeypatch, found, message):
    right = {"cpu_capability": "AVX2", "blas": "MKL 2024.2", "blas_branch": "COMPATIBLE"}
    monkeypatch.setattr(device, "arithmetic", lambda: right)
    device.configure(CPU, 1, "portable")
    monkeypatch.setattr(device, "arithmetic", lambda: right | found)
    with pytest.raises(ConfigError, match=message):
        device.configure(CPU, 1, "portable")


def test_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(device, "select_device", lambda name: torch.device("cuda"))
    settings = Settings.from_environment({})
    assert device.computation(settings).device == "cuda"
    with pytest.raises(ConfigError, match="for the CPU; add --device cpu"):
        device.computation(replace(settings, numerics="portable"))


def test_nothing_calls_a_function_that_depends_on_the_processor_even_so():
    called = re.compile(r"(?<!math)(?<!np)\.(?:asin|acos|arcsin|arccos|tan|log10)_?\(")
    package = Path(numerics.__file__).parent
    sources = [*package.rglob("*.py"), *(package.parent / "methods").rglob("*.py")]
    assert len(sources) > 100
    assert [path for path in sources if called.search(path.read_text(encoding="utf-8"))] == []


def test_environment_and_settings_name_the_numerics():
    assert Settings.from_environment({}).numerics == "native"
    assert Settings.from_environment({"BENCH_NUMERICS": "portable"}).numerics == "portable"
    assert Settings.from_environment({}, numerics="portable").numerics == "portable"
    for given, changes in (({"BENCH_NUMERICS": "fast"}, {}), ({}, {"numerics": "fast"})):
        with pytest.raises(ConfigError, match="numerics 'fast' are unknown; use native or"):
            Settings.from_environment(given, **changes)
