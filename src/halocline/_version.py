"""The one place that holds the version: pyproject.toml (so sdist, wheel and what lists their parts), `halocline --version`,
`halocline.__version__` and what HTTP clients tell of themselves read it here.
"""

__version__ = "0.1.0"
