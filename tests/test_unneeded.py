"""Laws of what the command line leaves out: it loads no pandas on its own account, and a user's functions have theirs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# As the console script begins; then pyarrow looks for pandas, in vain, and a function of a user's is loaded and called.
COMMAND = """
import sys
from pathlib import Path
from halocline.unneeded import leave_out
leave_out()
import pyarrow as pa
pa.array([1])
assert "pandas" not in sys.modules
from halocline.located import function_at
print(function_at("theirs:nulls", doing="Looking", folder=Path(sys.argv[1]), example="a:b")())
"""
THEIRS = """
import pandas
import pyarrow

def nulls():
    return pyarrow.array(pandas.Series([1.5, float("nan")])).null_count
"""


def test_functions_of_a_users_own_may_import_pandas(tmp_path: Path) -> None:
    """It is not loaded before, and then pyarrow knows it: NaN in a Series of pandas is null."""
    (tmp_path / "theirs.py").write_text(THEIRS, encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", COMMAND, tmp_path], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_nothing_is_made_known_where_nothing_was_loaded() -> None:
    """A process without pyarrow, or without pandas, stays so."""
    check = "import sys; from halocline.unneeded import make_known; make_known(); print('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout == "False\n"
