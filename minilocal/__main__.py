"""`python -m minilocal` is the `minilocal` command."""

from minilocal.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
