"""Configs that Hypothesis draws over the whole schema, over Hydra's own keys, and beside both."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra.conf import HydraConf
from hypothesis import strategies as st
from omegaconf import OmegaConf

from schedules.declaration import Declaration
from schedules.declaration.kind import Kind
from trainer.config.conf_folder import CONF
from trainer.config.experiment import Experiment
from trainer.config.hydra import compose
from trainer.config.launcher_settings import KNOWN

SMALL = ("data=digits", "model=mlp", "run.length=20")
DOORS = ("run", "sweep", "shown", "rerun", "typed")


@dataclass(frozen=True)
class Drawn:
    """Values by their paths, options of groups, and the door by which they come in."""

    door: str
    options: dict[str, str]
    values: dict[str, Any]

    def arguments(self, folder: Path) -> list[str]:
        """The arguments of a command in `folder`, where files are put that they name."""
        if self.door == "typed":
            paths = [path for path in self.values if not path.startswith("hydra")]
            typed = [f"{path}={_written(self.values[path])}" for path in paths]
            chosen = [f"{g}={o}" for g, o in self.options.items() if not g.startswith("hydra")]
            return [*SMALL, *chosen, *typed]
        if self.door == "rerun":
            values = compose(SMALL)
            for path, value in self.values.items():
                _put(values, path, value)
            (folder / "theirs").mkdir()
            (folder / "theirs" / "config.yaml").write_text(_yaml(values), "utf-8")
            return ["rerun=theirs"]
        declared: dict[str, Any] = {}
        for path, value in self.values.items():
            _put(declared, path, value)
        defaults = [{f"override /{group}": option} for group, option in self.options.items()]
        (folder / "mine" / "experiment").mkdir(parents=True)
        file = folder / "mine" / "experiment" / "drawn.yaml"
        text = _yaml({"defaults": defaults, **declared} if defaults else declared)
        file.write_text(f"# @package _global_\n{text}", "utf-8")
        flags = {"run": [], "sweep": ["-m"], "shown": ["--cfg", "job"]}[self.door]
        return [*SMALL, "experiment=drawn", "--config-dir", "mine", *flags]


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _yaml(value: Any) -> str:
    return yaml.dump(value, Dumper=yaml.SafeDumper, sort_keys=False, allow_unicode=True)


def _put(tree: dict[str, Any], path: str, value: Any) -> None:
    """Puts a value at a path; where that leads through a value, it takes the place of that."""
    *parents, last = path.split(".")
    for key in parents:
        if not isinstance(tree.get(key), dict):
            tree[key] = {}
        tree = tree[key]
    tree[last] = value


def _paths(declaration: type[Declaration], path: str, seen: frozenset[type]) -> Iterator[str]:
    """The path of every field of a declaration, and of the declarations that it may hold."""
    for name, field in declaration.model_fields.items():
        inner = f"{path}{name}"
        yield inner
        for held in _declarations(field.annotation):
            members = held.kinds.values() if issubclass(held, Kind) else [held]
            for member in members:
                if member not in seen and len(seen) < 3:
                    yield from _paths(member, f"{inner}.", seen | {member})


def _declarations(annotation: Any) -> Iterator[type[Declaration]]:
    if isinstance(annotation, type) and issubclass(annotation, Declaration):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from _declarations(inner)


def _leaves(tree: Any, path: str) -> Iterator[str]:
    yield path
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _leaves(value, f"{path}.{key}" if path else key)


HYDRA = OmegaConf.to_container(OmegaConf.structured(HydraConf), resolve=False)
PLUGIN_KEYS = sorted({key for keys in KNOWN.values() for key in keys})
PATHS = sorted(
    {*_paths(Experiment, "", frozenset()), "unheard.of", "rerun", "allow_code", "defaults"}
)
USUAL_PATHS = sorted(
    {*_leaves(Experiment.declared(compose(SMALL)).model_dump(mode="json"), "")} - {""}
)
"""Those of the config that is changed, so that much of what is drawn is nearly right."""
HYDRA_PATHS = sorted(
    {
        *(path for path in _leaves(HYDRA, "hydra") if "help" not in path),
        *(
            f"hydra.launcher.{key}"
            for key in (*PLUGIN_KEYS, "_target_", "setup", "submitit_folder")
        ),
        *(f"hydra.sweeper.{key}" for key in (*PLUGIN_KEYS, "_target_", "params.run.seed")),
        *("hydra.callbacks.one", "hydra.job.env_set.PATH", "hydra.job_logging.handlers.one"),
        *("hydra.job_logging.root.handlers", "hydra.unheard", "hydra.help.template"),
    }
)
OPTIONS = sorted(
    (str(file.parent.relative_to(CONF)), file.stem)
    for file in CONF.rglob("*.yaml")
    if file.parent != CONF and file.parent.name != "experiment"
)

WORDS = [
    *("auto", "none", "null", "best", "true", "NaN", "inf", "1e400", "0x10", "1:30", "20 epochs"),
    *("10%", "-1 steps", "0 steps", "1e30 steps", "eval_loss", "canary:hit", "os:system"),
    *(
        "trainer.examples:moons",
        "canary.hit",
        "pkg://canary",
        "file://mine",
        "http://localhost:9/x",
    ),
    *("ray://localhost:9", "../out", "/nowhere/out", "~/out", "a/../../out", "runs/one", "", " "),
    *("a\ntouch out", "\x1b[2J", "ä", "\u2028", "x" * 5000, "allow_code=true", "true,false"),
    *("logspace(1,2,3)", "linspace(0,1,-1)", "choice(1,2)", "interval(0,1)", "range(0,1000000000)"),
    *(
        "${oc.env:SECRET}",
        "${oc.env:NOWHERE}",
        "${run.seed}",
        "${nowhere}",
        "${",
        "${oc.decode:'{'}",
    ),
    *("${oc.create:{_target_: canary.hit}}", "${oc.decode:'{_target_: canary.hit}'}", "???"),
    *("${hydra:runtime.cwd}", "${hydra.runtime.cwd}/runs", "${hydra.run.dir}", "${now:%Y/..}"),
    *(
        "${now:..}",
        "${unique:}",
        "${hydra.job.num}",
        "${schedule}",
        "${data}",
        "*",
        "conv*",
        "[",
        "{",
    ),
    *KNOWN,
]
OBJECTS: list[Any] = [
    {"_target_": "canary.hit"},
    {"_target_": "builtins.open", "file": "/nowhere/out", "mode": "w"},
    {"_target_": "hydra_plugins.scheduled_training.Local", "jobs": {"_target_": "canary.hit"}},
    {"_target_": "hydra.utils.instantiate", "config": {"_target_": "canary.hit"}},
    {"()": "canary.hit"},
    {"class": "logging.FileHandler", "filename": "/nowhere/out"},
    {"version": 1, "root": {"handlers": ["one"]}, "handlers": {"one": {"()": "canary.hit"}}},
    {"kind": "custom", "call": "canary:hit"},
    {"kind": "python", "call": "canary:hit"},
]
FAMILIES = {
    held
    for field in Experiment.model_fields.values()
    for held in _declarations(field.annotation)
    if issubclass(held, Kind)
}
KINDS: list[tuple[str, list[str]]] = sorted(
    (kind, sorted(member.model_fields))
    for family in FAMILIES
    for kind, member in family.kinds.items()
)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 100)
    | st.integers()
    | st.floats()
    | st.floats(0, 1)
    | st.sampled_from(WORDS)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=8)
)


def _of_kinds(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.sampled_from(KINDS).flatmap(
        lambda entry: st.dictionaries(
            st.sampled_from([*entry[1], "unheard"]), values, max_size=4
        ).map(lambda fields: {**fields, "kind": entry[0]})
    )


VALUES = st.recursive(
    SCALARS | st.sampled_from(OBJECTS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS[:8]), inner, max_size=2)
        | _of_kinds(inner)
    ),
    max_leaves=6,
)


@st.composite
def drawn_configs(draw: st.DrawFn) -> Drawn:
    """A config that a stranger may have written: usually a few values amiss in a good one."""
    paths = st.sampled_from(USUAL_PATHS) | st.sampled_from(PATHS) | st.sampled_from(HYDRA_PATHS)
    values = draw(st.dictionaries(paths, VALUES, max_size=4))
    options = dict(draw(st.lists(st.sampled_from(OPTIONS), max_size=3)))
    return Drawn(draw(st.sampled_from(DOORS)), options, values)
