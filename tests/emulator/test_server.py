"""The emulator as a server: it starts on a free port, stops without a trace, and serves pages side by side."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from tests.emulator.conftest import connect

from halocline.emulator import server
from halocline.emulator.clock import Clock
from halocline.emulator.doors.serving import Listeners
from halocline.emulator.server import Emulator, EmulatorConfig, StoreInUseError

FOREGROUND = """
import signal
import sys
from pathlib import Path
from halocline.emulator.server import EmulatorConfig, run_forever

def ready(emulator):
    {first}
    print(emulator.url, flush=True)

run_forever(EmulatorConfig(path=Path(sys.argv[1])), on_ready=ready)
print("stopped", flush=True)
"""
PATIENCE_S = 60.0  # far more than an emulator takes to stop


@contextmanager
def foreground(folder: Path, first: str = "pass") -> Iterator[subprocess.Popen[str]]:
    """A program that runs an emulator in its foreground and does `first` when that is ready; it has ended when the block has."""
    command = [sys.executable, "-c", FOREGROUND.format(first=first), str(folder / "org.sqlite")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_it_listens_on_a_free_loopback_port_until_it_is_stopped() -> None:
    """Two run side by side; after the stop nobody answers, the address is unknown, and temporary files are gone."""
    with Emulator() as one, Emulator() as other:
        assert one.url != other.url
        assert one.url.startswith("http://127.0.0.1:")
        url, folder, store = one.url, one.org.folder, one.store.path
        assert httpx2.get(url + "/services/data").status_code == 200
        assert (folder.exists(), store.exists()) == (True, True)
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(url + "/services/data")
    with pytest.raises(RuntimeError, match="not running"):
        _ = one.url
    assert (folder.exists(), store.exists()) == (False, False)
    one.stop()


def test_a_wrong_setting_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is none is refused, and the store made before it is gone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(ValueError, match="PEM"):
        Emulator(EmulatorConfig(public_keys=("no key",)))
    assert list(tmp_path.iterdir()) == []


def test_a_taken_port_is_an_error_of_the_system() -> None:
    """Not a server that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        emulator = Emulator(EmulatorConfig(port=taken.getsockname()[1]))
        with pytest.raises(OSError, match="in use"):
            emulator.start()
        emulator.stop()


