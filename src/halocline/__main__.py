"""`python -m halocline` is the same as `halocline`."""

from halocline.cli.main import run

if __name__ == "__main__":
    run()
