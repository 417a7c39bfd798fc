"""An `assert` in the code of a task: where it fails is a finding, with the schedule that led there.

Only those of the user count.  One of pfnlab itself that fails is an error of pfnlab.
"""

import linecache
import traceback

from pfnlab.engine.operation import VIOLATE, Operation
from pfnlab.engine.program import Program, Rule
from pfnlab.engine.record import Recorder
from pfnlab.engine.task import ENDED, Task

ASSERTION = Rule("assertion", "An assert statement of a task fails.")
_OF_USERS = ("pfnlab.designs.", "pfnlab.scenarios.")  # ours are examples of theirs


def assertion_failed(
    task: Task, error: AssertionError, program: Program, recorder: Recorder | None
) -> Operation:
    """What a task announces whose assert has failed: that it breaks a rule.

    If that rule is left out, the task has just ended.  Raises the error if it is not the user's.
    """
    frames = [frame for frame, _line in traceback.walk_tb(error.__traceback__)]
    innermost = frames[-1]
    name = str(innermost.f_globals.get("__name__", ""))
    if name.startswith("pfnlab.") and not name.startswith(_OF_USERS):
        raise error
    if not program.enforces(ASSERTION):
        return ENDED
    if recorder is not None:
        recorder.announced[task.index] = recorder.stack_of(reversed(frames))
    statement = linecache.getline(innermost.f_code.co_filename, innermost.f_lineno).strip()
    said = str(error).partition("\n")[0]
    value = (
        ASSERTION.sentence,
        (f"{task.name}: {said or statement}",),
        statement,
        frozenset[int](),
    )
    return Operation(VIOLATE, "assert", value=value, rule=ASSERTION)
