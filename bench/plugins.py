"""Plug-ins that are files: components of a Python file or package folder, without packaging.

``--plugin FILE`` and the variable ``BENCH_PLUGINS`` name them. Each holds a descriptor called
``METHOD``, ``BACKBONE``, ``ENCODER`` or ``READER``, as an installed distribution does.
"""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import sys
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from bench.errors import ConfigError
from bench.settings import Settings

_LOG = logging.getLogger(__name__)
_ADDED: dict[Path, None] = {}


def use_plugins(paths: Iterable[Path]) -> None:
    """Register the components of Python files, or of folders of packages, in this process.

    Raise a ConfigError if a path is neither.
    """
    _ADDED.update(dict.fromkeys(_checked(path.absolute()) for path in paths))


def forget_plugins() -> None:
    """Undo :func:`use_plugins`, for tests."""
    _ADDED.clear()


def plugins_in_use() -> tuple[Path, ...]:
    """Return the plug-ins of the environment and those that :func:`use_plugins` added."""
    return tuple(dict.fromkeys([*Settings.from_environment().plugins, *_ADDED]))


def resolve_settings(settings: Settings | None = None) -> Settings:
    """Return settings, by default those of the environment, and put their plug-ins to use."""
    if settings is None:
        return Settings.from_environment()
    if not isinstance(settings, Settings):
        raise ConfigError(f"settings = {settings!r}; give bench.Settings or None")
    use_plugins(settings.plugins)
    return settings


def plugin_modules() -> list[ModuleType]:
    """Import the plug-ins in use; one that does not import is left out with a warning."""
    modules = (_module(path, _written(path)) for path in plugins_in_use())
    return [module for module in modules if module is not None]


def _written(path: Path) -> int:
    """Return when a plug-in was last written, so that one that was corrected is tried again."""
    files = path.rglob("*.py") if path.is_dir() else [path]
    return max((file.stat().st_mtime_ns for file in files if file.is_file()), default=0)


@cache
def _module(path: Path, written: int) -> ModuleType | None:
    del written
    try:
        return _imported(_checked(path))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code may raise anything
        if multiprocessing.parent_process() is None:  # which has warned already
            _LOG.warning("warning: plug-in %s is ignored: %s", path, reason(error))
        return None


def reason(error: BaseException) -> str:
    """Return one line about an exception that the import of a module raised."""
    text = " ".join(str(error).split())
    if isinstance(error, ConfigError | ImportError):
        return text
    return f"{type(error).__name__}: {text}"


def _checked(path: Path) -> Path:
    if path.name == "__init__.py":
        path = path.parent
    if path.is_dir() and not (path / "__init__.py").is_file():
        raise ConfigError(
            f"{path} holds no __init__.py; give a Python file or the folder of a package"
        )
    if not path.is_dir() and not (path.is_file() and path.suffix == ".py"):
        raise ConfigError(f"plug-in {path} is not a Python file; check the path")
    return path


def _imported(path: Path) -> ModuleType:
    """Import a file or package under its own name, without a change of ``sys.path``."""
    name, source = path.stem, path / "__init__.py" if path.is_dir() else path
    known = find_spec(name)
    if known is not None:
        if known.origin is None or not Path(known.origin).samefile(source):
            raise ConfigError(f"another module is called '{name}' ({known.origin}); rename one")
        return importlib.import_module(name)
    inside = [str(path)] if path.is_dir() else None
    spec = spec_from_file_location(name, source, submodule_search_locations=inside)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{source} cannot be imported; give a Python file")
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
