"""Settings of the whole test run."""

import atexit
import gc
import os
import signal
from collections.abc import Iterator
from shutil import rmtree
from tempfile import mkdtemp

import pytest
from hypothesis import settings

from trainer.runs import known_secrets
from trainer.runs.redaction import VARIABLE

# A shared machine may stall for longer than any deadline; and continuous integration should fail
# for what was changed, while everyone else's runs go on finding new examples.
settings.register_profile("here", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("here")

# With a million objects of graphs around, a collection for each 700 new ones took 7 % of the time.
gc.set_threshold(50_000, 20, 20)

# What runs find out about the machine is no business of the user's cache, nor that of the tests'.
os.environ["XDG_CACHE_HOME"] = mkdtemp(prefix="cache-of-tests-")
atexit.register(rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)
os.environ["XDG_STATE_HOME"] = mkdtemp(prefix="state-of-tests-")
atexit.register(rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)

# Whoever starts the tests in the background may have Ctrl-C ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def no_end_is_a_failure() -> Iterator[None]:
    """Whoever waits for a pipe or reads a device is interrupted, sooner or later."""

    def fail(*_: object) -> None:
        raise AssertionError("it takes far too long")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests() -> Iterator[None]:
    """Each test begins in a process that knows no secret."""
    yield
    known_secrets.forget_all()
    for name in [name for name in os.environ if name.startswith(VARIABLE)]:
        del os.environ[name]
