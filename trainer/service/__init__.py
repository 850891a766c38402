"""The service: run folders listed, watched and designed over HTTP, never with TensorFlow.

Sees all other rooms. The folders are the only truth: what it keeps itself may be deleted at any
time, and everything it does can be done without it.
"""
