"""What the code of a task calls: announce an operation, break a rule, choose, try again.

A *visible* operation is announced; the task waits until the scheduler lets it happen.  A
*plain* one happens at once.  That is sound as long as no two plain accesses race, and a race
is a finding (store.py).  If that rule is left out, the search makes the accesses of fields
that race visible operations too, and begins anew (Program.racing).
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pfnlab.engine import operation as op_
from pfnlab.engine.cell import Cell
from pfnlab.engine.current import CURRENT, current_execution, running, running_task
from pfnlab.engine.errors import ModelError
from pfnlab.engine.label import READ, WRITE, Label
from pfnlab.engine.operation import Operation, Raised
from pfnlab.engine.program import Rule
from pfnlab.engine.race import NO_DATA_RACE, NO_USE_AFTER_FREE
from pfnlab.engine.task import announce

T = TypeVar("T")

NO_SLEEP_UNDER_SPINLOCK = Rule(
    "no_sleep_under_spinlock", "A task may sleep while it holds a spinlock.", "",
    "kernel/sched/core.c: __might_resched()",
)  # fmt: skip


def perform(operation: Operation) -> Any:
    """Announce an operation, wait until it has happened, and return its result."""
    task = running_task()
    if CURRENT.watch is not None:
        what = operation.target.name if operation.target is not None else "shared state"
        raise ModelError(f"a rule only looks, and this one does: {operation.verb} {what}")
    if task.index < 0:
        CURRENT.runs += 1
        result = current_execution().immediately(operation)
    else:
        recorder = CURRENT.recorder
        if recorder is not None:
            recorder.announce(task)
        result = announce(task, operation)
    if isinstance(result, Raised):
        raise result.error.with_traceback(result.place)
    return result


def read_plain(
    cell: Cell,
    verb: str = "read",
    *,
    detail: Callable[[Any], str] | None = None,
    rule: Rule = NO_DATA_RACE,
) -> Any:
    """Read a plain cell; `rule` is the one that breaks when the access races with another."""
    if cell.field in running()[0].program.racing:
        label = Label(((cell.number, READ),))
        return perform(
            Operation(op_.RACY, verb, number=cell.number, label=label, target=cell,
                      detail=detail or (lambda _: cell.name))
        )  # fmt: skip
    op = cell.operations.get((verb, rule.name))
    if op is None:
        op = cell.operations[verb, rule.name] = Operation(
            op_.PLAIN_READ, verb, number=cell.number, target=cell, detail=detail, rule=rule
        )
    return perform(op)


def write_plain(
    cell: Cell,
    change: Callable[[Any], Any],
    verb: str = "write",
    *,
    detail: Callable[[Any], str] | None = None,
    rule: Rule = NO_DATA_RACE,
) -> Any:
    """Set a plain cell to change(old); return the old value."""
    code = op_.RACY if cell.field in running()[0].program.racing else op_.PLAIN_WRITE
    if code == op_.RACY and detail is None:
        detail = lambda _: cell.name  # noqa: E731
    return perform(
        Operation(code, verb, number=cell.number, act=change, target=cell, detail=detail, rule=rule,
                  label=Label(((cell.number, WRITE),)))
    )  # fmt: skip


def peek(cell: Cell) -> Any:
    """What a cell holds now, past all locks: for checks of the model, not for code it models.

    It is no access, so nothing orders it: what comes of it must be the same whenever others
    can write the cell.
    """
    return perform(Operation(op_.PEEK, "peek", number=cell.number))


def violate(
    rule: Rule,
    *evidence: str,
    sentence: str | None = None,
    call: str | None = None,
    relevant: frozenset[int] = frozenset(),
) -> None:
    """The running task breaks a rule.  Does not return, unless the rule is not enforced.

    `call` is what it was about to do, for the last line of the trace; by default the
    name of the function that it is in.  `relevant` are visible steps to keep in a
    shortest trace, if it takes more than what led to the last one.
    """
    if running()[0].program.enforces(rule):
        value = (sentence or rule.sentence, evidence, call, relevant)
        perform(Operation(op_.VIOLATE, "violate", value=value, rule=rule))


def might_sleep(call: str, *, but: Cell | None = None) -> None:
    """The running task is about to wait, or may have to; `but` is a lock that it lets go first."""
    task = running_task()
    for hold in task.held:
        if hold.spins and hold.lock is not but:
            violate(
                NO_SLEEP_UNDER_SPINLOCK,
                f"{task.name} holds {hold.lock.name} since step {hold.step}, which is a spinlock.",
                call=call,
            )


def choose(options: Sequence[T], what: str = "one of") -> T:
    """One of the options; every one of them is explored."""
    if not options:
        raise ModelError("choose() needs at least one option")
    try:
        hash(tuple(options))
    except TypeError as error:
        what = f"choose({options!r}): an option is what can be hashed, as a tuple, not a list"
        raise ModelError(what) from error
    picked: T = perform(
        Operation(op_.CHOOSE, "choose", value=tuple(options), options=len(options),
                  detail=lambda r: f"{what}: {r}")
    )  # fmt: skip
    return picked


def start(name: str) -> None:
    """Let a lazy task begin; what the caller did before comes before all that it does."""
    other = running()[0].program.task_named(name)
    if not other.lazy:
        raise ModelError(f"start({name!r}): the task begins by itself; declare it with lazy=True")
    perform(Operation(op_.SPAWN, "start", number=other.index, detail=lambda _: name))


def join(name: str) -> None:
    """Wait until another task has ended."""
    other = running()[0].program.task_named(name)
    might_sleep(f"join({name})")
    perform(Operation(op_.JOIN, "join", number=other.index, detail=lambda _: name))


# ---- loops that try again


def begin_trying() -> None:
    """The running task enters a loop that may try again: what it sees from here counts."""
    task = running_task()
    task.since = task.made


def try_again() -> None:
    """Go round once more, as soon as anything that was learned since has changed.

    A task is a function of what it learns.  If nothing has changed, the next round is
    the last one over again, so waiting loses no behaviour; and a wait that never ends
    is a livelock.  A loop whose rounds differ in local variables must not use this.
    """
    task = running_task()
    if task.since < 0:
        raise ModelError("try_again() without begin_trying()")
    perform(Operation(op_.RETRY, "retry", value=task.since))
    task.since = task.made


def done_trying() -> None:
    """The loop has ended."""
    running_task().since = -1


__all__ = ["NO_DATA_RACE", "NO_SLEEP_UNDER_SPINLOCK", "NO_USE_AFTER_FREE", "begin_trying",
           "choose", "done_trying", "join", "might_sleep", "peek", "perform", "read_plain",
           "start", "try_again", "violate", "write_plain"]  # fmt: skip
