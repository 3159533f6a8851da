"""`python -m tokensvc` is the command `tokensvc`."""

from tokensvc.cli import main

if __name__ == "__main__":
    main()
