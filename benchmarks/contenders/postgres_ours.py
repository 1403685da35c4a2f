"""`halocline sync` into PostgreSQL, a process of its own, as documented; result pages are staged in files.

Started by postgres.py with one JSON argument; answers with one JSON line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys


def main() -> None:
    """`{url, token, uri, home}`."""
    wanted = json.loads(sys.argv[1])
    login = {"SF_ACCESS_TOKEN": wanted["token"], "SF_INSTANCE_URL": wanted["url"], "HALOCLINE_HOME": wanted["home"]}
    to = ["--to", wanted["uri"], "--schema", "raw", "--table", "accounts"]
    command = [sys.executable, "-m", "halocline", "sync", "Account", *to, "--use-stage", "--json"]
    done = subprocess.run(command, env={**os.environ, **login}, stdout=subprocess.PIPE, text=True, check=True)
    told = json.loads(done.stdout.strip().splitlines()[-1])
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
