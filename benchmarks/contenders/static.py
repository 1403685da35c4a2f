"""The same web server with the same settings, without a Salesforce: files and texts that lie ready.

Started by pages.py with one JSON argument; answers with its address, and serves until it is ended.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from halocline.emulator.doors.serving import Listeners, Serving
from halocline.emulator.wire import SLICE_BYTES, Answer, gzipped


def main() -> None:
    """`{folder, texts: {name: text}}`: `/text/{name}`; of the folder `/file/{name}`, and packed as it leaves `/gzip/{name}`."""
    wanted = json.loads(sys.argv[1])
    folder, texts = Path(wanted["folder"]), {name: text.encode() for name, text in wanted["texts"].items()}

    async def text(request: Request) -> Response:
        return Response(texts[request.path_params["name"]], media_type="application/json")

    async def file(request: Request) -> Response:
        return StreamingResponse(_pieces(folder / request.path_params["name"]), media_type="text/csv")

    async def packed(request: Request) -> Response:
        body = gzipped(Answer(body=_pieces(folder / request.path_params["name"]))).chunks()
        return StreamingResponse(body, media_type="text/csv", headers={"Content-Encoding": "gzip"})

    app = Starlette(routes=[Route("/text/{name}", text), Route("/file/{name}", file), Route("/gzip/{name}", packed)])
    listeners = Listeners.bound("127.0.0.1", http=0, https=None, proxy=None)
    serving = Serving(app, listeners)
    serving.start()
    print(json.dumps({"url": f"http://127.0.0.1:{listeners.http.getsockname()[1]}"}), flush=True)
    sys.stdin.readline()
    serving.stop()


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(SLICE_BYTES):
            yield piece


if __name__ == "__main__":
    main()