def test_a_block_that_cannot_begin_leaves_nothing() -> None:
    """Nobody stops what did not start: its database is closed, and gone."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        emulator = Emulator(EmulatorConfig(port=taken.getsockname()[1]))
        with pytest.raises(OSError, match="in use"), emulator:
            pytest.fail("it began")
    assert not emulator.store.path.exists()


def test_a_stop_does_not_wait_for_idle_or_stuck_clients() -> None:
    """Open connections, and a request that would take a minute, are cut."""
    emulator = Emulator().start()
    emulator.faults.add("delay", path="/services/data", nth=2, seconds=60)
    url, failed = emulator.url, threading.Event()

    def ask() -> None:
        try:
            httpx2.get(url + "/services/data", timeout=60)
        except httpx2.HTTPError:
            failed.set()

    with httpx2.Client(base_url=url) as idle:
        idle.get("/services/data")
        stuck = threading.Thread(target=ask)
        stuck.start()
        emulator.faults.add("answer", path="/probe", status=200)
        while not list(emulator.calls) or not stuck.is_alive():
            idle.get("/probe")
        emulator.stop()
        stuck.join(timeout=20)
        assert not stuck.is_alive()


def test_the_data_survives_in_a_file(tmp_path: Path) -> None:
    """A store with a path is there again after a restart, users and organization included."""
    config = EmulatorConfig(path=tmp_path / "org.sqlite")
    with Emulator(config) as emulator, connect(emulator) as client:
        record_id = client.post("/sobjects/Account", json={"Name": "x"}).json()["id"]
        identity = (emulator.org.org_id, emulator.org.api_user_id)
    with Emulator(config) as emulator, connect(emulator) as client:
        assert client.get(f"/sobjects/Account/{record_id}").json()["Name"] == "x"
        assert (emulator.org.org_id, emulator.org.api_user_id) == identity


def test_a_store_is_one_emulators_while_it_runs(tmp_path: Path) -> None:
    """Another one is refused and changes nothing; it has the records as soon as the first has ended."""
    config = EmulatorConfig(path=tmp_path / "org.sqlite")
    with Emulator(config) as first:
        first.create("Account", {"Name": "x"})
        for _ in range(2):
            with pytest.raises(StoreInUseError, match="another emulator"):
                Emulator(config)
        first.create("Account", {"Name": "y"})
    with Emulator(config) as second:
        assert len(second.query("SELECT Id FROM Account")) == 2


def test_a_store_whose_emulator_was_killed_is_free(tmp_path: Path) -> None:
    """Its lock ends with its process."""
    with foreground(tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http")
        config = EmulatorConfig(path=tmp_path / "org.sqlite")
        with pytest.raises(StoreInUseError):
            Emulator(config)
        process.kill()
        process.wait(timeout=PATIENCE_S)
        Emulator(config).stop()


def test_a_clock_can_be_brought_along() -> None:
    """One clock may drive several orgs."""
    clock = Clock()
    with Emulator(clock=clock) as emulator:
        assert emulator.clock is clock


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_in_the_foreground_a_signal_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    """Exit code 0, and what comes after `run_forever` runs."""
    with foreground(tmp_path) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert httpx2.get(url + "/services/data").status_code == 200
        process.send_signal(number)
        assert process.communicate(timeout=PATIENCE_S)[0] == "stopped\n"
    assert process.returncode == 0


@pytest.mark.parametrize("number", [pytest.param(signal.SIGTERM, marks=pytest.mark.long), signal.SIGINT])
def test_in_the_foreground_a_signal_that_interrupts_no_wait_ends_it_too(tmp_path: Path, number: signal.Signals) -> None:
    """A library may have set SA_RESTART, as polars does: the system then goes on with a wait before Python hears of it."""
    with foreground(tmp_path, f"signal.siginterrupt({int(number)}, False)") as process:
        assert process.stdout is not None
        assert httpx2.get(process.stdout.readline().strip() + "/services/data").status_code == 200
        process.send_signal(number)
        assert process.communicate(timeout=PATIENCE_S)[0] == "stopped\n"
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_in_the_foreground_a_signal_before_it_is_ready_ends_it_when_it_is(tmp_path: Path, number: signal.Signals) -> None:
    """What `on_ready` does is done whole; nothing is served after it."""
    with foreground(tmp_path, f"signal.raise_signal({int(number)})") as process:
        out, _ = process.communicate(timeout=PATIENCE_S)
    url, stopped = out.splitlines()
    assert (url.startswith("http://127.0.0.1:"), stopped, process.returncode) == (True, "stopped", 0)


def test_nobody_is_answered_before_the_org_is_filled(tmp_path: Path) -> None:
    """`on_bound` has the ports, where connections are refused; the first request finds what it made."""
    filling = """
def bound(emulator):
    emulator.create("Account", {"Name": "first"})
    emulator.faults.add("server_error", times=1)
    port = emulator._doors[0].http.getsockname()[1]
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        print("refused", flush=True)

def ready(emulator):
    first = urllib.request.Request(emulator.url + "/services/data")
    try:
        urllib.request.urlopen(first)
    except urllib.error.HTTPError as answer:
        print(answer.code, [row["Name"] for row in emulator.query("SELECT Name FROM Account")], flush=True)
    signal.raise_signal(signal.SIGTERM)
