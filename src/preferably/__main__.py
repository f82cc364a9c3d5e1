"""`python -m preferably`, as torchrun starts it."""

from preferably.cli.main import main

if __name__ == "__main__":
    main()
