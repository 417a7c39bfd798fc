"""What the code of a task, or of a rule, raises.

An `assert` of the user that fails is a finding, with the schedule that led there.  One of pfnlab
itself that fails is an error of pfnlab.  Any other error ends a search, as the program is wrong;
where a schedule is followed again, it is told like a rule that breaks, with the steps up to it.
"""

import linecache
import traceback
from pathlib import Path

from pfnlab.engine.errors import ModelError
from pfnlab.engine.operation import VIOLATE, Operation
from pfnlab.engine.program import Program, Rule
from pfnlab.engine.record import Recorder
from pfnlab.engine.task import ENDED, Task
from pfnlab.errors import words_of

ASSERTION = Rule("assertion", "An assert statement of a task fails.")
ERROR = Rule("error", "The code of a task is wrong: it raises an error.")
_OF_USERS = ("pfnlab.designs.", "pfnlab.scenarios.")  # ours are examples of theirs


def assertion_failed(
    task: Task, error: AssertionError, program: Program, recorder: Recorder | None
) -> Operation:
    """What a task announces whose assert has failed: that it breaks a rule.

    If that rule is left out, the task has just ended.  Raises the error if it is not the user's.
    """
    innermost = [frame for frame, _line in traceback.walk_tb(error.__traceback__)][-1]
    name = str(innermost.f_globals.get("__name__", ""))
    if name.startswith("pfnlab.") and not name.startswith(_OF_USERS):
        raise error
    if not program.enforces(ASSERTION):
        return ENDED
    statement = linecache.getline(innermost.f_code.co_filename, innermost.f_lineno).strip()
    said = words_of(error).partition(": ")[2].removesuffix(" ...")  # pytest adds what it was
    return _told(task, error, ASSERTION, said or statement, statement, recorder)


def error_met(task: Task, error: Exception, recorder: Recorder) -> Operation:
    """What a task announces that has raised another error."""
    return _told(task, error, ERROR, _said(error), f"raise {type(error).__name__}", recorder)


def rule_failed(error: Exception) -> tuple[Rule, str, tuple[str, ...]]:
    """What is reported of a rule that raises where a schedule is followed again."""
    ModelError.last_one()
    innermost = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(innermost.filename).name}:{innermost.lineno}"
    sentence = "The code of a rule is wrong: it raises an error."
    notes = [*getattr(error, "__notes__", []), where]
    return ERROR, sentence, (f"{_said(error)} ({', '.join(notes)})",)


def _said(error: Exception) -> str:
    return error.message if isinstance(error, ModelError) else words_of(error)


def _told(
    task: Task, error: Exception, rule: Rule, said: str, call: str, recorder: Recorder | None
) -> Operation:
    if recorder is not None:
        frames = [frame for frame, _line in traceback.walk_tb(error.__traceback__)]
        recorder.announced[task.index] = recorder.stack_of(reversed(frames))
    value = (rule.sentence, (f"{task.name}: {said}",), call, frozenset[int]())
    return Operation(VIOLATE, "assert", value=value, rule=rule)
