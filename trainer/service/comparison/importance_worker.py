"""`python -m trainer.service.comparison.importance_worker`: which values of a search mattered.

A process of its own: Optuna stays out of the server, and a journal may be damaged or endless.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from schedules import Refused
from schedules.declaration.plain_files import read_plain

from ...runs.study import JOURNAL, open_study, require_optuna

MAX_JOURNAL_BYTES = 2**26
FEWEST_TRIALS = 10


def importance(journal: Path) -> dict[str, Any]:
    """`importance` by name, which add up to 1, from the largest down; or `why` there is none.

    By PED-ANOVA (Watanabe, Bansal and Hutter 2023, arXiv 2304.10255), for which Optuna needs no
    other package: how far the values of the best tenth of the trials are from those of all.

    Raises:
        OSError: when the journal can't be read.
        Refused: when it is none.
    """
    require_optuna()
    import optuna

    content = read_plain(journal, MAX_JOURNAL_BYTES, follow_links=False)
    with TemporaryDirectory() as folder:
        copy = Path(folder) / JOURNAL
        copy.write_bytes(content[: content.rfind(b"\n") + 1])  # the last line may be half written
        study = open_study(copy)
        states = (optuna.trial.TrialState.COMPLETE,)
        count = len(study.get_trials(deepcopy=False, states=states))
        found: dict[str, Any] = {"trials": count, "importance": [], "why": ""}
        if count < FEWEST_TRIALS:
            found["why"] = f"needs {FEWEST_TRIALS} trials that have ended; there are {count}"
            return found
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)
                evaluator = optuna.importance.PedAnovaImportanceEvaluator()
                shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
        except (RuntimeError, UserWarning, ValueError) as error:
            found["why"] = " ".join(str(error).split())
        else:
            found["importance"] = [[name, round(share, 6)] for name, share in shares.items()]
        return found


def main() -> None:
    """Prints the importance in the journal that is named, as JSON."""
    try:
        answer = importance(Path(sys.argv[1]))
    except (OSError, Refused, ValueError) as error:
        answer = {"trials": 0, "importance": [], "why": f"the journal can't be read: {error}"}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
