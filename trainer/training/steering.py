"""Orders to a running job: by letters, and those of before that are repeated at their steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from schedules.declaration import Refused

from ..engine.compile_measuring import Pace
from ..runs.checkpoints import CheckpointId
from ..runs.mailbox import Letter, Mailbox
from ..runs.orders import Order, Running
from .session import Session


class Steering(Running):
    """Obeys orders between two calls into TensorFlow, where they change what the next one does."""

    def __init__(self, session: Session, mailbox: Mailbox, pace: Pace) -> None:
        self._session, self._mailbox, self._pace = session, mailbox, pace
        self.stopping = False
        """Whether somebody wants the run to end before the next call."""

    def request_stop(self) -> None:
        """Ends the run before its next call."""
        self.stopping = True

    def repeat(self) -> None:
        """Does again what is due; what was ordered elsewhere becomes an event of this run, too."""
        session = self._session
        for row in session.replay.due(session.step, session.rewinds):
            if all(row["id"] != event.get("id") for event in session.events.rows):
                copied = {name: row[name] for name in ("event", "orders", "id", "rewinds")}
                session.events.add(session.step, **copied, replayed=True)
            for order in map(Order.parse, row["orders"]):
                if order.steers:
                    order.act(self)

    def obey(self) -> None:
        """Does what the letters that wait say, up to one that ends the run."""
        for letter in self._mailbox.take():
            self._obey(letter)
            if self.stopping:
                return

    def _obey(self, letter: Letter) -> None:
        """Does what a letter says, once its record is on the disk."""
        session = self._session
        if row := next((row for row in session.events.rows if row.get("id") == letter.id), None):
            # A kill came between recording it and answering.
            self._mailbox.answer(letter, {"step": row["step"], "told": list(row["orders"])})
            return
        if letter.orphaned:
            rule = "the process that took the letter ended before it obeyed; send it again"
            self._mailbox.answer(letter, {"refused": f"order: {rule}"})
            return
        try:
            orders = [Order.parse(order) for order in letter.orders]
            for order in orders:
                order.check(self)
        except Refused as refused:
            self._mailbox.answer(letter, {"refused": str(refused)})
            return
        if any(order.recorded for order in orders):
            record = {"orders": list(letter.orders), "id": letter.id, "rewinds": session.rewinds}
            session.events.add(session.step, "command", **record)
        step = session.step
        answers = [order.act(self) for order in orders]
        self._mailbox.answer(letter, {"step": step, "told": answers})
        if any(order.stops for order in orders):
            self.request_stop()

    def check_value(self, name: str, value: float | None) -> None:
        self._session.tape.check(name, value)

    def hold(self, names: Sequence[str], value: float | None) -> str:
        """Holds values or gives them back, and tells what that changes at the next update."""
        tape, step = self._session.tape, self._session.step
        names = names or tape.names
        before = tape.read(step, 1)[0]
        for name in names:
            tape.hold(name, value)
        after = tape.read(step, 1)[0]
        changes = zip(tape.names, before, after, strict=True)
        return ", ".join(f"{n} = {b:g} (was {a:g})" for n, a, b in changes if n in names)

    def save_now(self) -> str:
        session = self._session
        session.save()
        trouble = session.finish_saving()
        return f"not saved: {trouble}" if trouble else f"saved {CheckpointId(session.step).name}"

    def evaluate_now(self) -> str:
        return _listed(self._session.look())

    def status(self) -> str:
        session, rate = self._session, self._pace.rate
        values = dict(zip(session.tape.names, session.tape.read(session.step, 1)[0], strict=True))
        speed = f"{rate:,.0f} updates/s" if rate else "no update yet"
        end = f"of {session.plan.total_steps}"
        return "  ".join(filter(None, (end, _listed(values), _listed(session.metrics), speed)))


def _listed(values: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.6g}" for name, value in values.items())
