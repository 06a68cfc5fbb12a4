"""A fair benchmark of denoisers for sequential recommendation."""

import os

# torch reads this once, before its first tensor: large tensors then begin at whole pages, on huge
# ones where Linux has them. Otherwise glibc leaves gaps between them that the next step's tensors
# do not fit, and a process grows with every epoch to several times what it holds.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

__version__ = "0.1.0"
