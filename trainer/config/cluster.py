"""The processes that train one network together, read from TF_CONFIG or SLURM's variables."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from schedules.declaration import ABSENT, refuse, within

ROLES = ("chief", "worker")
"""The roles of training processes in TF_CONFIG; a chief comes before the workers."""
EXAMPLE = (
    '\'{"cluster": {"worker": ["10.0.0.1:12345", "10.0.0.2:12345"]}, '
    '"task": {"type": "worker", "index": 0}}\''
)


class WorkerLostError(Exception):
    """Another worker is gone, or no longer answers."""


class Cluster(NamedTuple):
    """The addresses of all workers, and the index of this process; the first worker leads."""

    addresses: tuple[str, ...]
    task: int

    @property
    def leads(self) -> bool:
        return self.task == 0

    @classmethod
    def from_environment(cls, port: int, environment: Mapping[str, str] = os.environ) -> Cluster:
        """Reads the cluster from environment variables; under SLURM, workers listen from `port` on.

        Raises:
            Refused: when the variables are missing, or contradict each other.
        """
        if tf_config := environment.get("TF_CONFIG"):
            with within("TF_CONFIG"):
                return _from_tf_config(tf_config)
        if "SLURM_PROCID" in environment:
            return _from_slurm(environment, port)
        rule = "finds neither TF_CONFIG nor the variables of SLURM's srun"
        raise refuse("device", "multi_worker", rule, f"export TF_CONFIG={EXAMPLE}")


def _from_tf_config(text: str) -> Cluster:
    try:
        config = json.loads(text)
    except ValueError as error:
        raise refuse("", text, f"is no JSON: {error}", f"TF_CONFIG={EXAMPLE}") from None
    cluster, task = (_mapping(config, name) for name in ("cluster", "task"))
    if unknown := [role for role in cluster if role not in ROLES]:
        rule = "has no part in this training, where every process is a worker"
        raise refuse("cluster", unknown[0], rule, "known: chief, worker")
    by_role = {role: _addresses(role, cluster[role]) for role in ROLES if role in cluster}
    addresses = tuple(address for of_role in by_role.values() for address in of_role)
    if repeated := [address for address in addresses if addresses.count(address) > 1]:
        raise refuse("cluster", repeated[0], "is the address of two workers")
    if len(by_role.get("chief", ())) > 1:
        raise refuse("cluster.chief", list(by_role["chief"]), "must be a single address")
    role, index = task.get("type"), task.get("index")
    if role not in by_role:
        hint = f"known: {', '.join(by_role)}"
        raise refuse("task.type", role, "is none of those that the cluster lists", hint)
    count = len(by_role[role])
    if type(index) is not int or not 0 <= index < count:
        rule = f"must be a whole number from 0 to {count - 1}, as the cluster lists {count}"
        raise refuse("task.index", ABSENT if index is None else index, rule)
    offset = len(addresses) - count if role == "worker" else 0
    return Cluster(addresses, offset + index)


def _mapping(config: object, name: str) -> Mapping[str, Any]:
    mapping = config.get(name) if isinstance(config, dict) else None
    if not isinstance(mapping, dict) or not mapping:
        value = ABSENT if mapping is None else mapping
        raise refuse(name, value, "must be a mapping", f"TF_CONFIG={EXAMPLE}")
    return mapping


def _addresses(role: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise refuse(f"cluster.{role}", value, "must be a list of addresses", "host:12345")
    for address in value:
        _, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
        if not (port.isdecimal() and 0 < int(port) < 2**16):
            raise refuse(f"cluster.{role}", address, "must be an address", "host:12345")
    return tuple(value)


def _from_slurm(environment: Mapping[str, str], port: int) -> Cluster:
    """The cluster of the tasks that `srun` started."""

    def first_set(*names: str) -> tuple[str, str]:
        """The name and value of the first variable that is set."""
        for name in names:
            if name in environment:
                return name, environment[name]
        hint = "start the workers by srun"
        raise refuse(names[0], ABSENT, "is missing, though SLURM_PROCID is there", hint)

    def first_number(*names: str) -> tuple[str, int]:
        name, value = first_set(*names)
        if not value.isdecimal():
            raise refuse(name, value, "must be a whole number")
        return name, int(value)

    nodes_name, nodes = first_set("SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST")
    tasks_name, tasks = first_set("SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE")
    total_name, total = first_number("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", "SLURM_NPROCS")
    _, index = first_number("SLURM_PROCID")
    hosts, counts = list(_hosts(nodes_name, nodes)), _task_counts(tasks_name, tasks)
    if len(hosts) != len(counts):
        rule = f"tells of {len(counts)} nodes, and {nodes_name} = '{nodes}' of {len(hosts)}"
        raise refuse(tasks_name, tasks, rule)
    if sum(counts) != total:
        rule = f"are {sum(counts)} tasks, and {total_name} says {total}"
        raise refuse(tasks_name, tasks, rule)
    if index >= total:
        raise refuse("SLURM_PROCID", index, f"must be below {total_name} = {total}")
    node_of_task = [node for node, count in enumerate(counts) for _ in range(count)]
    node = node_of_task[index]
    if "SLURM_NODEID" in environment and first_number("SLURM_NODEID")[1] != node:
        rule = f"runs task {index}, which is on node {node} where tasks are dealt in blocks"
        value = environment["SLURM_NODEID"]
        raise refuse("SLURM_NODEID", value, rule, "srun --distribution=block")
    addresses = [
        f"{host}:{port + local_index}"
        for host, count in zip(hosts, counts, strict=True)
        for local_index in range(count)
    ]
    return Cluster(tuple(addresses), index)


def _hosts(name: str, nodes: str) -> Iterator[str]:
    """Expands SLURM's list of nodes; `name` is the variable that holds the list.

    >>> list(_hosts("", "gpu[08-10,12],login"))
    ['gpu08', 'gpu09', 'gpu10', 'gpu12', 'login']
    """
    for part in re.findall(r"(?:[^,\[]|\[[^\]]*\]?)+", nodes):
        yield from _expand(name, nodes, part)


def _expand(name: str, nodes: str, part: str) -> Iterator[str]:
    start, bracket, rest = part.partition("[")
    if not bracket:
        yield part
        return
    inside, closed, suffix = rest.partition("]")
    if not closed:
        raise refuse(name, nodes, "has a bracket that nothing closes")
    for piece in inside.split(","):
        first, _, last = piece.partition("-")
        last = last or first
        if not (first.isdecimal() and last.isdecimal()):
            raise refuse(name, nodes, f"has a range that is none: {piece}")
        for number in range(int(first), int(last) + 1):
            for tail in _expand(name, nodes, suffix):
                yield f"{start}{number:0{len(first)}d}{tail}"


def _task_counts(name: str, tasks: str) -> Sequence[int]:
    """How many tasks each node has; `name` is the variable that holds the counts.

    >>> _task_counts("", "2(x3),1")
    [2, 2, 2, 1]
    """
    counts: list[int] = []
    for piece in tasks.split(","):
        if not (match := re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", piece)):
            raise refuse(name, tasks, "must be counts of tasks", "2(x3),1")
        counts += [int(match[1])] * int(match[2] or 1)
    return counts
