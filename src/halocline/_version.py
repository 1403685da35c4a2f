"""The one place that holds the version; the wheel, `halocline version` and `halocline.__version__` read it here."""

__version__ = "0.1.0"
