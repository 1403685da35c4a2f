"""Servers that repeat the secret they were told: a PostgreSQL, a Redis, and a proxy, as far as a login goes."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.connectors.salesforce.loopback import Asked

Talk = Callable[[socket.socket], None]


def echo(asked: Asked) -> str:
    """A request as it came."""
    headers = "\n".join(f"{name}: {value}" for name, value in asked.headers.items())
    return f"{asked.method} {asked.target}\n{headers}\n\n{asked.body.decode('utf-8', 'replace')}"


def shown(asked: Asked) -> str:
    """What an application shows of a request: its form, decoded, and what the headers say without their names."""
    return " ".join([*asked.form.values(), *asked.headers.values(), asked.token])


@contextmanager
def talking(talk: Talk) -> Iterator[int]:
    """A port of this machine on which every connection is handed to `talk`, one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, talk), daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join()


def _serve(listener: socket.socket, talk: Talk) -> None:
    while True:
        try:
            line, _ = listener.accept()
        except OSError:
            return
        with line, suppress(OSError, ValueError):
            line.settimeout(10)
            talk(line)


def postgres(state: str) -> Talk:
    """Asks for the password in plain text, and refuses it with that SQLSTATE, repeating it.

    Source: "Message Formats", https://www.postgresql.org/docs/current/protocol-message-formats.html
    """

    def talk(line: socket.socket) -> None:
        while struct.unpack("!II", _exactly(line, 8))[1] in (80_877_103, 80_877_104):  # TLS or GSS?
            line.sendall(b"N")
        line.recv(4_096)
        line.sendall(b"R" + struct.pack("!II", 8, 3))
        _, length = struct.unpack("!cI", _exactly(line, 5))
        word = _exactly(line, length - 4).rstrip(b"\0")
        told = b"SFATAL\0C" + state.encode() + b"\0Mwrong password " + word + b"\0Dit was " + word + b"\0\0"
        line.sendall(b"E" + struct.pack("!I", len(told) + 4) + told)

    return talk


def redis(line: socket.socket) -> None:
    """Refuses whatever it is asked, in the words of the question."""
    while asked := line.recv(65_536):
        words = b" ".join(part for part in asked.split(b"\r\n") if part[:1] not in (b"*", b"$"))
        line.sendall(b"-ERR wrong " + words + b"\r\n")


def proxy(line: socket.socket) -> None:
    """Wants another login, and repeats the one it was given."""
    asked = line.recv(65_536)
    told = asked.replace(b"\r\n", b" ")
    line.sendall(b"HTTP/1.1 407 wrong " + told + b"\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(told), told))


def _exactly(line: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = line.recv(size - len(found))
        if not piece:
            raise OSError("it hung up")
        found += piece
    return found
