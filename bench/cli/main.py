"""The ``bench`` command: one verb a file, heavy imports inside the verbs."""

from __future__ import annotations

import sys

import typer

from bench.cli import (
    audit,
    data,
    diff,
    doctor,
    embed,
    ls,
    new,
    report,
    run,
    show,
    track,
    tune,
    validate,
    verify,
)
from bench.cli.options import ManyValues, with_plugins
from bench.errors import BenchError

app = typer.Typer(
    name="bench",
    help="A fair benchmark of denoisers for sequential recommendation.",
    epilog="Begin with: bench run planted (needs no network), then: bench run",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: rich takes longer to import than the rest
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(cls=ManyValues, epilog=run.EPILOG)(with_plugins(run.run))
app.command(cls=ManyValues, epilog=tune.EPILOG)(with_plugins(tune.tune))
app.command(cls=ManyValues, epilog=report.EPILOG)(with_plugins(report.report))
app.command(cls=ManyValues, epilog=embed.EPILOG)(with_plugins(embed.embed))
app.command(epilog=audit.EPILOG)(audit.audit)
app.command(cls=ManyValues, epilog=ls.EPILOG)(with_plugins(ls.ls))
app.command(cls=ManyValues, epilog=show.EPILOG)(with_plugins(show.show))
app.command(cls=ManyValues, epilog=diff.EPILOG)(with_plugins(diff.diff))
app.command(cls=ManyValues, epilog=verify.EPILOG)(with_plugins(verify.verify))
app.command(cls=ManyValues, epilog=validate.EPILOG)(with_plugins(validate.validate))
app.command(epilog=new.EPILOG)(new.new)
app.command(epilog=doctor.EPILOG)(doctor.doctor)
app.add_typer(data.app, name="data")
app.add_typer(track.app, name="track")


def main() -> None:
    """Run the command line; a problem that a user can mend is one sentence and exit code 2."""
    try:
        app()
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the command's own output
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201
        sys.exit(130)
    except OSError as error:
        # A path may be forbidden, too long, or a folder, wherever it is looked at.
        if error.filename is None:
            raise
        reason = f"cannot use {error.filename}: {error.strerror}"
        print(f"error: {reason}; check the path and its permissions", file=sys.stderr)  # noqa: T201
        sys.exit(2)
