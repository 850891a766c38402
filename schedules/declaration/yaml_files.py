"""Mappings from YAML files, read as Hydra reads its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from .plain_files import MAX_DEPTH, open_plain
from .refusals import ABSENT, Refused, refuse

MAX_BYTES = 2**18
"""How large a file may be: reading YAML is slow."""
MAX_ALIASES = 20
"""How many aliases a file may use."""
MAX_VALUES = MAX_BYTES
"""How many values a file may stand for: each alias may double those before it."""

_LINE_BEGIN = re.compile(r"^[\s?:!&-]*", re.MULTILINE)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_bounded(path: Path, *, follow_links: bool = True) -> str:
    """The text of a YAML file that is cheap to parse: size, depth and number of values are bounded.

    Raises:
        Refused: when the file is too large or too deep, or stands for too many values.
        OSError, UnicodeDecodeError, yaml.YAMLError: when it can't be read, or is no plain file.
    """
    with open_plain(path, follow_links=follow_links) as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise refuse(str(path), ABSENT, f"is a config of more than {MAX_BYTES >> 10} KiB")
    text = content.decode()
    if broken := _broken_bound(text):
        raise refuse(str(path), ABSENT, broken)
    return text


def _broken_bound(text: str) -> str:
    """The rule that a YAML text breaks, whose values would be many or deep; "" where none."""
    if "*" not in text and _deepest_possible(text) <= MAX_DEPTH:
        return ""  # which is told in a tenth of the time
    aliases, values = 0, 0
    opened: list[tuple[str | None, int]] = []
    """The anchors of the mappings and lists around, and how many values came before each."""
    sizes: dict[str | None, int] = {}
    """How many values each anchor stands for."""
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.ScalarEvent):
            values += 1
            sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, values))
            values += 1
            sizes.pop(event.anchor, None)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            sizes[anchor] = values - before
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
            if any(anchor == event.anchor for anchor, _ in opened):
                return f"must not hold itself, as *{event.anchor} does"
            values += sizes.get(event.anchor, 0)
        if aliases > MAX_ALIASES:
            return f"must have at most {MAX_ALIASES} aliases"
        if len(opened) > MAX_DEPTH:
            return f"must not nest deeper than {MAX_DEPTH} levels"
        if values > MAX_VALUES:
            return f"must hold at most {MAX_VALUES:,} values, those of aliases counted each time"
    return ""


def _deepest_possible(text: str) -> int:
    """A depth that nothing in a YAML text can exceed.

    A level takes a bracket or a column at the beginning of a line; a list may begin in the column
    of its mapping.
    """
    columns = max(map(len, _LINE_BEGIN.findall(text)), default=0)
    return 2 * (columns + 1) + text.count("[") + text.count("{")


def read_mapping(
    path: Path, *, resolve: bool = True, option: str = "--file", follow_links: bool = True
) -> dict[str, Any]:
    """The mapping in a YAML file; with `resolve` its interpolations are resolved.

    OmegaConf reads it, since by YAML 1.1 alone `1e-3` is a text. A refusal names the file by
    `option`, the option or argument that the user gave it with.

    Raises:
        Refused: when it can't be read, or holds no mapping.
    """
    try:
        text = read_bounded(path, follow_links=follow_links)
    except OSError as error:
        raise refuse(option, str(path), f"can't be read: {error.strerror}") from None
    except Refused:
        raise
    except (yaml.YAMLError, ValueError) as error:
        raise refuse(option, str(path), f"is no YAML: {' '.join(str(error).split())}") from None
    hint = "kind: cosine, and the kind's parameters" if option == "--file" else ""
    return _mapping_in(text, option, str(path), hint, resolve)


def mapping_in(text: str, option: str) -> dict[str, Any]:
    """The mapping in a YAML text, as `read_mapping` with interpolations as they are written.

    Raises:
        Refused: when it is none, or too large, too deep or of too many values.
    """
    if len(text.encode()) > MAX_BYTES:
        raise refuse(option, ABSENT, f"is more than {MAX_BYTES >> 10} KiB")
    try:
        broken = _broken_bound(text)
    except yaml.YAMLError as error:
        raise refuse(option, ABSENT, f"is no YAML: {' '.join(str(error).split())}") from None
    if broken:
        raise refuse(option, ABSENT, broken)
    return _mapping_in(text, option, ABSENT, "", resolve=False)


def _mapping_in(text: str, option: str, source: object, hint: str, resolve: bool) -> dict[str, Any]:
    from omegaconf import OmegaConf  # takes its time, and bounds are asked for without it
    from omegaconf.errors import OmegaConfBaseException

    try:
        content = OmegaConf.to_container(OmegaConf.create(text), resolve=resolve)
    except AssertionError:  # how OmegaConf meets a file that is a single number
        content = None
    except (yaml.YAMLError, OmegaConfBaseException, ValueError) as error:  # as a date or a number
        raise refuse(option, source, f"is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or set(map(type, content)) != {str}:
        raise refuse(option, source, "must hold a mapping", hint)
    return {str(key): value for key, value in content.items()}
