"""What the pages show, done: each page's blocks in their order, in one fresh folder and one namespace.

    ```python    is run; one that begins with "# NAME.py" is written to that file as well
    ```sh        of its lines, those that begin with "minilocal" are run, and must end with status 0
    ```toml      one that begins with "# NAME.toml" is written to that file
    ```text      straight behind a block of Python: what that prints, but for its numbers

What takes too long, or needs what is not here, stands behind a line "<!-- not run: why -->"; what needs a package that
the tests do not install, behind "<!-- needs PACKAGE -->", and is run where that is installed. Of commands that are not
run only the words are tried: `train` shows its configuration, the others take their options.
"""

from __future__ import annotations

import io
import re
import shlex
from contextlib import redirect_stdout
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from minilocal import cli
from minilocal.kernels.choice import kernels, using
from minilocal.kernels.threads import threads, use_threads

ROOT = Path(__file__).parents[1]
PRINTED = "a block of Python"
NUMBER = r"[-+]?\d+(?:\.\d*)?(?:e[-+]?\d+)?"
NO_BRACKETS = str.maketrans("[]", "  ")
UNDER_DOCS = [path for folder in ("docs", "docs/howto") for path in sorted((ROOT / folder).glob("*.md"))]
PAGES = ["README.md", *(str(path.relative_to(ROOT)) for path in UNDER_DOCS)]


class Block(NamedTuple):
    """One fenced block: its language, the line on which its text begins, the text, and what stands before it."""

    language: str
    line: int
    text: str
    before: str = ""

    @property
    def is_run(self) -> bool:
        if needs := re.match(r"<!-- needs (\w+) -->", self.before):
            return find_spec(needs[1]) is not None
        return not self.before.startswith("<!-- not run:")


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page."""
    fenced, lines, before = [], iter(enumerate(page.splitlines(), 1)), ""
    for number, line in lines:
        if fence := re.fullmatch(r"\s*```(\w*)", line):
            body = []
            for _, inner in lines:
                if inner.strip() == "```":
                    break
                body.append(inner)
            else:
                raise AssertionError(f"line {number}: a block that does not end")
            fenced.append(Block(fence[1], number + 1, "\n".join(body) + "\n", before))
        before = PRINTED if fence and fence[1] == "python" else line.strip() or before
    return fenced


def commands(text: str) -> list[list[str]]:
    """The words of every minilocal command in a shell block, without its comments."""
    lines = [shlex.split(line, comments=True) for line in text.replace("\\\n", " ").splitlines()]
    return [words[1:] for words in lines if words[:1] == ["minilocal"]]


def shape(text: str) -> list[list[str]]:
    """The words of each line without brackets, with every number as #."""
    return [re.sub(NUMBER, "#", line.translate(NO_BRACKETS)).split() for line in text.strip().splitlines()]


def tried(words: list[str]) -> bool:
    """Whether a command takes these words; nothing is done."""
    if words[0] == "train":
        return cli.main([*words, "--show"]) == 0
    import_module(f"minilocal.cli.{words[0]}").parser().parse_args(words[1:])
    return True


def do(page: str, name: str) -> int:
    """Runs a page in the current folder, and tells how many blocks and commands it ran."""
    space, done = {"__name__": "__main__"}, 0
    printed: io.StringIO | None = None
    for block in blocks(page):
        if file := re.match(r"# (\w+\.(?:py|toml))\n", block.text):
            Path(file[1]).write_text(block.text)
        if block.language == "python" and not block.is_run:
            printed = None
        elif block.language == "python":
            with redirect_stdout(printed := io.StringIO()):
                exec(compile("\n" * (block.line - 1) + block.text, name, "exec"), space)  # errors name the page's line
            done += 1
        elif block.language == "sh":
            for words in commands(block.text):
                well = cli.main(words) == 0 if block.is_run else tried(words)
                assert well, f"{name}, line {block.line}: minilocal {shlex.join(words)}"
                done += 1
        elif block.language == "text" and block.before == PRINTED and printed is not None:
            assert shape(block.text) == shape(printed.getvalue()), (
                f"{name}, line {block.line}: this is not what is printed"
            )
    return done


@pytest.fixture(autouse=True)
def as_many_threads_afterwards():
    """A run takes every core, and this process has neighbours."""
    before = threads()
    with using(kernels()):
        yield
    use_threads(before)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_what_it_shows(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    do((ROOT / page).read_text(), page)


SAMPLE = """
```python
# made.py
x = 1
```

```python
assert x == 1; y = [
    1 / 1]
print("y is", y[0])
```

```text
y is 1.00
```
<!-- not run: it would fail -->

```python
1 / 0
```
<!-- not run: it would take its time -->

```sh
minilocal train --epochs 1000
minilocal predict run
```
Text, and commands:

```sh
source .venv/bin/activate
minilocal data digits \\
    --no-download      # what is there
ls
```

```text
1 / 0
```
"""


def test_blocks_are_found_and_run_in_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    kinds = [(block.language, block.line, block.is_run) for block in blocks(SAMPLE)]
    assert kinds == [
        ("python", 3, True), ("python", 8, True), ("text", 14, True), ("python", 19, False), ("sh", 24, False),
        ("sh", 30, True), ("text", 37, True),
    ]  # fmt: skip
    assert commands(blocks(SAMPLE)[5].text) == [["data", "digits", "--no-download"]]
    assert do(SAMPLE, "sample") == 5
    printed = capsys.readouterr().out
    assert "epochs = 1000" in printed and "1437 training" in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made.py"]
    assert Path("made.py").read_text() == "# made.py\nx = 1\n"


def test_what_needs_a_package_is_run_where_it_is_installed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sample = """
<!-- needs {} -->

```python
print("here")
```

```text
{}
```

<!-- needs {} -->

```sh
minilocal data digits --no-download
```
"""
    assert do(sample.format("numpy", "here", "numpy"), "sample") == 2
    assert "1437 training" in capsys.readouterr().out
    assert do(sample.format("nosuch", "there", "nosuch"), "sample") == 1
    assert capsys.readouterr().out == ""
    with pytest.raises(AssertionError, match="this is not what is printed"):
        do(sample.format("numpy", "there", "numpy"), "sample")


def test_a_block_that_fails_is_named_by_its_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ZeroDivisionError) as caught:
        do(SAMPLE.replace("1 / 1", "1 / 0"), "sample")
    assert (caught.traceback[-1].frame.code.raw.co_filename, caught.traceback[-1].lineno + 1) == ("sample", 9)
    with pytest.raises(AssertionError, match="sample, line 30: minilocal data nosuch --no-download"):
        do(SAMPLE.replace("data digits", "data nosuch"), "sample")
    with pytest.raises(AssertionError, match="sample, line 24: minilocal train --epoch 1000"):
        do(SAMPLE.replace("--epochs 1000", "--epoch 1000"), "sample")
    with pytest.raises(AssertionError, match="sample, line 14: this is not what is printed"):
        do(SAMPLE.replace("y is 1.00", "y was 1.00"), "sample")
    with pytest.raises(AssertionError, match="line 36: a block that does not end"):
        blocks(SAMPLE.removesuffix("```\n"))
