"""The queue: what is submitted, in which order it starts, and the processes that train it.

The run folders are the only truth: `submission.json` is there before whoever submits is told, and
`job.json` before a process may work. All that is kept in memory is read from there at the start.
"""
