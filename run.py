"""`python run.py` starts a session against simulated venues; `python run.py --help` says what else there is."""

from console.cli import main

if __name__ == "__main__":
    main()
