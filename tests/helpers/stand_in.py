"""A job that trains nothing, for tests of the queue: `stand_in.py FOLDER STEPS SECONDS`.

It takes the lock of the run's folder, as a trainer does, goes on behind the rows that are there,
and ends in a digest of all rows; SIGTERM ends it after a row. It imports so little that it begins
at once. Of `inf` seconds a row, it waits to be let go before the last one; of `nan` it dies, of -1
it fails, and of -2 it ignores SIGTERM.
"""

import fcntl
import hashlib
import json
import math
import os
import signal
import struct
import sys
import time
from pathlib import Path

LET_GO = "let_go"
"""The file without which a job of `inf` seconds does not write its last row."""
LONGEST = 300.0
"""After how many seconds it no longer waits for one: the test has failed."""
STARTS = "starts.log"
"""The file in the run's folder to which each process adds its number."""


def main(folder: Path, steps: int, seconds: float) -> None:
    signals: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: signals.append(number))
    with (folder / STARTS).open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    if math.isnan(seconds):
        os.kill(os.getpid(), signal.SIGKILL)
    if seconds == -1:
        sys.exit("it fails, as it was told to")
    if seconds == -2:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        seconds = LONGEST
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit("hydra.run.dir: is being written to by another process")
    if sys.platform == "linux":
        whole_file = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        fcntl.fcntl(lock, fcntl.F_OFD_SETLK, whole_file)
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"process {os.getpid()} on {os.uname().nodename}\n".encode(), 0)
    config = f"run: {{length: {steps}, seed: 1}}\ndata: {{batch_size: 4}}\n# {folder}\n"
    (folder / "config.yaml").write_text(config)
    rows = folder / "metrics.jsonl"
    before = rows.read_bytes() if rows.exists() else b""
    begun = before[: before.rfind(b"\n") + 1]
    rows.write_bytes(begun)
    deadline = time.monotonic() + LONGEST
    with rows.open("ab", buffering=0) as file:
        for step in range(begun.count(b"\n"), steps):
            while seconds == math.inf and step == steps - 1 and not (folder / LET_GO).exists():
                time.sleep(0.005)
                if signals or time.monotonic() > deadline:
                    break
            time.sleep(0 if seconds == math.inf else seconds)
            file.write(json.dumps({"step": step, "loss": 1 / (step + 1)}).encode() + b"\n")
            if signals:
                break
    content = rows.read_bytes()
    result = {
        "status": "interrupted" if signals else "done",
        "steps": content.count(b"\n"),
        "weights_digest": hashlib.sha256(content).hexdigest(),
    }
    (folder / ".result").write_text(json.dumps(result))
    (folder / ".result").rename(folder / "result.json")
    sys.exit(128 + signals[0] if signals else 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
