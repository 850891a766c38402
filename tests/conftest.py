"""Settings of the whole test run."""

import atexit
import os
from shutil import rmtree
from tempfile import mkdtemp

from hypothesis import settings

# A shared machine may stall for longer than any deadline; and continuous integration should fail
# for what was changed, while everyone else's runs go on finding new examples.
settings.register_profile("here", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("here")

# What runs find out about the machine is no business of the user's cache, nor that of the tests'.
os.environ["XDG_CACHE_HOME"] = mkdtemp(prefix="cache-of-tests-")
atexit.register(rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)
