"""Mappings from YAML files, read as Hydra reads its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from .refusal import refuse

ALIASES = 20
"""How many aliases a file may use: each may double what stands before it."""


def mapping(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds, its interpolations resolved.

    OmegaConf reads it, since by YAML 1.1 alone `1e-3` is a text.

    Raises:
        Refused: when it can't be read, or holds no mapping.
    """
    try:
        text = path.read_text("utf-8")
        aliases = sum(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text))
        if aliases > ALIASES:
            raise refuse(str(path), f"{aliases} aliases", f"must have at most {ALIASES}")
        found = OmegaConf.to_container(OmegaConf.create(text), resolve=True)
    except OSError as error:
        raise refuse("--file", str(path), f"can't be read: {error.strerror}") from None
    except (yaml.YAMLError, OmegaConfBaseException, UnicodeDecodeError, RecursionError) as error:
        raise refuse("--file", str(path), f"is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict) or set(map(type, found)) != {str}:
        rule, hint = "must hold a mapping", "kind: cosine, and the kind's parameters"
        raise refuse("--file", str(path), rule, hint)
    return {str(key): value for key, value in found.items()}
