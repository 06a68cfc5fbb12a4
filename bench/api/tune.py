"""Search settings: ``bench.tune``."""

from __future__ import annotations

import pandas as pd


def tune() -> pd.DataFrame:
    """Search settings."""
    raise NotImplementedError
