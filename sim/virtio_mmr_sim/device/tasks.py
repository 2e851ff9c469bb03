"""Coroutines that wait for hardware: no threads, no event loop of their own, they run when asked to."""

from collections import deque
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Pending(Generic[T]):
    """A result that is still to come; one task may await it."""

    def __init__(self) -> None:
        self._task: Task | None = None
        self._result: list[T] = []
        self._error: Exception | None = None

    @property
    def done(self) -> bool:
        """Whether it has come."""
        return bool(self._result) or self._error is not None

    def set(self, result: T) -> None:
        """Hand over the result."""
        self._result.append(result)
        self._wake()

    def fail(self, error: Exception) -> None:
        """Raise *error* where the result is awaited."""
        self._error = error
        self._wake()

    def _wake(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.resume()

    def wait(self, task: "Task") -> None:
        """Resume *task* when the result comes."""
        self._task = task

    def __await__(self) -> Generator["Pending[Any]", None, T]:
        while not self.done:
            yield self
        if self._error is not None:
            raise self._error
        return self._result[0]


class Task:
    """A running coroutine of a `Tasks`."""

    def __init__(self, tasks: "Tasks", coroutine: Coroutine[Any, Any, None]):
        self._tasks, self._coroutine = tasks, coroutine
        self.done = False
        self.resume()

    def resume(self) -> None:
        """Go on when `Tasks.run` is called next."""
        self._tasks.ready.append(self)

    def cancel(self) -> None:
        """Never go on."""
        if not self.done:
            self.done = True
            self._coroutine.close()

    def advance(self) -> None:
        """Run up to the next result that has not come, or to the end."""
        if self.done:
            return
        try:
            pending: Pending[Any] = self._coroutine.send(None)
        except StopIteration:
            self.done = True
            return
        pending.wait(self)


class Tasks:
    """Coroutines that take turns."""

    def __init__(self) -> None:
        #: Those that can go on, in the order in which they could.
        self.ready: deque[Task] = deque()

    def start(self, coroutine: Coroutine[Any, Any, None]) -> Task:
        """Have *coroutine* run."""
        return Task(self, coroutine)

    def run(self) -> bool:
        """Let all go on that can, until none can; True if there was one."""
        ran = bool(self.ready)
        while self.ready:
            self.ready.popleft().advance()
        return ran
