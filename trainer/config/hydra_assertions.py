"""Hydra's parser of overrides where Python runs without assertions: `python -O`.

It reads on inside of `assert`: `assert self.is_matching_terminal(next(children), …)`. Without them
no call such as `range(1,3)` and no mapping can be parsed. Read: hydra-core 1.3.8,
`hydra/core/override_parser/overrides_visitor.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import FunctionType

from hydra.core.override_parser import overrides_visitor


def keep_assertions() -> None:
    """Gives the parser its methods with assertions, for the rest of the process."""
    if not sys.flags.optimize:
        return
    file = Path(overrides_visitor.__file__)
    namespace = dict(vars(overrides_visitor))
    exec(compile(file.read_text(encoding="utf-8"), file, "exec", optimize=0), namespace)
    for name, method in vars(namespace["HydraOverrideVisitor"]).items():
        if isinstance(method, FunctionType):
            setattr(overrides_visitor.HydraOverrideVisitor, name, method)
