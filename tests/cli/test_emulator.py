"""`halocline emulator` runs one, and `halocline emulator env` leads any client in another terminal to it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner, Result

from halocline.emulator import server
from halocline.emulator.server import Emulator, EmulatorConfig, Login
from tests.command_line import app

HALOCLINE = [sys.executable, "-m", "halocline"]
CLIENT = (
    "import json, urllib.request; "
    "print(json.load(urllib.request.urlopen('https://login.salesforce.com/services/data'))[-1]['version'])"
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    return tmp_path / "home"


@pytest.fixture
def halocline(home: Path) -> Callable[..., Result]:
    return lambda *words: CliRunner().invoke(app, ["emulator", *words])


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[EmulatorConfig]:
    """The settings with which an emulator would have been run."""
    configs: list[EmulatorConfig] = []

    def run(config: EmulatorConfig, **_: object) -> None:
        configs.append(config)

    monkeypatch.setattr(server, "run_forever", run)
    return configs


Running = Callable[..., Result]


@pytest.fixture
def while_it_runs(monkeypatch: pytest.MonkeyPatch, halocline: Callable[..., Result]) -> Running:
    """`halocline emulator` and some words in this process: what looks at its emulator when it is ready, after which it ends."""

    def started(look: Callable[[Emulator], None], *words: str) -> Result:
        def run(config: EmulatorConfig, *, on_bound: Callable[[Emulator], None], on_ready: Callable[[Emulator], None]) -> None:
            made = Emulator(config)
            on_bound(made)
            with made as emulator:
                on_ready(emulator)
                look(emulator)

        monkeypatch.setattr(server, "run_forever", run)
        done = halocline("--port", "0", *words)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done

    return started


@contextmanager
def running(*words: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """`halocline emulator` in a process of its own, and what it says of itself."""
    with subprocess.Popen(
        [*HALOCLINE, "emulator", "--port", "0", "--json", *words], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.terminate()


def exported(text: str) -> Mapping[str, str]:
    """What a shell would understand."""
    words = [shlex.split(line) for line in text.splitlines()]
    assert all(word[0] == "export" for word in words)
    return {name: value for _, assignment in words for name, _, value in [assignment.partition("=")]}


def test_any_client_in_another_terminal_finds_it(home: Path) -> None:
    """`eval` the exports, and a program that knows only login.salesforce.com is in; at the end no trace is left."""
    with running("--seed", "Account=3") as (process, said):
        script = f'eval "$({shlex.join(HALOCLINE)} emulator env)" && {shlex.quote(sys.executable)} -c {shlex.quote(CLIENT)}'
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout == "67.0\n"
        assert said.keys() == {"url", "client_id", "client_secret", "https_url", "proxy_url", "ca_file"}
        assert len(list((home / "emulators").iterdir())) == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    assert list((home / "emulators").iterdir()) == []


def test_the_one_started_last_is_meant(halocline: Callable[..., Result], while_it_runs: Running, home: Path) -> None:
    """Unless another is named, and again when the last one is gone, by Ctrl-C."""
    with running() as (process, first):

        def look(second: Emulator) -> None:
            assert exported(halocline("env").stdout)["SF_LOGIN_URL"] == second.url
            assert exported(halocline("env", "--url", first["url"] + "/").stdout)["SF_LOGIN_URL"] == first["url"]

        while_it_runs(look)
        assert exported(halocline("env").stdout)["HTTPS_PROXY"] == first["proxy_url"]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    assert list((home / "emulators").iterdir()) == []


def test_versions_out_of_order_are_a_wrong_use(halocline: Callable[..., Result]) -> None:
    """Both options are named; nothing is started."""
    done = halocline("--oldest-version", "60", "--newest-version", "50")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--oldest-version 60 is newer than --newest-version 50" in " ".join(done.stderr.split())
    assert json.loads(halocline("--oldest-version", "60", "--newest-version", "50", "--json").stdout)["kind"] == "Usage"


def test_without_an_emulator_there_is_nothing_to_export(halocline: Callable[..., Result]) -> None:
    """Exit code 2 and a way on; a shell's eval gets nothing to do."""
    done = halocline("env")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "halocline emulator" in done.stderr
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}", "no address", "http://[", ""):
        assert halocline("env", "--url", url).exit_code == 2
    assert json.loads(halocline("env", "--json").stdout)["exit_code"] == 2


def test_a_home_that_cannot_be_written_stops_nothing(
    halocline: Callable[..., Result], while_it_runs: Running, home: Path
) -> None:
    """The emulator runs without its note, and is found by its address."""
    home.write_text("a file, not a folder")

    def look(emulator: Emulator) -> None:
        assert exported(halocline("env", "--url", emulator.url).stdout)["SF_LOGIN_URL"] == emulator.url

    while_it_runs(look)


