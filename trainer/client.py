"""`Client`: the service of a folder of runs, asked from a program.

Needs neither a package nor TensorFlow:

    client = Client("outputs")
    run = client.submit(["schedule=cosine", "run.length=1000"])["runs"][0]["id"]
    for rows in client.follow_rows(run, ["loss"]):
        print(rows.series["loss"]["last"][-1])
"""

from __future__ import annotations

from .service.access.client import Client
from .service.access.client_error import ClientError
from .service.access.event_stream import Event
from .service.access.row_calls import Rows

__all__ = ["Client", "ClientError", "Event", "Rows"]
