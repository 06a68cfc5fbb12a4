"""The ``bench`` command: one verb per file, heavy imports inside the verbs."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, NoReturn, TextIO, cast

import typer

from bench.cli import data, exchange, store, track
from bench.cli.options import ManyValues
from bench.display import SafeStream
from bench.errors import BenchError, ConfigError, printable
from bench.version import __version__

_LOG = logging.getLogger("bench")
"""Its level is what ``--quiet``, ``--verbose`` and ``--debug`` set."""
app = typer.Typer(
    name="bench",
    epilog="Begin with: bench run planted (needs no network), then: bench run",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: rich takes longer to import than the rest
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_VERBS = (
    "run",
    "tune",
    "report",
    "embed",
    "audit",
    "ls",
    "show",
    "diff",
    "verify",
    "submit",
    "site",
    "validate",
    "denoise",
    "new",
    "doctor",
)
"""In the order of the help; each is a function of the module of the same name."""
for name in _VERBS:
    module = import_module(f"bench.cli.{name}")
    epilog = f"\n\b\nExamples:{module.EXAMPLES}"
    app.command(cls=ManyValues, epilog=epilog)(getattr(module, name))
for group in (data.app, store.app, track.app, exchange.importing, exchange.exporting):
    app.add_typer(group)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"bench {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and stop.", is_eager=True, callback=_show_version
        ),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show neither progress nor warnings.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also show what is read, made and reused.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Like --verbose, and show tracebacks of errors.")
    ] = False,
) -> None:
    """A fair benchmark of denoisers for sequential recommendation."""  # noqa: D401 - the help
    del version
    levels = {logging.DEBUG: debug, logging.INFO: verbose, logging.ERROR: quiet}
    _LOG.setLevel(next((level for level, asked in levels.items() if asked), logging.NOTSET))
    if verbose or debug:
        logging.basicConfig(format="%(message)s", stream=sys.stderr)


def main() -> None:
    """Run the command line; answer a user's mistake with one sentence and exit code 2."""
    _make_streams_safe()
    try:
        try:
            _check_words(sys.argv)
            app()
        finally:
            sys.stdout.flush()
    except BenchError as error:
        _fail(str(error), error)
    except OSError as error:
        if error.filename is not None:
            # A path may be forbidden, too long, or a folder, wherever it is looked at.
            reason = f"cannot use {error.filename}: {error.strerror}"
            _fail(f"{reason}; check the path and its permissions", error)
        if error.errno not in {errno.ENOSPC, errno.EIO, errno.EBADF}:
            raise
        # What is left in the buffer would fail again when the program ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _fail(f"cannot write the output: {error.strerror}; stored results are kept", error)


def _check_words(words: Sequence[str]) -> None:
    """Refuse what no file of results could hold: bytes that are not text in this locale."""
    for word in words:
        if any("\ud800" <= character <= "\udfff" for character in word):
            shown = word.encode(errors="surrogateescape").decode(errors="replace")
            raise ConfigError(f"'{shown}' is not text in UTF-8; rename it, or set a UTF-8 locale")


def _fail(sentence: str, error: Exception) -> NoReturn:
    if _LOG.isEnabledFor(logging.DEBUG):
        traceback.print_exception(error)
    print(f"error: {printable(sentence)}", file=sys.stderr)  # noqa: T201
    sys.exit(2)


def _make_streams_safe() -> None:
    """Make sure that messages never stop the work, and replace characters that cannot be shown.

    If standard error were closed, the next opened file would take its place.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - open until the program ends
    elif isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    sys.stderr = cast("TextIO", SafeStream(sys.stderr))
