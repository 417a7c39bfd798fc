"""Reader-writer semaphore: many readers or one writer.

A `fair` one lets a writer announce that it waits, after which new readers wait behind
it, as the kernel queues.  Without that, a task that takes the lock for read twice can
never meet a writer in between, and the deadlock of the two does not exist.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, Self, overload

from pfnlab.engine import label as kind
from pfnlab.engine.execution import running
from pfnlab.engine.label import Label
from pfnlab.engine.lock import Lock, LockMember
from pfnlab.engine.shared import Shared
from pfnlab.engine.signal import signal_of
from pfnlab.engine.step import note, visible
from pfnlab.engine.task import Hold, Operation, Task


class Holders(NamedTuple):
    """The value of a rw_semaphore: who writes, who reads, which writers wait in front."""

    writer: Task | None = None
    readers: tuple[Task, ...] = ()
    queued: tuple[Task, ...] = ()

    def with_reader(self, task: Task) -> "Holders":
        """Readers commute, so who came first must leave no trace: sorted."""
        return self._replace(
            readers=tuple(sorted((*self.readers, task), key=lambda reader: reader.index))
        )

    def without_reader(self, task: Task) -> "Holders":
        readers = list(self.readers)
        readers.remove(task)
        return self._replace(readers=tuple(readers))


class RwSemaphore(Lock):
    """Many readers or one writer."""

    __slots__ = ("fair",)

    def __init__(self, name: str, number: int, lock_class: str, fair: bool) -> None:
        super().__init__(name, number, lock_class, Holders())
        self.fair = fair

    # What is free for whom

    def free_to_read(self, task: Task) -> bool:
        held: Holders = self.value
        return held.writer is None and not any(other is not task for other in held.queued)

    def free_to_write(self, _task: Task) -> bool:
        held: Holders = self.value
        return held.writer is None and not held.readers

    def in_front_of_reader(self, task: Task) -> list[Task]:
        held: Holders = self.value
        if held.writer is not None:
            return [held.writer]
        return [other for other in held.queued if other is not task]

    def in_front_of_writer(self, _task: Task) -> list[Task]:
        held: Holders = self.value
        return [held.writer] if held.writer is not None else list(dict.fromkeys(held.readers))

    # Readers

    def down_read(self) -> None:
        self.acquiring("down_read", "read")
        self._acquire("down_read", kind.READ_LOCK, self.free_to_read, self.in_front_of_reader,
                      self._take_read)  # fmt: skip

    def down_read_killable(self) -> bool:
        """Return whether the lock was taken; False means a fatal signal came first."""
        self.acquiring("down_read_killable", "read")
        return self._acquire("down_read_killable", kind.READ_LOCK, self.free_to_read,
                             self.in_front_of_reader, self._take_read, killable=True)  # fmt: skip

    def down_read_trylock(self) -> bool:
        self.acquiring("down_read_trylock", "read", tried=True)
        return self._try("down_read_trylock", (kind.READ_TRYLOCK, kind.READ_TRYLOCK_FAILED),
                         self.free_to_read, self._take_read)  # fmt: skip

    def up_read(self) -> None:
        self.must_hold("up_read", "read")

        def perform(task: Task, _choice: int) -> tuple[Label, None]:
            self.drop(task, self.value.without_reader(task), "read")
            return Label(kind.READ_UNLOCK, self.number), None

        visible(Operation("up_read", self, perform, detail=self.named))

    # Writers

    def down_write(self, subclass: int = 0) -> None:
        """`subclass` tells lockdep that another lock of this class may be held already."""
        self.acquiring("down_write", "write", subclass=subclass)
        if self.fair and not self._queue("down_write"):
            return
        self._acquire("down_write", kind.WRITE_LOCK, self.free_to_write, self.in_front_of_writer,
                      self._take_write)  # fmt: skip

    def down_write_killable(self) -> bool:
        """Return whether the lock was taken; False means a fatal signal came first."""
        self.acquiring("down_write_killable", "write")
        if self.fair and not self._queue("down_write_killable"):
            return True
        return self._acquire("down_write_killable", kind.WRITE_LOCK, self.free_to_write,
                             self.in_front_of_writer, self._take_write, killable=True)  # fmt: skip

    def down_write_trylock(self) -> bool:
        self.acquiring("down_write_trylock", "write", tried=True)
        return self._try("down_write_trylock", (kind.WRITE_TRYLOCK, kind.WRITE_TRYLOCK_FAILED),
                         self.free_to_write, self._take_write)  # fmt: skip

    def up_write(self) -> None:
        self.must_hold("up_write", "write")

        def perform(task: Task, _choice: int) -> tuple[Label, None]:
            self.drop(task, self.value._replace(writer=None), "write")
            return Label(kind.WRITE_UNLOCK, self.number), None

        visible(Operation("up_write", self, perform, detail=self.named))

    def downgrade_write(self) -> None:
        self.must_hold("downgrade_write", "write")

        def perform(task: Task, _choice: int) -> tuple[Label, None]:
            held: Holders = self.value
            self.drop(task, held._replace(writer=None).with_reader(task), "write")
            step = running()[0].steps
            task.held.append(Hold(self, "read", step))
            return Label(kind.DOWNGRADE, self.number), None

        visible(Operation("downgrade_write", self, perform, detail=self.named))

    # with sem.read(): ...

    def read(self) -> "Side":
        return Side(self.down_read, self.up_read)

    def write(self) -> "Side":
        return Side(self.down_write, self.up_write)

    # The steps

    def _take_read(self, task: Task) -> None:
        self.take(task, self.value.with_reader(task), "read")

    def _take_write(self, task: Task) -> None:
        held: Holders = self.value
        queued = tuple(other for other in held.queued if other is not task)
        self.take(task, held._replace(writer=task, queued=queued), "write")

    def _queue(self, verb: str) -> bool:
        """Take the lock if it is free, else stand in front of new readers; True if so."""

        def perform(task: Task, _choice: int) -> tuple[Label, bool]:
            if self.free_to_write(task):
                self._take_write(task)
                return Label(kind.WRITE_LOCK, self.number), False
            execution, _task = running()
            held: Holders = self.value
            queue = sorted((*held.queued, task), key=lambda writer: writer.index)
            execution.write(self, held._replace(queued=tuple(queue)))
            return Label(kind.WRITE_QUEUED, self.number), True

        waits: bool = visible(
            Operation(
                verb, self, perform,
                detail=lambda queued: f"{self.name}{' waits' if queued else ''}",
            )
        )  # fmt: skip
        return waits

    def _acquire(
        self,
        verb: str,
        event: str,
        free: Callable[[Task], bool],
        blockers: Callable[[Task], list[Task]],
        take: Callable[[Task], None],
        killable: bool = False,
    ) -> bool:
        signal = signal_of(running()[1]) if killable else None

        def killed() -> bool:
            return signal is not None and bool(signal.value)

        def perform(task: Task, _choice: int) -> tuple[Label, bool]:
            if free(task):
                take(task)
                return Label(event, self.number, blocking=not killable, killable=killable), True
            held: Holders = self.value
            execution, _task = running()
            if task in held.queued:
                queued = tuple(other for other in held.queued if other is not task)
                execution.write(self, held._replace(queued=queued))
            assert signal is not None
            return Label(kind.INTERRUPTED, self.number, signal.bit, killable=True), False

        taken: bool = visible(
            Operation(
                verb, self, perform, ready=lambda task: free(task) or killed(),
                blocked=Label(event, self.number, signal.bit if signal else 0,
                              blocking=not killable, killable=killable),
                blockers=blockers,
                detail=lambda ok: f"{self.name}{'' if ok else ' interrupted'}",
            )
        )  # fmt: skip
        return taken

    def _try(
        self,
        verb: str,
        events: tuple[str, str],
        free: Callable[[Task], bool],
        take: Callable[[Task], None],
    ) -> bool:
        def perform(task: Task, _choice: int) -> tuple[Label, bool]:
            note(task, self, events[0], lambda: free(task))
            if not free(task):
                return Label(events[1], self.number), False
            take(task)
            return Label(events[0], self.number), True

        taken: bool = visible(
            Operation(verb, self, perform, detail=lambda ok: f"{self.name}{'' if ok else ' fails'}")
        )
        return taken


class Side:
    """One side of a rw_semaphore, for `with`."""

    __slots__ = ("down", "up")

    def __init__(self, down: Callable[[], None], up: Callable[[], None]) -> None:
        self.down = down
        self.up = up

    def __enter__(self) -> None:
        self.down()

    def __exit__(
        self,
        raised: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if raised is None:  # an exception is no kernel event: it must not make steps
            self.up()


class rw_semaphore(LockMember):
    """A sleeping reader-writer lock; `fair` lets a waiting writer hold off new readers."""

    def __init__(self, *, fair: bool = False) -> None:
        self.fair = fair

    def new(self, name: str, number: int, lock_class: str) -> Lock:
        return RwSemaphore(name, number, lock_class, self.fair)

    @overload
    def __get__(self, owner: None, kind: type) -> Self: ...
    @overload
    def __get__(self, owner: Shared, kind: type) -> RwSemaphore: ...
    def __get__(self, owner: Shared | None, kind: type) -> Self | RwSemaphore:
        if owner is None:
            return self
        lock = self._cell(owner)
        assert isinstance(lock, RwSemaphore)
        return lock

    def _free(self) -> Any:
        return Holders()