@pytest.mark.parametrize("note", ['{"url": "http://127.0.0.1:1"}', "not json", "[]", '{"url": 5}'])
def test_a_note_that_nobody_stands_behind_is_removed(halocline: Callable[..., Result], home: Path, note: str) -> None:
    """An emulator that was killed leaves one; the next `env` tidies up."""
    stale = home / "emulators" / "1.json"
    stale.parent.mkdir(parents=True)
    stale.write_text(note)
    assert halocline("env").exit_code == 2
    assert not stale.exists()


def test_the_exports_come_in_the_shells_language(halocline: Callable[..., Result]) -> None:
    """Also as JSON, and for a host of Salesforce's."""
    with Emulator(EmulatorConfig(https=True, proxy=True)) as emulator:
        expected = emulator.environment("x.my.salesforce.com")
        words = ("env", "--url", emulator.url, "--host", "x.my.salesforce.com")
        assert json.loads(halocline(*words, "--json").stdout) == expected
        assert exported(halocline(*words).stdout) == expected
        assert f"set -gx SSL_CERT_FILE {emulator.ca_file};" in halocline(*words, "--shell", "fish").stdout
        assert f"$env:SSL_CERT_FILE = '{emulator.ca_file}'" in halocline(*words, "--shell", "powershell").stdout


def test_a_host_needs_the_proxy(halocline: Callable[..., Result]) -> None:
    """The refusal says so."""
    with Emulator() as emulator:
        done = halocline("env", "--url", emulator.url, "--host", "x.my.salesforce.com")
    assert (done.exit_code, "proxy" in done.stderr) == (2, True)


def test_all_doors_are_open_unless_told_otherwise(halocline: Callable[..., Result], chosen: list[EmulatorConfig]) -> None:
    """The proxy needs the https door, so without that there is none."""
    for words in ([], ["--no-proxy"], ["--no-https"]):
        assert halocline("--port", "0", *words).exit_code == 0
    assert [(config.https, config.proxy) for config in chosen] == [(True, True), (True, False), (False, False)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--records 5", "--records makes records of the objects that --schema defines"),
        ("--no-https --proxy", "--proxy leads clients to the https door"),
        ("--no-https --https-port 8443", "--https-port is of the https door"),
        ("--no-https --ca-dir ca", "--ca-dir is of the https door"),
        ("--no-https --proxy-port 8888", "--proxy-port is of the proxy, which --no-https shuts"),
        ("--no-proxy --proxy-port 8888", "--proxy-port is of the proxy, which --no-proxy shuts"),
    ],
)
def test_a_switch_that_would_do_nothing_is_refused(
    halocline: Callable[..., Result], chosen: list[EmulatorConfig], words: str, said: str
) -> None:
    """Code 2 and why; nothing is started."""
    done = halocline("--port", "0", *words.split())
    assert (done.exit_code, said in " ".join(done.stderr.split()), chosen) == (2, True, []), done.output


