"""Threads that wait for work, whose caller may be interrupted by a signal's handler at any instant.

`concurrent.futures` bears no Ctrl-C there: it may come between the acquisition of a condition's lock and the end of the
`__enter__` in Python that acquires it. The lock is then held for ever, and the pool hangs. Here the caller holds locks
of C alone, in `with` blocks, and whatever it does again after a signal may be done again.
"""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable
from contextvars import copy_context
from queue import SimpleQueue

Work = Callable[[], None]

own = threading.local()  # of each thread: whether it is a pool's, and the call that it is in


class Call:
    """One piece of work that several threads share: those that have begun it when it is closed are waited for.

    Closed, it holds neither the work nor its arrays, though threads that come too late still hold the call.
    """

    def __init__(self, work: Work) -> None:
        self.gate, self.is_open = threading.Lock(), True
        self.work: Work | None = work
        self.running: list[threading.Lock] = []  # of each thread that has begun, held until it has ended
        self.errors: list[BaseException] = []

    def join(self) -> None:
        """Do the work in a thread of a pool, unless the call has been closed."""
        ended = threading.Lock()
        ended.acquire()
        with self.gate:
            if not self.is_open:
                return
            self.running.append(ended)
        try:
            assert self.work is not None
            self.work()
        except BaseException as error:  # `raise_first` raises it in the caller
            self.errors.append(error)
        finally:
            ended.release()

    def close(self) -> None:
        """Let no thread begin any more, and wait until those that have begun have ended, Ctrl-C or not."""
        interrupted: BaseException | None = None
        while True:
            try:
                with self.gate:
                    self.is_open = False
                for ended in self.running:
                    with ended:
                        pass
                self.work = None
                break
            except BaseException as error:  # of a signal's handler, KeyboardInterrupt as a rule
                interrupted = error
        if interrupted is not None:
            raise interrupted

    def raise_first(self) -> None:
        """Raise the first error of those that joined, if there is one; its frames are not kept alive by this call."""
        if not self.errors:
            return
        error = self.errors[0]
        self.errors.clear()
        try:
            raise error
        finally:
            del error


class Pool:
    """`number` threads that do what is given to them; they end with the process, or when they are told to.

    Raises: RuntimeError where no thread can be started, as at the interpreter's end.
    """

    def __init__(self, number: int) -> None:
        self.tasks: SimpleQueue[Work | None] = SimpleQueue()
        self.ended: list[threading.Lock] = []
        try:
            for _ in range(number):
                ended = threading.Lock()
                ended.acquire()
                _thread.start_new_thread(_serve, (self.tasks, ended))  # in C: no condition, as Thread.start has
                self.ended.append(ended)
        except BaseException:  # those that have been started end again
            for _ in range(number):
                self.tasks.put(None)
            raise

    def share(self, call: Call) -> None:
        """Let one thread join the call, in the caller's context: NumPy's errstate and `ops.reference()` hold there."""
        context = copy_context()
        self.tasks.put(lambda: context.run(call.join))

    def stop(self) -> None:
        """Return when all of its threads have ended, after what was given to them before."""
        for _ in self.ended:
            self.tasks.put(None)
        for ended in self.ended:
            with ended:
                pass


def _serve(tasks: SimpleQueue[Work | None], ended: threading.Lock) -> None:
    own.serves = True
    try:
        while (task := tasks.get()) is not None:
            task()
            del task
    finally:
        ended.release()


def is_inside() -> bool:
    """Whether this thread is at a call's work already."""
    call: Call | None = getattr(own, "call", None)
    return getattr(own, "serves", False) or (call is not None and call.is_open)
