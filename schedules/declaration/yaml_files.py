"""Mappings from YAML files, read as Hydra reads its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from .errors import ABSENT, refuse

LARGEST = 2**18
"""The bytes that a file may have: reading YAML is slow."""
ALIASES = 20
"""How many aliases a file may use: each may double what stands before it."""
DEEPEST = 50
"""How many mappings and lists may stand inside one another."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def bounded(path: Path) -> str:
    """The text of a YAML file, once it is known that reading it costs neither hours nor gigabytes.

    Raises:
        Refused: when the file is too large, too deep, or makes too much of aliases.
        OSError, UnicodeDecodeError, yaml.YAMLError: when it can't be read.
    """
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise refuse(str(path), ABSENT, f"is a config of more than {LARGEST >> 10} KiB")
    text, aliases, depth = content.decode(), 0, 0
    for event in yaml.parse(text, Loader=_LOADER):
        aliases += isinstance(event, yaml.AliasEvent)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if aliases > ALIASES:
            raise refuse(str(path), ABSENT, f"must have at most {ALIASES} aliases")
        if depth > DEEPEST:
            raise refuse(str(path), ABSENT, f"must not nest deeper than {DEEPEST} levels")
    return text


def mapping(path: Path, *, resolve: bool = True, told: str = "--file") -> dict[str, Any]:
    """The mapping that a YAML file holds, its interpolations resolved, or as they are written.

    OmegaConf reads it, since by YAML 1.1 alone `1e-3` is a text. `told` is what a refusal calls it.

    Raises:
        Refused: when it can't be read, or holds no mapping.
    """
    try:
        found = OmegaConf.to_container(OmegaConf.create(bounded(path)), resolve=resolve)
    except OSError as error:
        raise refuse(told, str(path), f"can't be read: {error.strerror}") from None
    except (yaml.YAMLError, OmegaConfBaseException, UnicodeDecodeError, RecursionError) as error:
        raise refuse(told, str(path), f"is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict) or set(map(type, found)) != {str}:
        rule, hint = "must hold a mapping", "kind: cosine, and the kind's parameters"
        raise refuse(told, str(path), rule, hint)
    return {str(key): value for key, value in found.items()}
