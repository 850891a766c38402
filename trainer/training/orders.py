"""What a run is told to do while it goes: by letters, and by what was ordered once before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from schedules.declaration import Refused

from ..runs.checkpoints import At
from ..runs.mailbox import Letter, Mail, Order, Score
from ..scheduled.tape import Tape

if TYPE_CHECKING:
    from .session import Session


@dataclass
class Commands:
    """What has been ordered and is not done yet; a session obeys before its next update."""

    mail: Mail
    score: Score = field(default_factory=lambda: Score([]))
    """What is to be repeated."""

    def recall(self, session: Session, seen: int) -> None:
        """Gets ready to repeat what was ordered after the first `seen` events, or elsewhere."""
        rows = session.events.rows
        known = {row.get("id") for row in rows}
        elsewhere = [row for row in session.experiment.run.score() if row.get("id") not in known]
        self.score = Score([*rows[seen:], *elsewhere])

    def repeat(self, session: Session) -> None:
        """Does again what is due; what was ordered elsewhere becomes an event of this run, too."""
        for row in self.score.due(session.step, session.rewinds):
            if all(row["id"] != known.get("id") for known in session.events.rows):
                session.events.add(session.step, **_repeated(row))
            for order in map(Order.parse, row["orders"]):
                _steered(session.tape, session.step, order)

    def obey(self, session: Session) -> bool:
        """Does what the letters that wait say, up to a stop; gives False for that."""
        return all(self._obey(session, letter) for letter in self.mail.waiting())

    def _obey(self, session: Session, letter: Letter) -> bool:
        """Does what a letter says, once its record is on the disk; gives False for a stop."""
        rows = session.events.rows
        if row := next((row for row in rows if row.get("id") == letter.id), None):
            # A kill came between taking it up and answering.
            self.mail.answer(letter, {"step": row["step"], "told": list(letter.orders)})
            return True
        try:
            orders = [Order.parse(order) for order in letter.orders]
            for order in orders:
                if order.name:
                    session.tape.check(order.name, order.value)
        except Refused as refused:
            self.mail.answer(letter, {"refused": str(refused)})
            return True
        if any(order.verb != "status" for order in orders):
            told = {"orders": list(letter.orders), "id": letter.id, "rewinds": session.rewinds}
            session.events.add(session.step, "command", **told)
        step = session.step
        self.mail.answer(letter, {"step": step, "told": [_done(session, o) for o in orders]})
        return not any(order.verb == "stop" for order in orders)


def _done(session: Session, order: Order) -> str:
    """Does one thing, and gives what to answer."""
    match order.verb:
        case "checkpoint":
            session.save()
            session.saving.finish()
            trouble = session.saving.trouble
            return f"not saved: {trouble}" if trouble else f"saved {At(session.step).name}"
        case "evaluate":
            return _listed(session.look())
        case "status":
            tape, rate = session.tape, session.pace.rate
            values = dict(zip(tape.names, tape.read(session.step, 1)[0], strict=True))
            fast = f"{rate:,.0f} updates/s" if rate else "no update yet"
            of = f"of {session.experiment.total_steps()}"
            return "  ".join(filter(None, (of, _listed(values), _listed(session.metrics), fast)))
        case "stop":
            return "stopping"
        case _:
            return _steered(session.tape, session.step, order)


def _steered(tape: Tape, step: int, order: Order) -> str:
    """Holds a value or gives values back, and tells what that changes at `step`."""
    names = [order.name] if order.name else tape.names
    before = tape.read(step, 1)[0]
    for name in names:
        tape.turn(name, order.value)
    after = tape.read(step, 1)[0]
    changes = zip(tape.names, before, after, strict=True)
    return ", ".join(f"{n} = {b:g} (was {a:g})" for n, a, b in changes if n in names)


def _repeated(row: Mapping[str, Any]) -> dict[str, Any]:
    """An event of another run's record, to be put into this one's."""
    return {name: row[name] for name in ("event", "orders", "id", "rewinds")} | {"replayed": True}


def _listed(values: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.6g}" for name, value in values.items())
