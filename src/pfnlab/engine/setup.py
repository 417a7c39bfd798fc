"""The scenario's own function runs once, as the task "setup", and leaves the first state.

What it does happens at once, as nobody else is there yet.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from pfnlab.engine import deadlock
from pfnlab.engine import operation as op_
from pfnlab.engine.constant import must_stay
from pfnlab.engine.current import CURRENT
from pfnlab.engine.errors import ModelError, defined_at
from pfnlab.engine.fire import fire, plain, ready
from pfnlab.engine.frozen import remembering_nothing
from pfnlab.engine.operation import Operation
from pfnlab.engine.program import Heard, Rule
from pfnlab.engine.record import callers

if TYPE_CHECKING:
    from pfnlab.engine.execution import Execution

STEP_LIMIT = 5_000
PLAIN_OPERATIONS = 10  # without a visible step between them, for each step of the limit


class SetupFailed(BaseException):
    """A rule broke while the scenario was set up."""


def set_up(execution: "Execution", build: Callable[[Any], None]) -> None:
    """Let the scenario's function fill in the program; a rule that breaks ends it."""
    program = execution.program
    CURRENT.enter(execution, execution.setup)
    ModelError.last_one()
    try:
        before = set(vars(program))
        build(program)
        for name in sorted(vars(program).keys() - before):
            what = f"{name} of the {type(program).__name__.lower()}"
            must_stay(what, vars(program)[name], defined_at(getattr(build, "build", build)))
        program.invariants[:] = [
            replace(each, check=remembering_nothing(each.check, f"rule {each.rule.name}"))
            for each in program.invariants
        ]
        program.is_set_up = True
        tasks = program.tasks
        execution.store.begin(len(tasks), frozenset(t.index for t in tasks if t.lazy))
        broken = execution.watch.begin()
        if broken is not None:
            rule = broken[0].rule
            execution.report(rule, rule.sentence, broken[1], execution.setup)
    except SetupFailed:
        pass
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        what = f"the setup raised {type(error).__name__}: return instead"
        raise ModelError(what).with_traceback(error.__traceback__) from error
    finally:
        CURRENT.task = None


def immediately(execution: "Execution", op: Operation) -> Any:
    """Make an operation of the setup; returns its result."""
    if op.code == op_.MONITOR:
        execution.heard.append(Heard(op.value, "setup", -1))
        op.target.heard(execution.heard, execution)
        return None
    if op.code == op_.VIOLATE:
        sentence, evidence, _call, _relevant = op.value
        _fail(execution, op.rule, sentence, evidence)
    execution.made_in_setup += 1
    most = PLAIN_OPERATIONS * max(execution.step_limit, STEP_LIMIT)  # the limit is one of tasks
    if execution.made_in_setup > most:
        _stuck(execution, deadlock.ENDS, f"makes more than {most} accesses")
    if op.plain:
        return plain(execution.store, op, -1)
    if op.code == op_.RETRY:
        _stuck(execution, deadlock.NO_LIVELOCK, "tries again, and nobody can change a thing")
    if not ready(execution.store, op, -1):
        what = f" for {op.target.name}" if op.target is not None else ""
        _stuck(execution, deadlock.NO_DEADLOCK, f"waits in {op.verb}{what}: nobody can wake it")
    return fire(execution.store, op, -1, 0)


def _stuck(execution: "Execution", rule: Rule, what: str) -> NoReturn:
    """A finding where a design is, as what waits alone waits always; else a wrong scenario."""
    if not execution.program.is_judged(callers()):
        raise ModelError(f"setup {what}")
    _fail(execution, rule, rule.sentence, (f"setup {what}.",))


def _fail(execution: "Execution", rule: Rule, sentence: str, evidence: tuple[str, ...]) -> NoReturn:
    if execution.recorder is not None:
        execution.recorder.announce(execution.setup)
    execution.report(rule, sentence, evidence, execution.setup)
    raise SetupFailed
