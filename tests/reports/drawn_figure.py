"""A figure as an object, to look into what is drawn."""

import pytest

from bench.reports.figures import draw as figures
from bench.reports.report import draw


def figure_of(root, kind, target, *arguments, **options):
    """Draw a figure of a store into a file and return it."""
    seen, original = [], figures.make_figure

    def spy(*given):
        seen.append(original(*given))
        return seen[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "make_figure", spy)
        draw(root, kind, target, *arguments, **options)
    return seen[0]
