"""A hundred viewers of ten jobs: what the server takes for them, and what a training loses.

Started with a port, a token, a number and the ids of runs, it is the viewers: so many streams, held
open in one process, which says so once all are, and how many events have come when it is ended. It
gives way to all else, as viewers are at machines of their own.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

from part import Mark, Part  # noqa: E402  # beside this file
from service_charts import ids  # noqa: E402
from service_lists import API  # noqa: E402
from service_runs import make_run, row  # noqa: E402
from service_scale import ServiceScale  # noqa: E402
from service_server import Serving, at_work, resident, serving  # noqa: E402
from service_training import compared  # noqa: E402

ROWS_A_SECOND = 20
WRITES_A_SECOND = 10
SETTLED_SECONDS = 2.0
LEAST = 19
"""The niceness of a process that only takes what no other wants."""


def viewers(scale: ServiceScale) -> Part:
    """Streams of jobs that write rows; then a training beside them and without them, in turns."""
    with TemporaryDirectory(prefix="bench-service-") as folder:
        root, state = Path(folder) / "runs", Path(folder) / "state"
        files = [make_run(root / f"job-{n}", n, 10**6) for n in range(scale.viewed)]
        for number, file in enumerate(files):
            file.write_text(row(0, 0.5 + number))
        with written_on(files):
            with serving(root, state) as served:
                runs = ids(served.client, scale.viewed)
                time.sleep(SETTLED_SECONDS)
                alone = share(served, scale.seconds)
                with watching(served, runs, scale.viewers) as watched:
                    time.sleep(SETTLED_SECONDS)
                    here = time.process_time()
                    seen = at_work(watched.process)
                    taken = share(served, scale.seconds)
                    by_viewers = (at_work(watched.process) - seen) / scale.seconds
                    by_writer = (time.process_time() - here) / scale.seconds
                    size = resident(served.process.pid)

            @contextmanager
            def beside() -> Iterator[None]:
                with serving(root, state) as again:
                    looked_at = ids(again.client, scale.viewed + 1)[-scale.viewed :]
                    with watching(again, looked_at, scale.viewers):
                        yield

            lost, rows = compared(root / "trained", beside, scale)
    who = f"{scale.viewers} viewers of {scale.viewed} jobs"
    marks = [
        Mark(f"{who}: of one core", taken, at_most=0.15, form="{:.1%}"),
        Mark(f"{who}: memory", size, at_most=200, form="{:.1f} MB"),
        Mark(f"{who}: what a training beside them loses", lost, at_most=0.01, form="{:.1%}"),
    ]
    heard = watched.events / (SETTLED_SECONDS + scale.seconds)
    rows = [
        ["the server's share of one core, nobody looks", f"{alone:.1%}"],
        ["its share, all look", f"{taken:.1%}"],
        ["the share of the viewers, who give way to all else", f"{by_viewers:.1%}"],
        ["the share of what writes the rows of the jobs", f"{by_writer:.1%}"],
        ["events of rows a second, to all viewers", f"{heard:,.0f}"],
        *rows,
    ]
    title = f"{who}, each of which writes {ROWS_A_SECOND} rows a second"
    return Part(marks, title, ["", ""], rows)


def share(served: Serving, seconds: float) -> float:
    """The part of one core that a server is at work."""
    begin, worked = time.perf_counter(), at_work(served.process.pid)
    time.sleep(seconds)
    return (at_work(served.process.pid) - worked) / (time.perf_counter() - begin)


@contextmanager
def written_on(files: Sequence[Path]) -> Iterator[None]:
    """Within the block, each file gets rows."""
    ended = threading.Event()

    def write() -> None:
        step, more = 1, ROWS_A_SECOND // WRITES_A_SECOND
        while not ended.wait(1 / WRITES_A_SECOND):
            for file in files:
                with file.open("a") as opened:
                    opened.writelines(row(step + n, 1 / (step + n)) for n in range(more))
            step += more

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class Watched:
    """Viewers, and how many events of rows have come to them all, once they have left."""

    def __init__(self, process: int) -> None:
        self.process = process
        self.events = 0


@contextmanager
def watching(served: Serving, runs: Sequence[str], count: int) -> Iterator[Watched]:
    """Within the block, so many streams are open."""
    words = [__file__, str(served.client.port), served.client.token, str(count), *runs]
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    watched = Watched(process.pid)
    try:
        if process.stdout.readline() != "open\n":
            raise RuntimeError("the viewers were not let in")
        yield watched
        if process.poll() is not None:
            raise RuntimeError("the viewers have left before their time")
    finally:
        process.terminate()
        watched.events = int(process.communicate()[0] or 0)


async def view(port: int, token: str, count: int, runs: Sequence[str]) -> int:
    """Holds streams open until SIGTERM; gives how many events of rows have come."""
    os.nice(LEAST)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    streams = [await opened(port, token, runs[n % len(runs)]) for n in range(count)]
    readers = [asyncio.create_task(counted(reader)) for reader, _ in streams]
    print("open", flush=True)
    waiting = asyncio.create_task(ended.wait())
    await asyncio.wait([waiting, *readers], return_when=asyncio.FIRST_COMPLETED)
    for _, writer in streams:
        writer.close()
    if not ended.is_set():
        raise RuntimeError("the server has ended a stream")
    return sum(await asyncio.gather(*readers))


async def opened(
    port: int, token: str, run: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A stream as the page of a run has it, whose first event has come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"GET {API}/events?topics=runs,queue,run:{run},rows:{run} HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    )
    await reader.readuntil(b"event: open")
    return reader, writer


async def counted(reader: asyncio.StreamReader) -> int:
    """Reads until the end, and counts."""
    count = 0
    while content := await reader.read(2**16):
        count += content.count(b"event: rows\n")
    return count


if __name__ == "__main__":
    print(asyncio.run(view(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:])))
