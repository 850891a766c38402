"""Mappings from YAML files, read as Hydra reads its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from .refusals import ABSENT, refuse

MAX_BYTES = 2**18
"""How large a file may be: reading YAML is slow."""
MAX_ALIASES = 20
"""How many aliases a file may use: each may double what stands before it."""
MAX_DEPTH = 50
"""How many mappings and lists may stand inside one another."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_bounded(path: Path) -> str:
    """The text of a YAML file that is cheap to parse: its size, aliases and depth are bounded.

    Raises:
        Refused: when the file is too large, too deep, or has too many aliases.
        OSError, UnicodeDecodeError, yaml.YAMLError: when it can't be read.
    """
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise refuse(str(path), ABSENT, f"is a config of more than {MAX_BYTES >> 10} KiB")
    text, aliases, depth = content.decode(), 0, 0
    for event in yaml.parse(text, Loader=_LOADER):
        aliases += isinstance(event, yaml.AliasEvent)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if aliases > MAX_ALIASES:
            raise refuse(str(path), ABSENT, f"must have at most {MAX_ALIASES} aliases")
        if depth > MAX_DEPTH:
            raise refuse(str(path), ABSENT, f"must not nest deeper than {MAX_DEPTH} levels")
    return text


def read_mapping(path: Path, *, resolve: bool = True, option: str = "--file") -> dict[str, Any]:
    """The mapping in a YAML file; with `resolve` its interpolations are resolved.

    OmegaConf reads it, since by YAML 1.1 alone `1e-3` is a text. A refusal names the file by
    `option`, the option or argument that the user gave it with.

    Raises:
        Refused: when it can't be read, or holds no mapping.
    """
    try:
        content = OmegaConf.to_container(OmegaConf.create(read_bounded(path)), resolve=resolve)
    except OSError as error:
        raise refuse(option, str(path), f"can't be read: {error.strerror}") from None
    except (yaml.YAMLError, OmegaConfBaseException, UnicodeDecodeError, RecursionError) as error:
        raise refuse(option, str(path), f"is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or set(map(type, content)) != {str}:
        rule, hint = "must hold a mapping", "kind: cosine, and the kind's parameters"
        raise refuse(option, str(path), rule, hint)
    return {str(key): value for key, value in content.items()}
