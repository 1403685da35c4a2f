"""The three doors: clients that know only Salesforce's hosts get in with a proxy and a certificate, and nobody gets out."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.emulator.conftest import login_form

from halocline.emulator.doors.proxy import Guide, Refused
from halocline.emulator.server import Emulator, EmulatorConfig

HOST = "https://mycompany.my.salesforce.com"
VERSIONS = "/services/data"
TOKEN = "/services/oauth2/token"
BIG = 8 * 1024 * 1024
GUIDE = Guide(("127.0.0.1", 8080), ("127.0.0.1", 8443))

CLIENT = """
import json, urllib.request
with urllib.request.urlopen("https://login.salesforce.com/services/data") as answer:
    print(json.load(answer)[-1]["version"])
"""


@pytest.fixture(scope="module")
def shared() -> Iterator[Emulator]:
    """One emulator with every door open, for tests that change nothing."""
    with Emulator(EmulatorConfig(https=True, proxy=True)) as emulator:
        yield emulator


@pytest.fixture
def outside(shared: Emulator) -> Iterator[httpx2.Client]:
    """A client that comes through the proxy."""
    with through(shared) as client:
        yield client


def through(emulator: Emulator) -> httpx2.Client:
    return httpx2.Client(proxy=emulator.proxy_url, verify=trusting(emulator), timeout=30)


def trusting(emulator: Emulator) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(emulator.ca_file))


def raw(emulator: Emulator, request: bytes) -> bytes:
    """What the proxy answers to these bytes until it closes the connection."""
    with socket.create_connection(_address(emulator.proxy_url), timeout=20) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def _address(url: str) -> tuple[str, int]:
    host, _, port = url.rpartition("/")[2].rpartition(":")
    return host, int(port)


def tunnel(emulator: Emulator, host: str = "login.salesforce.com") -> http.client.HTTPSConnection:
    connection = http.client.HTTPSConnection(*_address(emulator.proxy_url), context=trusting(emulator), timeout=30)
    connection.set_tunnel(host, 443)
    return connection


def test_an_unmodified_client_needs_only_the_variables(shared: Emulator) -> None:
    """The standard library's client reaches login.salesforce.com by the exports alone."""
    environment = os.environ | shared.environment()
    done = subprocess.run([sys.executable, "-c", CLIENT], env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "67.0"


def test_the_exports_name_every_usual_variable(shared: Emulator) -> None:
    """Proxy and authority under the names that Python, curl, Node and OpenSSL read; loopback needs no proxy."""
    names = shared.environment()
    assert {names["HTTPS_PROXY"], names["https_proxy"]} == {shared.proxy_url}
    authority = {names[key] for key in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")}
    assert authority == {str(shared.ca_file)}
    assert "127.0.0.1" in names["NO_PROXY"].split(",")
    assert names["SF_LOGIN_URL"] == shared.url
    assert shared.environment("mycompany.my.salesforce.com")["SF_LOGIN_URL"] == HOST


def test_a_plain_emulator_exports_no_proxy(emulator: Emulator) -> None:
    """Only doors that are open are named; a host can be asked for only where the proxy leads there."""
    assert emulator.environment().keys() == {"SF_LOGIN_URL", "SF_CLIENT_ID", "SF_CLIENT_SECRET"}
    with pytest.raises(ValueError, match="shut"):
        emulator.environment("login.salesforce.com")


@pytest.mark.parametrize("door", ["https_url", "proxy_url", "ca_file"])
def test_a_shut_door_has_no_address(emulator: Emulator, door: str) -> None:
    """The error names the setting that opens it."""
    with pytest.raises(RuntimeError, match="EmulatorConfig"):
        getattr(emulator, door)


@pytest.mark.parametrize(
    "host",
    [
        "login.salesforce.com",
        "test.salesforce.com",
        "eu42.salesforce.com",
        "mycompany.my.salesforce.com",
        "mycompany--dev.sandbox.my.salesforce.com",
        "mycompany-dev-ed.develop.my.salesforce.com",
        "mycompany-test.scratch.my.salesforce.com",
        "mycompany.lightning.force.com",
    ],
)
def test_the_certificate_is_good_for_salesforces_hosts(outside: httpx2.Client, host: str) -> None:
    """A client that checks names finds its host in the certificate."""
    assert outside.get(f"https://{host}{VERSIONS}").status_code == 200


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_the_https_door_can_be_used_by_itself(shared: Emulator, name: str) -> None:
    """On its own port, under the loopback's names."""
    url = shared.https_url.replace("127.0.0.1", name)
    with httpx2.Client(verify=trusting(shared), trust_env=False) as client:
        answer = client.post(url + TOKEN, data=login_form(shared.config)).json()
    assert (answer["instance_url"], answer["id"].startswith(url)) == (url, True)


def test_a_client_that_does_not_know_the_authority_stays_outside(shared: Emulator) -> None:
    """The certificate is not one that anybody trusts by default."""
    with httpx2.Client(trust_env=False) as client, pytest.raises(httpx2.ConnectError, match=r"(?i)certificate"):
        client.get(shared.https_url + VERSIONS)


def test_login_answers_stay_on_the_host_that_the_client_used(shared: Emulator, outside: httpx2.Client) -> None:
    """Host and scheme, so that the second call finds the emulator too; the identity is on the login host as Salesforce's is."""
    answer = outside.post(HOST + TOKEN, data=login_form(shared.config)).json()
    assert answer["instance_url"] == HOST
    assert answer["id"].startswith("https://login.salesforce.com/id/")
    bearer = {"Authorization": f"Bearer {answer['access_token']}"}
    assert outside.get(answer["id"], headers=bearer).json()["user_id"] == shared.org.api_user_id
    assert outside.get(f"{answer['instance_url']}/services/data/v66.0/limits", headers=bearer).status_code == 200


def test_forwarded_headers_change_nothing(shared: Emulator) -> None:
    """The host is the one of the request, whatever somebody between claims."""
    claims = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "Forwarded": "host=evil.example;proto=https"}
    answer = httpx2.post(shared.url + TOKEN, data=login_form(shared.config), headers=claims).json()
    assert answer["instance_url"] == shared.url


def test_the_domain_trick_works_behind_tls(shared: Emulator) -> None:
    """The client simple-salesforce turns its domain into a first path segment."""
    with httpx2.Client(verify=trusting(shared), trust_env=False) as client:
        assert client.get(f"{shared.https_url}/x.salesforce.com{VERSIONS}").status_code == 200


@pytest.mark.parametrize(
    "target", ["example.com:443", "salesforce.com.example:443", "login.salesforce.com:22", "notsalesforce.com:443"]
)
def test_the_proxy_refuses_every_other_place(shared: Emulator, target: str) -> None:
    """403 with a sentence that says why, and no connection to anybody."""
    answer = raw(shared, f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    head, _, text = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 403 Forbidden")
    assert target.encode() in text


def test_the_proxy_leads_to_no_other_port_of_this_machine(shared: Emulator) -> None:
    """A service beside the emulator is not reached through it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0)
        port = other.getsockname()[1]
        assert b" 403 " in raw(shared, f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
        with pytest.raises(BlockingIOError):
            other.accept()


def test_the_proxy_leads_to_the_emulators_own_ports(shared: Emulator) -> None:
    """For clients that send everything to their proxy, loopback included."""
    with through(shared) as client:
        assert client.get(shared.https_url + VERSIONS).status_code == 200
        assert client.get(shared.url + VERSIONS).status_code == 200


def test_plain_requests_pass_by_their_whole_address(outside: httpx2.Client) -> None:
    """One connection to the proxy may ask for several hosts; each request is judged by itself."""
    assert outside.get(f"http://mycompany.my.salesforce.com{VERSIONS}").status_code == 200
    assert outside.get(f"http://mycompany.my.salesforce.com{VERSIONS}/").status_code == 200
    refused = outside.get("http://example.com/")
    assert (refused.status_code, "never to the network" in refused.text) == (403, True)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01 nonsense\r\n\r\n",
        b"A B\r\n\r\n",
        b"CONNECT x:y HTTP/1.1\r\n\r\n",
        b"CONNECT [ HTTP/1.1\r\n\r\n",
        b"GET http://[/ HTTP/1.1\r\n\r\n",
        b"GET http://a.salesforce.com:99999/ HTTP/1.1\r\n\r\n",
        b"GET https://login.salesforce.com/ HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_request_to_a_proxy_is_told_so(shared: Emulator, request_: bytes) -> None:
    """400, and the connection ends."""
    assert raw(shared, request_).startswith(b"HTTP/1.1 400 ")


def test_a_client_that_leaves_without_a_word_harms_nobody(shared: Emulator, outside: httpx2.Client) -> None:
    """Half a request, or a head without end, ends quietly."""
    with socket.create_connection(_address(shared.proxy_url)) as connection:
        connection.sendall(b"CONNECT login.sales")
    with suppress(ConnectionError):  # its bytes are not read to the end, so it may be cut off while it still sends
        assert raw(shared, b"GET http://" + b"x" * 1_000_000) == b""
    assert outside.get(HOST + VERSIONS).status_code == 200


@pytest.mark.parametrize("target", ["mycompany.my.salesforce.com", "LOGIN.salesforce.com:443", "[::1]:8443", "localhost:8443"])
def test_a_tunnel_ends_at_the_https_door(target: str) -> None:
    """The port 443 is the default, names count in any case, and the loopback has three of them."""
    assert GUIDE.passage(f"CONNECT {target} HTTP/1.1\r\n\r\n".encode()).door == GUIDE.https


def test_a_plain_request_keeps_what_it_says() -> None:
    """Query, body headers and the host survive; what is between client and proxy does not."""
    head = (
        b"POST http://x.salesforce.com/a?b=c HTTP/1.1\r\nProxy-Connection: keep-alive\r\nContent-Length: 2\r\nHost: other\r\n\r\n"
    )
    opening = GUIDE.passage(head).opening
    assert opening == b"POST /a?b=c HTTP/1.1\r\nHost: x.salesforce.com\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"


@given(
    words=st.lists(
        st.sampled_from(
            ["CONNECT", "GET", " ", "http://", "https://", "login.salesforce.com", ".force.com", "127.0.0.1", ":443", ":8443"]
        )
        | st.text(st.characters(max_codepoint=255), max_size=8),
        max_size=12,
    )
)
def test_nothing_leads_anywhere_but_to_the_emulator(words: list[str]) -> None:
    """Whatever the proxy is asked, the way ends at one of the two doors or in a refusal."""
    assert led("".join(words)) in (GUIDE.http, GUIDE.https, 400, 403)


def led(line: str) -> tuple[str, int] | int:
    """The door, or the status of the refusal."""
    try:
        return GUIDE.passage(line.encode("latin-1") + b" HTTP/1.1\r\n\r\n").door
    except Refused as refusal:
        return refusal.status


def test_an_https_address_needs_a_tunnel() -> None:
    """A proxy that saw inside would have to end TLS itself."""
    with pytest.raises(Refused, match="CONNECT"):
        GUIDE.passage(b"GET https://login.salesforce.com/ HTTP/1.1\r\n\r\n")


def test_a_tunnel_carries_many_requests(shared: Emulator) -> None:
    """Keep-alive: the same connection answers again and again."""
    connection = tunnel(shared)
    connection.connect()
    sock = connection.sock
    for _ in range(20):
        connection.request("GET", VERSIONS)
        assert connection.getresponse().read().startswith(b"[{")
    assert connection.sock is sock
    connection.close()


def test_many_clients_use_the_proxy_side_by_side(shared: Emulator) -> None:
    """Each gets its own answers."""

    def visit(number: int) -> list[int]:
        with through(shared) as client:
            return [client.get(f"https://org{number}.my.salesforce.com{VERSIONS}").status_code for _ in range(3)]

    with ThreadPoolExecutor(24) as pool:
        assert list(pool.map(visit, range(30))) == [[200] * 3] * 30


def test_large_bodies_pass_both_ways(run_emulator: Callable[..., Emulator]) -> None:
    """Megabytes arrive whole, through tunnel and TLS."""
    emulator = run_emulator(https=True, proxy=True)
    emulator.faults.add("answer", path="/echo", status=200, body="x" * BIG, times=0)
    with through(emulator) as client:
        answer = client.post(f"{HOST}/echo", content=b"y" * BIG)
    assert (answer.status_code, len(answer.content)) == (200, BIG)


@pytest.mark.parametrize("door", ["http", "https", "proxy"])
def test_chunked_bodies_are_understood_at_every_door(run_emulator: Callable[..., Emulator], door: str) -> None:
    """The clients jsforce and salesforce-bulk do not say how long a body is."""
    emulator = run_emulator(https=True, proxy=True)
    session = emulator.org.sessions.start(emulator.org.api_user_id, org_id=emulator.org.org_id)
    connection: http.client.HTTPConnection
    if door == "http":
        connection = http.client.HTTPConnection(*_address(emulator.url), timeout=30)
    elif door == "https":
        connection = http.client.HTTPSConnection(*_address(emulator.https_url), context=trusting(emulator), timeout=30)
    else:
        connection = tunnel(emulator)
    body = iter([b'{"Name":', b'"In pieces"', b"}"])
    headers = {"Authorization": f"Bearer {session.token}", "Content-Type": "application/json"}
    connection.request("POST", "/services/data/v66.0/sobjects/Account", body=body, headers=headers, encode_chunked=True)
    assert connection.getresponse().status == 201
    connection.close()


def test_a_cut_reply_is_cut_for_clients_of_the_proxy_too(run_emulator: Callable[..., Emulator]) -> None:
    """Faults reach through tunnel and TLS: the body ends before its announced length."""
    emulator = run_emulator(https=True, proxy=True)
    emulator.faults.add("cut", path="/services/data$", after_bytes=100)
    with through(emulator) as client, pytest.raises(httpx2.RemoteProtocolError):
        client.get(HOST + VERSIONS)


def test_a_stop_closes_every_door_and_tunnel() -> None:
    """An idle tunnel does not hold it up, and none of the three answers any more."""
    emulator = Emulator(EmulatorConfig(https=True, proxy=True)).start()
    doors = [_address(url) for url in (emulator.url, emulator.https_url, emulator.proxy_url)]
    connection = tunnel(emulator)
    connection.request("GET", VERSIONS)
    assert connection.getresponse().read()
    with socket.create_connection(doors[2]) as silent:
        emulator.stop()
        assert silent.recv(1) == b""
    connection.close()
    for door in doors:
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(door, timeout=5)


def test_a_taken_port_opens_no_door_at_all() -> None:
    """The error names the port, and the doors that had been opened before are shut again."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        emulator = Emulator(EmulatorConfig(https=True, https_port=port))
        with pytest.raises(OSError, match=f"in use.*port {port}"):
            emulator.start()
        emulator.stop()


def test_the_proxy_needs_the_https_door() -> None:
    """There is nowhere else for TLS to end."""
    with pytest.raises(ValueError, match="https"):
        EmulatorConfig(proxy=True)


@pytest.mark.parametrize("beside_store", [True, False])
def test_an_authority_can_outlive_the_emulator(tmp_path: Path, beside_store: bool) -> None:
    """In the folder given, or beside the store's file: trust it once. Only its owner can read the key."""
    config = (
        EmulatorConfig(https=True, path=tmp_path / "org.sqlite") if beside_store else EmulatorConfig(https=True, ca_dir=tmp_path)
    )
    with Emulator(config) as emulator:
        context = trusting(emulator)
        private = emulator.ca_file.with_name("ca-private.pem")
        assert stat.S_IMODE(private.stat().st_mode) == 0o600
        first = emulator.ca_file.read_bytes()
    with Emulator(config) as emulator, httpx2.Client(verify=context, trust_env=False) as client:
        assert client.get(emulator.https_url + VERSIONS).status_code == 200
        assert emulator.ca_file.read_bytes() == first


def test_an_authority_without_a_home_vanishes() -> None:
    """A private one is new each time, and its key is gone at the end."""
    with Emulator(EmulatorConfig(https=True)) as one, Emulator(EmulatorConfig(https=True)) as other:
        files = [one.ca_file, other.ca_file]
        assert files[0].read_bytes() != files[1].read_bytes()
    assert [file.exists() for file in files] == [False, False]


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    """Nothing is overwritten, the error says what to do, and no port stays taken."""
    (tmp_path / "ca-private.pem").write_text("not a key")
    emulator = Emulator(EmulatorConfig(https=True, ca_dir=tmp_path))
    with pytest.raises(ValueError, match="delete it"):
        emulator.start()
    emulator.stop()
    assert (tmp_path / "ca-private.pem").read_text() == "not a key"


def test_a_plain_emulator_loads_no_cryptography() -> None:
    """Tests that need one door only pay for one."""
    code = (
        "import sys\nfrom halocline.emulator.server import Emulator\nEmulator().start().stop()\nprint('trustme' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"


def test_a_session_is_one_and_the_same_behind_every_door(run_emulator: Callable[..., Emulator]) -> None:
    """One org: a token from one door opens the others, and its requests are counted together."""
    emulator = run_emulator(https=True, proxy=True, expire_after=3)
    session = emulator.org.sessions.start(emulator.org.api_user_id, org_id=emulator.org.org_id)
    path, bearer = "/services/data/v66.0/limits", {"Authorization": f"Bearer {session.token}"}
    with through(emulator) as client, httpx2.Client(verify=trusting(emulator), trust_env=False) as direct:
        assert direct.get(emulator.url + path, headers=bearer).status_code == 200
        assert direct.get(emulator.https_url + path, headers=bearer).status_code == 200
        assert client.get(HOST + path, headers=bearer).status_code == 200
        assert client.get(HOST + path, headers=bearer).status_code == 401


def test_the_doors_can_be_asked_for(shared: Emulator) -> None:
    """The admin door says where the others are: that is how another process finds them."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(shared.url + "/__emulator__/doors", timeout=20) as answer:
        assert answer.status == 200
        assert shared.proxy_url.encode() in answer.read()


def test_a_door_with_an_unknown_speech_stays_open_for_others(shared: Emulator, outside: httpx2.Client) -> None:
    """Plain text at the https door ends that connection only."""
    with socket.create_connection(_address(shared.https_url), timeout=20) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert not connection.recv(100).startswith(b"HTTP/1.1 2")
    assert outside.get(HOST + VERSIONS).status_code == 200
