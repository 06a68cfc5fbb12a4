"""Random seeds from named axes, never from the order of execution."""

from __future__ import annotations

from bench.hashing import content_hash


def seed_for(*axes: str | int) -> int:
    """Derive a 63-bit seed from the names of what may vary.

    Parameters
    ----------
    *axes
        For example ``("ml-100k", "sasrec", repetition, "dropout", epoch)``. Two calls agree
        exactly when all axes agree.

    Examples
    --------
    >>> seed_for("ml-100k", 1, "order", 0) == seed_for("ml-100k", 1, "order", 0)
    True
    >>> seed_for("ml-100k", 1, "order", 0) == seed_for("ml-100k", 1, "order", 1)
    False
    """
    return int(content_hash(list(axes))[:16], 16) >> 1
