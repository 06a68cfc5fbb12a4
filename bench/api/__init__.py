"""The Python interface: run, read, compare, report and tune; the command line calls it too."""

from bench.api.exchange import denoise, export_ranks, import_ranks
from bench.api.model import TrainedModel
from bench.api.reports import compare, report
from bench.api.results import Results, load
from bench.api.run import preview, run, tune
from bench.plan.cluster import Cluster, Slurm

__all__ = [
    "Cluster",
    "Results",
    "Slurm",
    "TrainedModel",
    "compare",
    "denoise",
    "export_ranks",
    "import_ranks",
    "load",
    "preview",
    "report",
    "run",
    "tune",
]
