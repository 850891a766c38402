"""Examples that come one after another from an iterator of the host's, pass after pass.

Sees the rest of `data`, and not its `sources` and `feeds`, which see this.
"""
