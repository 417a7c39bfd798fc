"""Processes of this machine that work off a board.

Forked, so that they begin with all that is loaded.  Each has a pipe: a task goes in, what came of
it comes out.  The parent never explores; it hands out tasks, adds up and writes checkpoints.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from pfnlab.cli.board import Board, Task
from pfnlab.cli.checker import Checker
from pfnlab.cli.stuck import no_endless_code

PATIENCE = 1.0  # seconds that a check may take before it is split among idle processes
SHARE = 5.0  # seconds after which it is in parts anyway, so that a checkpoint can be written
TICK = 0.1  # seconds
ENDS = (signal.SIGINT, signal.SIGTERM)  # what users and batch systems end a command with

_fork = multiprocessing.get_context("fork")


@dataclass
class Worker:
    """A process, and the task that it has."""

    process: Any
    pipe: Connection
    task: Task | None = None


class Processes:
    """As many processes as there is work for, up to some number."""

    def __init__(self, board: Board, most: int) -> None:
        self.board = board
        self.most = most
        self.workers: list[Worker] = []
        self.hungry = _fork.Value("b", 0, lock=False)  # somebody has nothing to do
        self.stop = _fork.Value("b", 0, lock=False)  # come to an end

    def run(self, tick: Callable[[], bool]) -> None:
        """Work until the board is done, or `tick` says that it is enough."""
        board = self.board
        try:
            while not board.over:
                if not board.interrupted and tick():
                    board.interrupted = True
                    self.stop.value = 1
                self._hand_out()
                busy = [worker for worker in self.workers if worker.task is not None]
                if not busy:
                    break
                self.hungry.value = len(busy) < self.most and not board.interrupted
                for pipe in wait([worker.pipe for worker in busy], TICK):
                    self._hear(next(worker for worker in busy if worker.pipe is pipe))
        finally:
            for worker in self.workers:
                worker.process.kill()
                worker.process.join()
                worker.pipe.close()

    def _hand_out(self) -> None:
        while True:
            idle = next((worker for worker in self.workers if worker.task is None), None)
            if idle is None and len(self.workers) == self.most:
                return
            task = self.board.take()
            if task is None:
                return
            if idle is None:
                idle = self._begin()
            idle.task = task
            try:
                idle.pipe.send(task)
            except OSError:
                self._lost(idle)

    def _begin(self) -> Worker:
        mine, its = _fork.Pipe()
        inherited = [worker.pipe for worker in self.workers] + [mine]
        process = _fork.Process(
            target=_work,
            args=(os.getpid(), its, inherited, self.board.checker, self.hungry, self.stop),
        )
        process.daemon = True
        # Ctrl-C goes to all processes: until this one ignores it, it would do as its parent does.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        its.close()
        worker = Worker(process, mine)
        self.workers.append(worker)
        return worker

    def _hear(self, worker: Worker) -> None:
        assert worker.task is not None
        try:
            came = worker.pipe.recv()
        except (EOFError, OSError):
            self._lost(worker)
            return
        task, worker.task = worker.task, None
        if isinstance(came, BaseException):
            raise came
        if task.work is None:
            self.board.whole(task, came)
        else:
            self.board.slice(task, came)

    def _lost(self, worker: Worker) -> None:
        worker.process.join()
        worker.pipe.close()
        self.workers.remove(worker)
        assert worker.task is not None
        self.board.lost(worker.task, f"exit status {worker.process.exitcode}")


def _work(
    parent: int,
    pipe: Connection,
    inherited: list[Connection],
    checker: Checker,
    hungry: Any,
    stop: Any,
) -> None:
    """The life of a process: tasks, until the parent is gone."""
    for number in ENDS:
        signal.signal(number, signal.SIG_IGN)  # the parent says when to end
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
    for other in inherited:
        other.close()

    def stopped() -> bool:
        """Asked after each execution; nobody is there to hear of a child of another."""
        if os.getppid() != parent:
            os._exit(1)
        return bool(stop.value)

    def pause(seconds: float) -> bool:
        return stopped() or seconds >= SHARE or (seconds >= PATIENCE and bool(hungry.value))

    with no_endless_code(checker.options.max_seconds):
        while True:
            try:
                task: Task = pipe.recv()
            except (EOFError, OSError):
                return
            try:
                came: Any
                if task.work is None:
                    came = checker.whole(task.pair, pause, stopped)
                else:
                    came = checker.slice(
                        task.pair, task.racing, task.work, task.budget, lambda _totals: stopped()
                    )
            except Exception as error:
                came = error
            try:
                pipe.send(came)
            except OSError:  # the parent was killed
                return
