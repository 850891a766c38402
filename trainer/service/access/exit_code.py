"""How a command that asks a service ends: the exit code, with what went wrong on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable

from schedules.declaration import Refused

from ...runs.exit_codes import FAILED, REFUSED
from .client_error import ClientError


def exit_code(act: Callable[[], int]) -> int:
    """What `act` returns; or 2 for what is refused here or by the service, and else 1."""
    try:
        return act()
    except Refused as refused:
        print(refused, file=sys.stderr)
        return REFUSED
    except ClientError as error:
        print(error, file=sys.stderr)
        return REFUSED if error.status == 422 else FAILED
