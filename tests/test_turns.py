"""One thread at a time: it may enter again, others wait, and a forked process does not wait for a thread it lacks."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from minilocal.turns import Turns


def test_the_thread_inside_enters_again_and_others_wait():
    turns, order = Turns(), list[str]()

    def other() -> None:
        with turns.lock:
            order.append("other")

    thread = threading.Thread(target=other)
    with turns.lock:
        thread.start()
        thread.join(0.05)
        with turns.lock:
            order.append("first")
    thread.join()
    assert order == ["first", "other"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_does_not_wait_for_a_thread_that_it_lacks():
    turns, inside, end = Turns(), threading.Event(), threading.Event()

    def hold() -> None:
        with turns.lock:
            inside.set()
            end.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        inside.wait()
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            with turns.lock, turns.lock:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        end.set()
        thread.join()


def test_a_process_forked_inside_leaves_as_its_parent_does():
    turns = Turns()
    with turns.lock:
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            with turns.lock:
                pass
    if child == 0:
        with turns.lock:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with turns.lock:
        pass
