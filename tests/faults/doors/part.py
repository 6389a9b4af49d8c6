"""The part `doors` of `make trust`: two tables of wrong input, and command lines of random words."""

from __future__ import annotations

from tests.faults.doors import broken, command_lines, fuzz, python_calls, real_processes
from tests.faults.doors.tables import rows
from tests.faults.measured import Figure, Measured

TITLE = "Input at every door"
ABOUT = """
Two tables of wrong input, a row each: command lines, and calls of the public functions with wrong types, shapes,
numbers, names, files and states. What must hold: one printable line of at most 400 characters, that has the words
of the row which say what to do instead; exit status 2, or a UserError; under 2 seconds of computing; and nothing has
changed: files, weights, running statistics, the optimiser's state, batches in flight, counters, settings. The next step of a
Learner has the bits of one that met no wrong call. Command lines run in forks of a process that has imported
everything, and some in processes of their own. Odd forms that are right, as NumPy's integers, must mean the same as the
plain ones. Then come command lines of random words, with seeds 0, 1, ...: no traceback, and the same for every refusal.
"""
MINUTES = 5


def run(minutes: float) -> Measured:
    """The tables, then random words for the rest of the minutes."""
    lines, calls, odd = rows("lines"), rows("calls"), rows("accepted")
    with command_lines.laid_out() as folder:
        refused = command_lines.failures(lines, folder)
        real = real_processes.failures(lines, folder)
        red = broken.of_lines(folder)
    with python_calls.placed() as place:
        called = python_calls.failures(calls, place)
        taken = python_calls.not_accepted(odd, place)
        red += broken.of_calls(place)
    counts, random = fuzz.tried(max(0.5, minutes - 1.5))
    most = sum(counts.values())
    figures = [
        Figure("wrong command lines", len(lines), len(lines) - len(refused)),
        Figure("of these in processes of their own", real_processes.COUNT, real_processes.COUNT - len(real)),
        Figure("wrong calls", len(calls), len(calls) - len(called)),
        Figure("odd forms that are right", len(odd), len(odd) - len(taken)),
        Figure("command lines of random words", most, most - len(random), f"{counts[2]} refused"),
    ]
    return Measured(figures, red, refused + real + called + taken + random)