def test_the_other_doors_are_beside_the_first(halocline: Callable[..., Result], chosen: list[EmulatorConfig]) -> None:
    """On the next ports; on any free one where somebody else listens, or where the first is free to choose as well."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        halocline("--port", str(port - 1))
        halocline("--port", "0")
        halocline("--port", "0", "--https-port", "18443", "--proxy-port", "18888")
    ports = [(config.port, config.https_port, config.proxy_port) for config in chosen]
    assert ports[0][:2] == (port - 1, 0)
    assert ports[1:] == [(0, 0, 0), (0, 18443, 18888)]


def test_every_switch_reaches_the_emulator(
    halocline: Callable[..., Result], chosen: list[EmulatorConfig], tmp_path: Path
) -> None:
    """One by one, under the names of the settings."""
    pem = tmp_path / "cert.pem"
    pem.write_text("-----BEGIN CERTIFICATE-----")
    words = (
        "--port 0 --host ::1 --user eva@example.com:pw --user bob@example.com:a:b:TOKEN --refresh-token 5Aep "
        "--rotate-refresh-tokens --no-password-flow --no-soap-login --expire-after 3 --expire-after-s 1.5 --page-size 200 "
        "--page-rows 10 --job-ms 5 --job-ms-per-10k 6 --no-hard-delete --max-cursors 2 --daily-api-requests 100 "
        "--daily-query-jobs 7 --limit-info per-app --bulk-upload-bytes 99 --no-enforce-required --no-enforce-unique "
        f"--no-enforce-duplicate-rules --lock-wait-s 0.5 --charset utf-8 --ca-dir {tmp_path} --store {tmp_path / 'org'} "
        f"--certificate {pem}"
    )
    done = halocline(*words.split())
    assert done.exit_code == 0, done.output
    (config,) = chosen
    assert config == EmulatorConfig(
        host="::1",
        https=True,
        proxy=True,
        ca_dir=tmp_path,
        path=tmp_path / "org",
        public_keys=(pem.read_text(),),
        users=(Login("eva@example.com", "pw"), Login("bob@example.com", "a:b", "TOKEN")),
        refresh_tokens=("5Aep",),
        rotate_refresh_tokens=True,
        password_flow=False,
        soap_login=False,
        expire_after=3,
        expire_after_s=1.5,
        page_size=200,
        page_rows=10,
        job_ms=5,
        job_ms_per_10k=6,
        hard_delete=False,
        max_cursors=2,
        daily_api_requests=100,
        daily_query_jobs=7,
        limit_info="per-app",
        bulk_charset="utf-8",
        bulk_upload_bytes=99,
        enforce_required=False,
        enforce_unique=False,
        enforce_duplicate_rules=False,
        lock_wait_s=0.5,
    )


@pytest.mark.parametrize(
    "words",
    [
        ["--seed", "Account"],
        ["--user", "eva"],
        ["--user", ":pw"],
        ["--limit-info", "loud"],
        ["--fault", "delay: loud"],
        ["--fault", "{}"],
        ["--fault", '{"action": "explode"}'],
        ["--fault", '{"action": "delay", "loudness": 1}'],
        ["--certificate", "/no/such/file"],
        ["--certificate", __file__],
        ["--port", "65536"],
        ["--https-port", "-1"],
        ["nonsense"],
    ],
)
def test_a_wrong_word_is_bad_use(halocline: Callable[..., Result], words: list[str]) -> None:
    """Exit code 2, and nothing is started."""
    assert halocline("--port", "0", *words).exit_code == 2


def test_a_store_that_runs_already_is_not_run_again(halocline: Callable[..., Result], tmp_path: Path) -> None:
    """Code 1, and what to do; nobody is told to remove the file, which is in use."""
    path = tmp_path / "org.sqlite"
    with Emulator(EmulatorConfig(path=path)):
        done = halocline("--port", "0", "--store", str(path))
    told = f"Opening the org in {path}: another emulator has it open. Stop that one, or name another file."
    assert (done.exit_code, "".join(told.split()) in "".join(done.stderr.split())) == (1, True), done.stderr


def test_a_place_that_cannot_be_used_is_named_with_what_to_do(halocline: Callable[..., Result], tmp_path: Path) -> None:
    """A folder in place of the store's file, a folder that is not there, a folder of the authority that cannot be."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    cases = (
        (("--store", str(tmp_path)), "That is a folder: name a file in it."),
        (("--store", str(tmp_path / "nope" / "x.db")), f"Make the folder {tmp_path / 'nope'} first"),
        (("--ca-dir", str(tmp_path / "file" / "ca")), "--ca-dir"),
    )
    for words, told in cases:
        done = halocline("--port", "0", *words)
        said = "".join(done.stderr.split())
        assert (done.exit_code, "".join(told.split()) in said, "port" in said) == (1, True, False), done.stderr


def test_a_taken_port_is_named(halocline: Callable[..., Result]) -> None:
    """So that it is clear which of three to change."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = halocline("--port", "0", "--proxy-port", str(port))
    assert (done.exit_code, f"port {port}" in done.stderr) == (1, True)


def test_an_address_that_is_none_of_this_machine_is_looked_at(halocline: Callable[..., Result]) -> None:
    """The error says which option names it."""
    done = halocline("--port", "0", "--host", "192.0.2.1")  # of TEST-NET-1, which is nobody's (RFC 5737)
    assert (done.exit_code, "Look at --host" in done.stderr) == (1, True)


def test_faults_can_be_there_from_the_start(while_it_runs: Running) -> None:
    """As text or in the words of the admin API, as often as wanted."""
    rules = ["answer: path=/a status=418", '{"action": "answer", "path": "/b", "status": 419}']

    def look(emulator: Emulator) -> None:
        assert [httpx2.get(emulator.url + path, trust_env=False).status_code for path in ("/a", "/b")] == [418, 419]

    while_it_runs(look, "--fault", rules[0], "--fault", rules[1])


def test_it_says_how_to_reach_it(while_it_runs: Running) -> None:
    """The three exports of the README, and the line for clients with fixed hosts."""
    said = while_it_runs(lambda _: None, "--seed", "Account=2,Contact=1").stdout
    for expected in (
        "export SF_LOGIN_URL=http://127.0.0.1:",
        "export SF_CLIENT_ID=",
        "export SF_CLIENT_SECRET=",
        "halocline emulator env",
    ):
        assert expected in said
    assert "emulator env" not in while_it_runs(lambda _: None, "--no-proxy").stdout
