"""The overrides within a hint, so that a page can offer them as a button."""

from __future__ import annotations

import re

_OVERRIDE = re.compile(r"[\w./@]+=(?:'[^']*'|\"[^\"]*\"|\[[^\]]*\]|\{[^}]*\}|[^\s'\"\[\]{},;…]+)")


def mend_of(hint: str) -> list[str]:
    """The overrides that a hint is made of, without a shell's quotes; none where it is prose.

    >>> mend_of("schedule=constant schedule.value=0.02"), mend_of("run.length='5 epochs'")
    (['schedule=constant', 'schedule.value=0.02'], ['run.length=5 epochs'])
    >>> mend_of("did you mean cosine?"), mend_of("run.threads=1, or auto"), mend_of("")
    ([], [], [])
    """
    found = _OVERRIDE.findall(hint)
    if not found or _OVERRIDE.sub("", hint).strip():
        return []
    return [_unquoted(override) for override in found]


def _unquoted(override: str) -> str:
    key, _, value = override.partition("=")
    inner = value[1:-1] if value.startswith(("'", '"')) else value
    return f"{key}={inner}"
