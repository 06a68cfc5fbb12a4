"""Version of the package, and of the checkout that it runs from."""

import subprocess
from pathlib import Path

__version__ = "0.1.0"


def checkout() -> str:
    """Return the commit of the Git checkout that runs, with ``-dirty`` where files have changed.

    Empty if the package does not run from a checkout.
    """
    here = Path(__file__).resolve()

    def git(*words: str) -> str:
        command = ("git", "-C", str(here.parent), *words)
        return subprocess.check_output(  # noqa: S603
            command, stderr=subprocess.DEVNULL, timeout=10, text=True
        ).strip()

    try:
        git("ls-files", "--error-unmatch", here.name)
        return git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return ""