"""
    program = (
        "import signal, socket, urllib.error, urllib.request\n"
        "from halocline.emulator.server import EmulatorConfig, run_forever\n"
        f"{filling}\nrun_forever(EmulatorConfig(), on_bound=bound, on_ready=ready)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, env=environment, text=True, timeout=PATIENCE_S, check=False)
    assert (done.stdout, done.stderr) == ("refused\n500 ['first']\n", "")


def test_a_port_that_is_taken_alters_nothing(tmp_path: Path) -> None:
    """The org is not filled, so that a second try fills it once; ports bound for nothing are free again."""
    with Emulator() as other:
        port = int(other.url.rpartition(":")[2])
        filled: list[Emulator] = []
        with pytest.raises(OSError, match="in use"):
            server.run_forever(EmulatorConfig(port=port, path=tmp_path / "org.sqlite"), on_bound=filled.append)
    assert filled == []
    made = Emulator(EmulatorConfig(port=port))
    made.bind().stop()
    with Emulator(EmulatorConfig(port=port)) as again:
        assert again.url.endswith(f":{port}")


def test_a_port_is_of_who_took_it_first() -> None:
    """Also while nobody listens there yet; two doors of one emulator are held apart as well."""
    first = Emulator().bind()
    try:
        port = first._bound()[0].http.getsockname()[1]
        second = Emulator(EmulatorConfig(port=port))
        with pytest.raises(OSError, match="in use") as caught:
            second.bind()
        assert caught.value.filename == f"port {port}"
        second.stop()
    finally:
        first.stop()
    both = Emulator(EmulatorConfig(port=port, https=True, https_port=port))
    with pytest.raises(OSError, match="in use"):
        both.bind()
    both.stop()


def test_a_port_that_another_listens_on_in_the_end_is_not_announced() -> None:
    """It was bound for reuse by both, as it can be while connections of before are ending."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        late = Emulator(EmulatorConfig(port=port)).bind()
        other.listen()
        with pytest.raises(OSError, match="in use") as caught:
            late.start()
        assert caught.value.filename == f"port {port}"
        late.stop()


def test_a_restart_finds_its_port_while_connections_are_ending() -> None:
    """The emulator closed them, so that its end of them lingers for a minute."""
    port = 0
    for _ in range(3):
        with Emulator(EmulatorConfig(port=port)) as emulator:
            port = int(emulator.url.rpartition(":")[2])
            client = httpx2.Client(trust_env=False)
            assert client.get(emulator.url + "/services/data").status_code == 200
        client.close()


def test_requests_are_served_side_by_side(run_emulator: Callable[..., Emulator]) -> None:
    """One that takes long does not hold up another."""
    emulator = run_emulator()
    emulator.faults.add("delay", path="/services/data$", seconds=60)
    slow = threading.Thread(target=lambda: _ignored(emulator.url + "/services/data"))
    slow.start()
    with connect(emulator) as client:
        assert client.get("/limits").status_code == 200
    assert slow.is_alive()
    emulator.stop()
    slow.join(timeout=20)
    assert not slow.is_alive()


def _ignored(url: str) -> None:
    try:
        httpx2.get(url, timeout=60)
    except httpx2.HTTPError:
        return


def test_an_org_for_others_is_called_as_they_call_it() -> None:
    """Bound to an address that is not this machine's alone, it answers under any name, and a login leads back to that name."""
    with Emulator(EmulatorConfig(host="127.0.0.2")) as emulator:
        keys = {"client_id": emulator.config.consumer_key, "client_secret": emulator.config.consumer_secret}
        form = {"grant_type": "client_credentials", **keys}
        with httpx2.Client(trust_env=False, headers={"Host": "org.example:8080"}) as client:
            answer = client.post(f"{emulator.url}/services/oauth2/token", data=form).json()
    assert answer["instance_url"] == "http://org.example:8080"


@pytest.mark.parametrize(
    ("family", "every", "here"), [(socket.AF_INET, "0.0.0.0", "127.0.0.1"), (socket.AF_INET6, "::", "[::1]")]
)
def test_an_org_at_every_address_is_announced_by_one_that_can_be_called(family: int, every: str, here: str) -> None:
    """`0.0.0.0` is where it listens and nowhere that a client could go."""
    with socket.socket(family) as bound:  # and never listening: nobody reaches it
        bound.bind((every, 0))
        port = bound.getsockname()[1]
        addresses = server._addresses(Listeners(bound), EmulatorConfig(host=every), None)
    assert addresses.url == f"http://{here}:{port}"
