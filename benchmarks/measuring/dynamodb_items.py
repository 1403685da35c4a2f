"""The items of the benchmark's table in a file, as boto3's users have them, save that bytes are bytes. Started with one JSON
argument, `{path}`.
"""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

from halocline.compat.demand.utils import get_dynamo_table, parallel_scan_dynamo_table

sys.path.append(str(Path(__file__).resolve().parents[1]))

from measuring.dynamodb_rows import TABLE


def main() -> None:
    """Write them."""
    items = parallel_scan_dynamo_table(get_dynamo_table(TABLE))
    Path(json.loads(sys.argv[1])["path"]).write_bytes(pickle.dumps(items))
    print(json.dumps({"rows": len(items)}), flush=True)


if __name__ == "__main__":
    main()
