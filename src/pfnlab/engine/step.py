"""What the code of a task calls: announce a visible step, make a plain one, break a rule.

A *visible* step is announced; the task waits until the scheduler lets it happen.  A
*plain* step happens at once.  That is sound as long as no two plain accesses race,
and a race is a finding (see clock.py).  If that rule is left out, the search makes the
accesses of fields that race visible steps too, and begins anew (Program.racing).
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pfnlab.engine.cell import Cell
from pfnlab.engine.clock import Access
from pfnlab.engine.errors import ModelError
from pfnlab.engine.execution import Execution, SetupFailed, running
from pfnlab.engine.label import AWAIT, MEMORY, Label
from pfnlab.engine.program import Rule
from pfnlab.engine.record import TraceStep
from pfnlab.engine.task import Operation, Task, pause

T = TypeVar("T")

NO_DATA_RACE = Rule(
    "no_data_race", "Two tasks use a plain field at the same time, and one of them writes."
)
NO_USE_AFTER_FREE = Rule(
    "no_use_after_free",
    "An object is used after it was freed, or while it is.",
    "R7",
)


def visible(operation: Operation) -> Any:
    """Announce a step, wait until it may happen, and return its result."""
    execution, task = running()
    if task is execution.setup:
        if operation.ready is not None and not operation.ready(task):
            raise ModelError(f"setup waits in {operation.verb}: nobody can wake it")
        return operation.perform(task, 0)[1]
    if execution.recorder is not None:
        execution.recorder.announce(task)
    task.pending = operation
    return pause()


def plain(
    cell: Cell,
    verb: str,
    *,
    write: bool,
    change: Callable[[], Any],
    detail: Callable[[Any], str] | None = None,
    rule: Rule = NO_DATA_RACE,
) -> Any:
    """Read or write a plain cell now; `change` does it and returns the result.

    `rule` is the one that breaks when the access races with another.
    """
    execution, task = running()
    if task is execution.setup:
        return change()
    if task.events == 0:
        visible(Operation("start", None, _start, counted=False))
    if cell.field in execution.program.racing:
        return _racing_step(cell, verb, write, change, detail)
    if cell.traced:
        _plain_step(execution, task)
    if execution.recorder is not None:
        execution.recorder.announce(task)
    note(task, cell)
    check_race(execution, task, cell, write=write, event=len(execution.events) - 1, rule=rule)
    result = change()
    note_own(task, cell)
    execution.check_limit(task)
    if task.parked and not cell.traced:
        _plain_step(execution, task)
    if execution.recorder is not None:
        text = detail(result) if detail is not None else cell.name
        site = execution.recorder.site(task)
        number = execution.steps if cell.traced or task.parked else 0
        execution.recorder.add(
            TraceStep(number, task.name, verb, text, site, word=cell.number, writes=write)
        )
    if task.parked:
        pause()
    return result


def _racing_step(
    cell: Cell,
    verb: str,
    write: bool,
    change: Callable[[], Any],
    detail: Callable[[Any], str] | None,
) -> Any:
    """An access to a plain cell that is known to race, and may: scheduled like a word."""

    def perform(task: Task, _choice: int) -> tuple[Label, Any]:
        note(task, cell)
        result = change()
        note_own(task, cell)
        reads, writes = (0, cell.bit) if write else (cell.bit, 0)
        return Label(MEMORY, -1, reads, writes), result

    return visible(Operation(verb, cell, perform, detail=detail or (lambda _: cell.name)))


def _start(_task: Task, _choice: int) -> tuple[Label, None]:
    return Label(MEMORY), None


def check_race(
    execution: Execution,
    task: Task,
    cell: Cell,
    *,
    write: bool,
    event: int,
    rule: Rule = NO_DATA_RACE,
) -> None:
    """Report a data race if no lock orders this access and an earlier one.

    `event` is the position of the visible step that the access belongs to.
    """
    if cell.field in execution.program.racing:
        return
    history = cell.history
    if history.run != execution.run:
        history.start(execution.run)
    use = history.written if write else history.read
    access = Access(task.index, task.clock[task.index], execution.steps, event, write)
    earlier = use(access, task.clock)
    if earlier is None:
        return
    if not execution.program.enforces(rule):
        execution.unchecked_race = cell.field
        return
    other = execution.program.tasks[earlier.task].name
    number = execution.steps + (not cell.traced)  # a race makes a step of any access
    evidence = [
        f"{task.name} {cell.words[2 * write]} {cell.name} in step {number}; "
        f"{other} {cell.words[2 * earlier.write + 1]} it "
        f"{_when(cell, earlier)}, and no lock orders the two."
    ]
    if cell.guard:
        evidence.append(f"{cell.name} is guarded by {cell.guard}.")
    pair = (earlier.event, event)
    execution.report(rule, rule.sentence, tuple(evidence), task, frozenset(pair), pair)


def _when(cell: Cell, earlier: Access) -> str:
    if cell.traced:
        return f"in step {earlier.step}"
    return f"after step {earlier.step}" if earlier.step else "before step 1"


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
    execution, task = running()
    if not execution.program.enforces(rule):
        return
    if task is execution.setup:
        execution.report(rule, sentence or rule.sentence, evidence, task)
        raise SetupFailed
    if task.events == 0:
        visible(Operation("start", None, _start, counted=False))
    _plain_step(execution, task)
    recorder = execution.recorder
    if recorder is not None:
        recorder.announce(task)
        frames = recorder.announced[task.index].frames
        doing = call or (f"{frames[-1].function}()" if frames else "")
        site = recorder.site(task)
        recorder.add(TraceStep(execution.steps, task.name, "call", doing, site))
    execution.report(rule, sentence or rule.sentence, evidence, task, relevant)
    pause()


def _plain_step(execution: Execution, task: Task) -> None:
    """Count a step that needs no scheduling; it belongs to the event before it."""
    execution.count_step(task)
    if execution.events and execution.events[-1].task == task.index:
        execution.events[-1].steps += 1


def choose(options: Sequence[T], what: str = "one of") -> T:
    """One of the options; every one of them is explored."""
    if not options:
        raise ModelError("choose() needs at least one option")

    def perform(_task: Task, choice: int) -> tuple[Label, T]:
        return Label(MEMORY), options[choice]

    picked: T = visible(
        Operation("choose", None, perform, options=len(options), detail=lambda r: f"{what}: {r}")
    )
    return picked


# ---- loops that try again


class Seen:
    """What a task has learned since it began to try, and if it moved under it.

    A sight is a cell and something about it: the value of a word, or whether a trylock
    would succeed.  To take a lock and to release it teaches a task nothing.
    """

    __slots__ = ("disturbed", "sights")

    def __init__(self) -> None:
        self.sights: dict[tuple[Cell, str], tuple[Callable[[], Any], Any, Any]] = {}
        self.disturbed = False

    def names(self) -> list[str]:
        """Of the cells whose accesses are steps."""
        return list(dict.fromkeys(cell.name for cell, _what in self.sights if cell.traced))

    def bits(self) -> int:
        bits = 0
        for cell, _what in self.sights:
            bits |= cell.bit
        return bits

    def look(self, cell: Cell, what: str, at: Callable[[], Any]) -> None:
        known = self.sights.get((cell, what))
        now = at()
        if known is None:
            self.sights[cell, what] = (at, now, now)
        elif known[2] != now:
            self.disturbed = True

    def changed_by_me(self, cell: Cell) -> None:
        for (other, what), (at, first, _last) in self.sights.items():
            if other is cell:
                self.sights[cell, what] = (at, first, at())

    def changed(self) -> bool:
        return self.disturbed or any(at() != first for at, first, _ in self.sights.values())


def note(task: Task, cell: Cell, what: str = "", at: Callable[[], Any] | None = None) -> None:
    """Remember what a task that tries again learns of a cell: by default, its value."""
    if task.watching is not None:
        task.watching.look(cell, what, at or (lambda: cell.value))


def note_own(task: Task, cell: Cell) -> None:
    """A task that tries again has changed a cell itself."""
    if task.watching is not None:
        task.watching.changed_by_me(cell)


def begin_trying() -> None:
    """The running task enters a loop that may try again: notes what it sees from here."""
    running()[1].watching = Seen()


def try_again() -> None:
    """Go round once more, as soon as anything that was learned since has changed.

    A task is a function of what it learns.  If nothing has changed, the next round is
    the last one over again, so waiting loses no behaviour; and a wait that never ends
    is a livelock.  A loop whose rounds differ in local variables must not use this.
    """
    task = running()[1]
    seen = task.watching
    if seen is None:
        raise ModelError("try_again() without begin_trying()")
    label = Label(AWAIT, -1, seen.bits(), blocking=True)

    def perform(task: Task, _choice: int) -> tuple[Label, None]:
        task.watching = Seen()
        return label, None

    visible(Operation("retry", None, perform, ready=lambda _task: seen.changed(), blocked=label))


def done_trying() -> None:
    """The loop has ended."""
    running()[1].watching = None
