"""Which arithmetic the libraries use: the machine's fastest, or the same on every x86-64 machine.

Matrix products, convolutions and functions such as exp are computed by code that the libraries
choose for the processor when they load, and each choice rounds differently. In numerics
``portable`` the choice is fixed for all of them, so that any x86-64 processor with AVX2 should
compute the same bits with the same versions, ``--threads`` and device ``cpu``.
"""

from __future__ import annotations

import os
import platform
import sys
from typing import Literal

from bench.errors import ConfigError

Numerics = Literal["native", "portable"]
VARIABLES = {
    "ATEN_CPU_CAPABILITY": "avx2",
    # On processors of other makers than Intel, MKL ignores AVX2 and every other branch but this
    # (Developer Guide of oneMKL, "Specifying Code Branches").
    "MKL_CBWR": "COMPATIBLE",
    # MKL's functions of vectors in that branch round square roots by the processor's approximation
    # of 1/sqrt, and these differ; those for AVX2 (3) round correctly.
    "MKL_VML_DEBUG_CPU_TYPE": "3",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    # NumPy and SciPy; more than one thread would sum in another order.
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENBLAS_NUM_THREADS": "1",
    # What was AVX512_SKX and the like is X86_V4 since NumPy 2.4, which ignores unknown names.
    "NPY_DISABLE_CPU_FEATURES": (
        "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL X86_V4 AVX512_ICL AVX512_SPR"
    ),
}
"""What fixes the choice; the libraries read these variables when they load."""
_LIBRARIES = ("torch", "numpy")


def use_numerics(numerics: Numerics) -> None:
    """Choose the arithmetic of this process, and of processes that it starts.

    Raises
    ------
    ConfigError
        The processor is of another kind, or a library has already chosen for itself.
    """
    if numerics == "native":
        return
    if platform.machine() not in {"x86_64", "AMD64"}:
        raise ConfigError(
            f"numerics 'portable' is for x86-64 processors, and this one is {platform.machine()}; "
            "use --numerics native"
        )
    if any(os.environ.get(name) != value for name, value in VARIABLES.items()):
        loaded = next((name for name in _LIBRARIES if name in sys.modules), None)
        if loaded:
            raise ConfigError(
                f"numerics 'portable' cannot be chosen after {loaded} has been imported; restart "
                f"Python and call bench before you import {loaded}, or run 'bench run --numerics "
                "portable' in a shell"
            )
        os.environ.update(VARIABLES)
