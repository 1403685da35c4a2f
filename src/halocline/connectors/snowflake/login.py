"""Login: from a `snowflake://` URI and the vendor's variables to what the connector is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from halocline.config import Variable, is_key, secret, variables
from halocline.errors import FixConfig

LOCK_TIMEOUT_S = 300  # seconds that a statement waits for others' locks; Snowflake's own default is twelve hours
LOGIN_TIMEOUT_S = 60  # seconds; beyond that a wrong account name would be asked for again and again
QUERY_TAG = "halocline"
SECRETS = ("password", "token", "private_key_file_pwd")  # by the connector's names
_URI = re.compile(
    r"snowflake://(?:(?P<user>[^:@/?#\s]*)(?::(?P<password>[^@/?#\s]*))?@)?(?P<account>[^:@/?#\s]*)"
    r"(?:/(?P<database>[^@/?#\s]*))?(?:/(?P<schema>[^@/?#\s]*))?/?(?:\?(?P<options>[^#\s]*))?",
    re.IGNORECASE,
)
_PARTS = ("user", "password", "account", "database", "schema")
_OPTIONS = (
    *("warehouse", "role", "authenticator", "private_key_path", "private_key_passphrase", "token", "query_tag"),
    *("host", "port", "protocol", "login_timeout", "network_timeout", "lock_timeout"),
)
_NUMBERS = ("port", "login_timeout", "network_timeout", "lock_timeout")
_ALSO_CALLED = {"private_key_path": ("PRIVATE_KEY_FILE",), "private_key_passphrase": ("PRIVATE_KEY_FILE_PWD",)}
VARIABLES = (
    Variable("SNOWFLAKE_ACCOUNT", "The account's identifier, `organization-account`."),
    Variable("SNOWFLAKE_USER", "The user."),
    Variable("SNOWFLAKE_PASSWORD", "The user's password, or a reference to it."),
    Variable("SNOWFLAKE_DATABASE", "The database.", "the user's own"),
    Variable("SNOWFLAKE_SCHEMA", "The schema.", "the user's own"),
    Variable("SNOWFLAKE_WAREHOUSE", "The warehouse that runs the statements.", "the user's own"),
    Variable("SNOWFLAKE_ROLE", "The role.", "the user's own"),
    Variable(
        "SNOWFLAKE_AUTHENTICATOR", "How to log in, in the connector's words.", "by password; with a private key SNOWFLAKE_JWT"
    ),
    Variable(
        "SNOWFLAKE_PRIVATE_KEY_PATH",
        "The file of a private key, or a reference to the key; SNOWFLAKE_PRIVATE_KEY_FILE is the same.",
    ),
    Variable("SNOWFLAKE_PRIVATE_KEY_PASSPHRASE", "Its passphrase, or a reference; SNOWFLAKE_PRIVATE_KEY_FILE_PWD is the same."),
    Variable("SNOWFLAKE_TOKEN", "A token for `authenticator=oauth` and the like, or a reference to it."),
    Variable("SNOWFLAKE_QUERY_TAG", "What Snowflake's history of queries shows.", QUERY_TAG),
    Variable("SNOWFLAKE_HOST", "The address of another server than the account's."),
    Variable("SNOWFLAKE_PORT", "Its port."),
    Variable("SNOWFLAKE_PROTOCOL", "http or https.", "https"),
    Variable("SNOWFLAKE_LOGIN_TIMEOUT", "Seconds for the login.", f"{LOGIN_TIMEOUT_S}"),
    Variable("SNOWFLAKE_NETWORK_TIMEOUT", "Seconds for a request and its repeats.", "the connector's own"),
    Variable("SNOWFLAKE_LOCK_TIMEOUT", "Seconds that a statement waits for others' locks.", f"{LOCK_TIMEOUT_S}"),
)
_WRITE = (
    "Write snowflake://user@account/database/schema?warehouse=WH&role=R, the special characters of a password as percent codes"
    " (@ as %40)."
)


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in where: the parts of a URI, each with the variable `SNOWFLAKE_<NAME>` behind it. Secrets are never shown, and
    may be references (`aws-sm:name#key`).
    """

    user: str = ""
    password: str = field(default="", repr=False)
    account: str = ""
    database: str = ""
    schema: str = ""
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    def arguments(self, major: int) -> dict[str, object]:
        """What `snowflake.connector.connect` of this major version is told.

        Source: "Python Connector API", https://docs.snowflake.com/en/developer-guide/python-connector/python-connector-api
        (unverified); connector 5.2.0 and its warnings for names that it replaces.
        """
        said = self.options
        told: dict[str, object] = {name: getattr(self, name) for name in _PARTS if getattr(self, name)}
        told |= {name: said[name] for name in ("warehouse", "role", "authenticator", "token", "host", "protocol") if name in said}
        told |= {name: secret(str(told[name])) for name in ("password", "token") if name in told}
        told |= {"port": int(said["port"])} if "port" in said else {}
        told |= _key(said)
        told["login_timeout"] = int(said.get("login_timeout", LOGIN_TIMEOUT_S))
        limit = said.get("network_timeout")
        names = ("query_timeout", "request_timeout") if major >= 5 else ("network_timeout",)
        told |= dict.fromkeys(names, int(limit)) if limit else {}
        told |= {"enable_server_session_keep_alive_auto_detection": False} if major >= 5 else {}
        told["client_session_keep_alive"] = True  # hours may pass between the claim and the commit
        told["arrow_number_to_decimal"] = True  # else a number with decimals is a float
        told["platform_detection_timeout_seconds"] = 0  # nobody here wants to know in which cloud we are
        told["session_parameters"] = {
            "QUERY_TAG": said.get("query_tag", QUERY_TAG),
            "LOCK_TIMEOUT": int(said.get("lock_timeout", LOCK_TIMEOUT_S)),
            "TIMEZONE": "UTC",
        }
        return told


