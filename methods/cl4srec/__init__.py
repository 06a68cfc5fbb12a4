"""CL4SRec: pull two random views of a history together, push other users' away."""

from bench.components import MethodEntry, Variant

METHOD = MethodEntry(
    name="cl4srec",
    title="CL4SRec",
    summary="removes nothing; contrasts cropped, masked and reordered views of a history",
    config="bench.methods.cl4srec.config:CL4SRecConfig",
    model="bench.methods.cl4srec.model:CL4SRec",
    citation=(
        "Xie, Sun, Liu, Wu, Gao, Zhang, Ding, Cui. Contrastive Learning for Sequential "
        "Recommendation. ICDE 2022."
    ),
    sampling="positions",
    either_sampling=True,
    cost=2.5,
    variants=(
        Variant("crop", "CL4SRec (crop)", "views are cropped alone", {"views": ("crop",)}),
        Variant("mask", "CL4SRec (mask)", "views are masked alone", {"views": ("mask",)}),
        Variant(
            "reorder", "CL4SRec (reorder)", "views are reordered alone", {"views": ("reorder",)}
        ),
    ),
)
