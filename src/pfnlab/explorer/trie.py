"""What a task does next, after every history that has been seen.

A task is a function of the results of its operations.  So its code runs only for a history
that nobody has seen yet; for all others the next operation is known.  The greenlet of a task
stays where its code ran last: a history that goes on from there costs one switch.  Any other
is run again from the beginning, fed with the results that it knows.
"""

from types import FrameType
from typing import Any, Final, final

from pfnlab.engine.alike import alike
from pfnlab.engine.current import CURRENT, run
from pfnlab.engine.errors import ModelError, Nondeterminism, defined_at
from pfnlab.engine.execution import START, Execution
from pfnlab.engine.label import Label
from pfnlab.engine.operation import (
    CHOOSE,
    FIXED,
    MONITOR,
    REPLACE,
    RETRY,
    VIOLATE,
    Operation,
)
from pfnlab.engine.record import Recorder
from pfnlab.engine.task import ENDED, Task, WorkerPool

_NO_RESULT: Final = object()


@final
class Step:
    """An operation that has been made, one of its choices, and how it ended."""

    def __init__(self, task: int, choice: int, label: Label) -> None:
        self.task: Final = task
        self.choice: Final = choice
        self.label: Final = label


@final
class Node:
    """A task after a history: the operation that it announces, and where each result leads."""

    def __init__(self, op: Operation, parent: "Node | None", result: Any, length: int) -> None:
        self.op: Final = op
        self.code: Final = op.code
        self.plain: Final = op.plain
        self.waits: Final = op.waits
        self.traced: Final = (
            op.plain and op.target is not None and op.code != MONITOR and bool(op.target.traced)
        )
        self.fixed: Final = op.code in FIXED  # ends in one way only
        self.steps: Final = int(op.counted)  # that a reader sees of it
        self.special: Final = op.code >= RETRY or op.code in (REPLACE, CHOOSE)
        self.parent: Final = parent
        self.result: Final = result  # of the parent's operation, that leads here
        self.length: Final = length  # of the history
        self.newest: Any = _NO_RESULT  # the result that came last,
        self.then: Node | None = None  # and where it leads
        self.all: dict[Any, Node] | None = None  # that of each result, if there are several
        self.step: Step | None = None  # that was planned last from here

    def after(self, result: Any) -> "Node | None":
        """Where a result leads; None if it has not been seen here."""
        if self.all is None:
            child = self.then if self.then is not None and result == self.newest else None
        else:
            try:
                child = self.all.get(result)
            except TypeError:  # it cannot be hashed
                return None
        if child is not None:
            if child.result is not result and not alike(child.result, result):
                return None
            self.newest, self.then = result, child
        return child

    def add(self, result: Any, child: "Node") -> None:
        if self.then is not None:
            if self.all is None:
                self.all = {self.newest: self.then}
            self.all[result] = child
        self.newest, self.then = result, child

    def children(self) -> "list[Node]":
        if self.all is not None:
            return list(self.all.values())
        return [] if self.then is None else [self.then]


STOPPED: Final = Node(ENDED, None, None, 0)  # where a task is that has broken a rule


class Trie:
    """All that is known of one task."""

    def __init__(self, execution: Execution, task: Task) -> None:
        self.pool: WorkerPool = execution.pool
        self.program = execution.program
        self.task = task
        self.runs = 0  # how often the task's code was begun anew
        self.grown = 0  # operations that it has announced
        self.at: Node | None = None  # where its greenlet waits
        self._root: Node | None = None

    def root(self) -> Node:
        """Before the first step.  What comes before any visible operation waits behind START."""
        if self._root is None:
            op = self._begin([])
            first = Node(op, None, None, 0)
            self.at = None if self.task.finished else first
            if op.plain or op.code == VIOLATE:
                self._root = Node(START, None, None, -1)
                self._root.add(None, first)
            else:
                self._root = first
        return self._root

    def child(self, node: Node, result: Any) -> Node:
        """Where a result leads that has not been seen here: run the task's code."""
        try:
            hash(result)
        except TypeError as error:
            wrong = f"{node.op.verb} gives {result!r}, which cannot be hashed"
            raise ModelError(wrong, self._line(node)) from error
        for other in node.children():
            if other.result == result:
                raise ModelError(
                    f"{node.op.verb} gives {result!r}, and {other.result!r} in another execution: "
                    "they are equal, but not alike in all; use one of them",
                    self._line(node),
                )
        if self.at is not node:
            self._go_to(node)
        op = run(self.pool, self.task, result)
        self.grown += 1
        child = Node(op, node, result, node.length + 1)
        self.at = None if self.task.finished else child
        node.add(result, child)
        return child

    def some_ends(self, most: int) -> list[Node]:
        """Histories that go no further, the ones found last."""
        ends: list[Node] = []
        left = [self.root()]
        while left and len(ends) < most:
            node = left.pop()
            if node.then is not None:
                left.extend(node.children())
            elif node.length > 0:
                ends.append(node)
        return ends

    def run_again(self, node: Node) -> None:
        """Raise Nondeterminism if the code does not announce what it did on the way here."""
        path: list[Node] = []
        at: Node | None = node
        while at is not None and at.length >= 0:
            path.append(at)
            at = at.parent
        known = path[-1]
        op = self._begin([])
        for after in reversed(path[:-1]):
            self._compare(known, op)
            op = run(self.pool, self.task, after.result)
            known = after
        self._compare(known, op)
        self.at = None if self.task.finished else known

    def _go_to(self, node: Node) -> None:
        """Run the code again along a history, up to what it announces then."""
        try:
            op = self._begin(history(node))
        except Exception:
            # It may be given what something else has returned, and fail by that: which is told.
            self.run_again(node)
            raise
        self._compare(node, op)

    def _line(self, node: Node) -> str:
        """Where the code stands that announces a node's operation."""
        if self.at is not node:
            self._go_to(node)
            self.at = node
        return self._stands()

    def _stands(self) -> str:
        """The line where the code waits; "" if it has ended."""
        worker = self.task.worker
        frame: FrameType | None = worker.greenlet.gr_frame if worker is not None else None
        frames: list[FrameType] = []
        while frame is not None:
            frames.append(frame)
            frame = frame.f_back
        return Recorder(self.program).stack_of(frames).site if frames else ""

    def _compare(self, node: Node, op: Operation) -> None:
        if not op.same(node.op):
            raise Nondeterminism(
                f"hidden nondeterminism: {self.task.name} announced {node.op} with the same "
                f"history, and now {op}; all shared state must be in fields",
                self._stands() or defined_at(self.task.function),
            )

    def _begin(self, fed: list[Any]) -> Operation:
        """Run the code from its beginning along a history."""
        self.runs += 1
        if self.task.worker is not None:
            CURRENT.task = self.task
            self.pool.abandon(self.task)
            CURRENT.task = None
        self.task.restart(fed)
        return run(self.pool, self.task, None)


def history(node: Node) -> list[Any]:
    """The results that led to a node."""
    results: list[Any] = []
    at = node
    while at.length > 0 and at.parent is not None:
        results.append(at.result)
        at = at.parent
    results.reverse()
    return results
