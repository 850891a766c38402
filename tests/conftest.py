"""Settings of the whole test run."""

import os

from hypothesis import settings

# A shared machine may stall for longer than any deadline; and continuous integration should fail
# for what was changed, while everyone else's runs go on finding new examples.
settings.register_profile("here", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("here")
