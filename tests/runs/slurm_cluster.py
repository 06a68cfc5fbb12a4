"""A Slurm cluster of this machine alone: munge, a controller and a node on loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "srun", "scontrol", "scancel")
CONFIGURATION = """
ClusterName=bench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,batch_sched_delay=1
ReturnToService=2
KillWait=5
MinJobAge=10
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=4000 State=UNKNOWN
PartitionName=short Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Say what a cluster lacks here; empty where nothing is missing."""
    absent = [name for name in PROGRAMS if _program(name) is None]
    if absent:
        return f"Slurm is not installed: {', '.join(absent)}"
    return "" if os.geteuid() == 0 else "a Slurm cluster is started by root only"


@contextmanager
def cluster(folder: Path, cpus: int = 2) -> Iterator[Mapping[str, str]]:
    """Start a cluster with its files in a folder; yields the variables that its clients need."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    settings = {"folder": folder, "host": socket.gethostname().split(".")[0], "cpus": cpus}
    (folder / "slurm.conf").write_text(CONFIGURATION.format(**settings, ports=_free_ports()))
    variables = {"SLURM_CONF": str(folder / "slurm.conf")}
    files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log"}
    munge = [f"--{flag}={folder}/munge.{end}" for flag, end in files.items()]
    with ExitStack() as stack:
        for command in (
            ["munged", "--foreground", "--force", f"--seed-file={folder}/munge.seed", *munge],
            ["slurmctld", "-D", "-c"],
            ["slurmd", "-D", "-c"],
        ):
            stack.enter_context(_daemon(command, variables, folder))
        _wait_for_answer(variables, "sinfo", "idle")
        try:
            yield variables
        finally:
            subprocess.run(["scancel", "--me"], env={**os.environ, **variables}, check=False)
            _wait_for_answer(variables, "squeue", "")


@contextmanager
def _daemon(command: list[str], variables: Mapping[str, str], folder: Path) -> Iterator[None]:
    program = _program(command[0])
    assert program is not None
    with (folder / f"{command[0]}.out").open("wb") as log:
        process = subprocess.Popen(
            [program, *command[1:]],
            env={**os.environ, **variables},
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
    try:
        if command[0] == "munged":
            _wait_for(folder / "munge.socket")
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def _free_ports() -> list[int]:
    with ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(2)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]


def _wait_for(path: Path) -> None:
    for _ in range(100):
        if path.exists():
            return
        time.sleep(0.1)
    raise AssertionError(f"{path} has not appeared")


def _wait_for_answer(variables: Mapping[str, str], command: str, expected: str) -> None:
    """Ask for the states of nodes or jobs until they are what is expected."""
    asked = [command, "--noheader", "--format=%T"]
    environment = {**os.environ, **variables}
    for _ in range(120):
        done = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip() == expected:
            return
        time.sleep(0.5)
    raise AssertionError(f"{command} says {done.stdout}{done.stderr}")
