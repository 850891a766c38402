"""How examples reach the device: their order, reading ahead, augmentation.

Sees the rest of `data`, and `scheduled`.
"""
