"""`hydra/launcher=vectorized`: jobs that differ only in numbers, in one program.

Sees what `sweeps` sees.
"""