def _key(said: Mapping[str, str]) -> dict[str, object]:
    """What the connector is told of the private key: its file, or, where a reference leads to the key itself, the key."""
    told: dict[str, object] = {}
    if "private_key_passphrase" in said:
        told["private_key_file_pwd"] = secret(said["private_key_passphrase"])
    if "private_key_path" not in said:
        return told
    told |= {"authenticator": "SNOWFLAKE_JWT"} if "authenticator" not in said else {}
    behind = secret(said["private_key_path"])
    if not is_key(behind):
        return {**told, "private_key_file": behind}
    phrase = told.pop("private_key_file_pwd", None)
    return {**told, "private_key": _der(behind, None if phrase is None else str(phrase))}


def _der(pem: str, phrase: str | None) -> bytes:
    """The key as the connector takes one that lies in no file."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization  # the connector stands on it

    try:
        key = serialization.load_pem_private_key(pem.encode(), None if phrase is None else phrase.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        cause = f"the private key cannot be used ({type(error).__name__})"
        raise FixConfig("Opening Snowflake", cause, hint="Look at private_key_path, and at the passphrase.") from None
    return key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def login_of(uri: str, environ: Mapping[str, str] | None = None) -> Login:
    """The login that a URI and the environment describe; what the URI says goes first.

    Source: "Connecting to Snowflake" (environment variables for connections),
    https://docs.snowflake.com/en/developer-guide/snowflake-cli/connecting/configure-connections (unverified).
    Raises: FixConfig for a URI that cannot be read, without repeating it: a password may be in any piece of it.
    """
    found = _URI.fullmatch(uri)
    if found is None:
        raise FixConfig("Opening Snowflake", "the URI cannot be read", hint=_WRITE)
    said = _options(found["options"] or "")
    around = variables("SNOWFLAKE_", environ)
    parts = {name: unquote(found[name] or "") or around.get(name.upper(), "") for name in _PARTS}
    if "private_key_path" in said and not found["password"]:
        parts["password"] = ""  # the variable's, which belongs to another way to log in
    for name in _OPTIONS:
        others = [around.get(key, "") for key in (name.upper(), *_ALSO_CALLED.get(name, ()))]
        if name not in said and any(others):
            said[name] = next(filter(None, others))
    for name in _NUMBERS:
        if name in said and not said[name].isdecimal():
            raise FixConfig("Opening Snowflake", f"{name} is no whole number", hint=_WRITE)
    if not parts["account"] and "host" not in said:
        raise FixConfig("Opening Snowflake", "the URI names no account", hint=f"{_WRITE} Or set SNOWFLAKE_ACCOUNT.")
    return Login(**parts, options=said)


def _options(text: str) -> dict[str, str]:
    said = dict(parse_qsl(text, keep_blank_values=True))
    unknown = sorted(name for name in said if name not in _OPTIONS)
    if unknown:
        cause = f"the URI has options that do not exist: {', '.join(name[:40] for name in unknown)}"
        raise FixConfig("Opening Snowflake", cause, hint=f"Known are: {', '.join(_OPTIONS)}.")
    return {name: value for name, value in said.items() if value}
