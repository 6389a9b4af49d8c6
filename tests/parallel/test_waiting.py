"""Where a rank waits, as another thread of it sees it."""

from __future__ import annotations

import sys
import threading
import time

from minilocal.parallel.launcher.waiting import MainThread, call_of_mpi


class Comm:
    """In place of a communicator: a call of it returns what is read of the line that calls it."""

    def Recv(self, *words):
        return call_of_mpi(sys._getframe(1))

    @classmethod
    def Waitall(cls, *words):
        return call_of_mpi(sys._getframe(1))

    @property
    def comm(self):
        return self

    @property
    def broken(self):
        raise ZeroDivisionError


Comm.__module__ = "mpi4py.MPI"


def test_a_call_of_mpi_is_read_off_its_line():
    comm, α = Comm(), 1
    receive, comms, message = comm.Recv, [comm], [α]
    assert comm.Recv(α) == "comm.Recv"
    assert (α, comm.comm.Recv([α], "ä")) == (1, "comm.comm.Recv")
    assert (
        comm.Recv(
            message,
        )
        == "comm.Recv"
    )
    assert [comm.Recv(number) for number in range(2)] == ["comm.Recv"] * 2
    assert (receive(), Comm.Waitall([])) == ("receive", "Comm.Waitall")
    assert comms[0].Recv() is None
    assert eval("comm.Recv()") is None


def test_other_calls_are_none():
    names: dict[str, object] = {"read": lambda: call_of_mpi(sys._getframe(1))}
    read = names["read"]
    assert callable(read) and read() is None


def test_the_main_thread_stands_still_in_one_call_in_c():
    assert still(lambda: time.sleep(1.0)) > 0.2


def test_the_main_thread_goes_on_where_it_makes_many_such_calls():
    assert still(_many_calls) < 0.2


def still(work):
    """The longest time, of 0.35 s, in which the main thread has stood still while it works."""
    main, times = MainThread(), list[float]()

    def look():
        for _ in range(8):
            time.sleep(0.05)
            main.look(0.05)
            times.append(main.still)

    thread = threading.Thread(target=look)
    thread.start()
    work()
    thread.join()
    return max(times)


def _many_calls():
    last = time.monotonic() + 1.0
    while time.monotonic() < last:
        time.sleep(0.001)
