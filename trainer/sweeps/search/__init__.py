"""`hydra/sweeper=optuna`: the values that are searched, and the trials that try them.

Sees what `sweeps` sees.
"""
