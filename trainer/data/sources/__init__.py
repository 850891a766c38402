"""Every kind of data: where inputs and labels come from.

Sees the rest of `data`, but for `feeds`.
"""
