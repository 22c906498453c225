"""`python -m noibo` is the `noibo` command."""

from noibo.cli.main import main

if __name__ == "__main__":
    main()
