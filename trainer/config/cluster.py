"""The processes that train one network together, as TF_CONFIG or SLURM tells each of them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from schedules.declaration import ABSENT, refuse, within

ROLES = ("chief", "worker")
"""What TF_CONFIG may call a process that trains; a chief comes before the workers."""
EXAMPLE = (
    '\'{"cluster": {"worker": ["10.0.0.1:12345", "10.0.0.2:12345"]}, '
    '"task": {"type": "worker", "index": 0}}\''
)


class WorkerLostError(Exception):
    """Another worker that is gone, or no longer answers."""


class Cluster(NamedTuple):
    """The addresses of all workers, and which of them this process is; the first one leads."""

    addresses: tuple[str, ...]
    task: int

    @property
    def leads(self) -> bool:
        return self.task == 0

    @classmethod
    def found(cls, port: int, environment: Mapping[str, str] = os.environ) -> Cluster:
        """What the environment tells; under SLURM, workers listen from `port` on.

        Raises:
            Refused: when it tells nothing, or contradicts itself.
        """
        if written := environment.get("TF_CONFIG"):
            with within("TF_CONFIG"):
                return _configured(written)
        if "SLURM_PROCID" in environment:
            return _allotted(environment, port)
        rule = "finds neither TF_CONFIG nor the variables of SLURM's srun"
        raise refuse("device", "multi_worker", rule, f"export TF_CONFIG={EXAMPLE}")


def _configured(written: str) -> Cluster:
    """The cluster of a TF_CONFIG."""
    try:
        config = json.loads(written)
    except ValueError as error:
        raise refuse("", written, f"is no JSON: {error}", f"TF_CONFIG={EXAMPLE}") from None
    cluster, task = (_mapping(config, name) for name in ("cluster", "task"))
    if odd := [role for role in cluster if role not in ROLES]:
        rule = "has no part in this training, where every process is a worker"
        raise refuse("cluster", odd[0], rule, "known: chief, worker")
    listed = {role: _addresses(role, cluster[role]) for role in ROLES if role in cluster}
    addresses = tuple(address for role in listed.values() for address in role)
    if twice := [address for address in addresses if addresses.count(address) > 1]:
        raise refuse("cluster", twice[0], "is the address of two workers")
    if len(listed.get("chief", ())) > 1:
        raise refuse("cluster.chief", list(listed["chief"]), "must be a single address")
    role, index = task.get("type"), task.get("index")
    if role not in listed:
        hint = f"known: {', '.join(listed)}"
        raise refuse("task.type", role, "is none of those that the cluster lists", hint)
    count = len(listed[role])
    if type(index) is not int or not 0 <= index < count:
        rule = f"must be a whole number from 0 to {count - 1}, as the cluster lists {count}"
        raise refuse("task.index", ABSENT if index is None else index, rule)
    before = len(addresses) - count if role == "worker" else 0
    return Cluster(addresses, before + index)


def _mapping(config: object, name: str) -> Mapping[str, Any]:
    found = config.get(name) if isinstance(config, dict) else None
    if not isinstance(found, dict) or not found:
        value = ABSENT if found is None else found
        raise refuse(name, value, "must be a mapping", f"TF_CONFIG={EXAMPLE}")
    return found


def _addresses(role: str, listed: object) -> tuple[str, ...]:
    if not isinstance(listed, list) or not listed:
        raise refuse(f"cluster.{role}", listed, "must be a list of addresses", "host:12345")
    for address in listed:
        _, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
        if not (port.isdecimal() and 0 < int(port) < 2**16):
            raise refuse(f"cluster.{role}", address, "must be an address", "host:12345")
    return tuple(listed)


def _allotted(environment: Mapping[str, str], port: int) -> Cluster:
    """The cluster of the tasks that `srun` started."""

    def told(*names: str) -> tuple[str, str]:
        """The first of the variables that is there, and its value."""
        for name in names:
            if name in environment:
                return name, environment[name]
        hint = "start the workers by srun"
        raise refuse(names[0], ABSENT, "is missing, though SLURM_PROCID is there", hint)

    def number(*names: str) -> tuple[str, int]:
        name, value = told(*names)
        if not value.isdecimal():
            raise refuse(name, value, "must be a whole number")
        return name, int(value)

    listed, nodes = told("SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST")
    spread, dealt = told("SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE")
    counted, total = number("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", "SLURM_NPROCS")
    _, index = number("SLURM_PROCID")
    hosts, tasks = list(_hosts(listed, nodes)), list(_tasks(spread, dealt))
    if len(hosts) != len(tasks):
        rule = f"tells of {len(tasks)} nodes, and {listed} = '{nodes}' of {len(hosts)}"
        raise refuse(spread, dealt, rule)
    if sum(tasks) != total:
        rule = f"are {sum(tasks)} tasks, and {counted} says {total}"
        raise refuse(spread, dealt, rule)
    if index >= total:
        raise refuse("SLURM_PROCID", index, f"must be below {counted} = {total}")
    on = [node for node, count in enumerate(tasks) for _ in range(count)]
    if "SLURM_NODEID" in environment and number("SLURM_NODEID")[1] != on[index]:
        rule = f"runs task {index}, which is on node {on[index]} where tasks are dealt in blocks"
        value = environment["SLURM_NODEID"]
        raise refuse("SLURM_NODEID", value, rule, "srun --distribution=block")
    places = [
        f"{host}:{port + place}"
        for host, count in zip(hosts, tasks, strict=True)
        for place in range(count)
    ]
    return Cluster(tuple(places), index)


def _hosts(name: str, nodes: str) -> Iterator[str]:
    """The nodes that SLURM's list stands for.

    >>> list(_hosts("", "gpu[08-10,12],login"))
    ['gpu08', 'gpu09', 'gpu10', 'gpu12', 'login']
    """
    for part in re.findall(r"(?:[^,\[]|\[[^\]]*\]?)+", nodes):
        yield from _expanded(name, nodes, part)


def _expanded(name: str, nodes: str, part: str) -> Iterator[str]:
    start, bracket, rest = part.partition("[")
    if not bracket:
        yield part
        return
    inside, closed, end = rest.partition("]")
    if not closed:
        raise refuse(name, nodes, "has a bracket that nothing closes")
    for piece in inside.split(","):
        first, _, last = piece.partition("-")
        last = last or first
        if not (first.isdecimal() and last.isdecimal()):
            raise refuse(name, nodes, f"has a range that is none: {piece}")
        for number in range(int(first), int(last) + 1):
            for tail in _expanded(name, nodes, end):
                yield f"{start}{number:0{len(first)}d}{tail}"


def _tasks(name: str, dealt: str) -> Sequence[int]:
    """How many tasks each node has.

    >>> _tasks("", "2(x3),1")
    [2, 2, 2, 1]
    """
    found: list[int] = []
    for piece in dealt.split(","):
        if not (match := re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", piece)):
            raise refuse(name, dealt, "must be counts of tasks", "2(x3),1")
        found += [int(match[1])] * int(match[2] or 1)
    return found
