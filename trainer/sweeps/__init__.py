"""Many runs: grids and searches, and the launchers that start their jobs.

Sees `commands` and what that sees.
"""
