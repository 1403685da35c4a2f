"""Connections of `halocline.yaml`: where a system is, and how to log in. Secrets are references; none is ever in the file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, quote, urlsplit

from pydantic import AfterValidator, Discriminator, Field, Tag

from halocline import registry
from halocline.buckets import Buckets
from halocline.config import secret
from halocline.errors import FixConfig
from halocline.events import Sink, silent
from halocline.flows.model import Model

ENVIRONMENT = "salesforce:"
"""The connection that is there without being named: the login of the `SF_*` variables."""

_REFERENCE = re.compile(r"(env|file|aws-sm):.")
_FOLDER = "file:"
_LOGIN = re.compile(r"://(?!/)")
_SECRET_NAME = re.compile(
    r"(password|passwd|pwd|passphrase|passcode|secret|token|private_key|access_key|api_?key)$", re.IGNORECASE
)


def is_reference(text: str) -> bool:
    """Whether a text says where a secret is, and is none; `file:PATH` does, and `file:///folder` is a URI."""
    return _REFERENCE.match(text) is not None and "://" not in text


def refers(address: str) -> bool:
    """Whether a text in the place of a URI is a reference to one; there `file:` begins a folder, as on the command line."""
    return is_reference(address) and not is_folder(address)


def is_folder(address: str) -> bool:
    """Whether a text in the place of a URI is `file:folder`."""
    return is_reference(address) and address.startswith(_FOLDER)


def holds_password(uri: str) -> bool:
    """Whether a URI says a password, after its user's name or as one of its options."""
    options = parse_qsl(uri.partition("?")[2].replace(";", "&"))
    before_hosts = uri.split("@")[:-1]  # and not up to the next slash: a key of AWS has slashes
    logins = (part[found.end() :] for part in before_hosts if (found := _LOGIN.search(part)))
    return any(":" in login for login in logins) or any(_SECRET_NAME.search(name) for name, _ in options)


def _referred(text: str) -> str:
    if not is_reference(text):
        raise ValueError("a secret stands here; write where it is instead: env:NAME, file:PATH or aws-sm:NAME#KEY")
    return text


def checked_address(text: str) -> str:
    """A URI that is known and holds no password, or a reference to one.

    Raises: ValueError, without the text.
    """
    scheme = text.partition(":")[0].lower()
    if refers(text):
        return text
    known = [one for about in registry.abouts() for one in about.schemes]
    if text.startswith(("$", "{{", "%")) or "${" in text:
        raise ValueError("a variable is written env:NAME, and stands for the whole URI")
    if "://" not in text and text.lower().endswith((".duckdb", ".db", ".sqlite", ".csv", ".parquet")):
        raise ValueError("it is a path, and no URI: write duckdb:///FILE, sqlite:///FILE, or file:///FOLDER for tables of files")
    if scheme not in known or not ("://" in text or is_folder(text)):
        raise ValueError(f"it is no URI that is known; begin with one of {', '.join(f'{one}://' for one in known)}, or env:")
    if holds_password(text):
        raise ValueError("the URI holds a password; give it as `password: env:NAME` beside `uri:`, or the whole as env:NAME")
    return text


def _uri_or_org(text: str) -> str:
    return text if text == ENVIRONMENT else checked_address(text)


Secret = Annotated[str, AfterValidator(_referred), Field(json_schema_extra={"pattern": "^(env|file|aws-sm):."})]
Address = Annotated[str, AfterValidator(checked_address)]


class Org(Model):
    """A Salesforce org. What is given decides how to log in; a value left out is not taken from the environment."""

    kind: Literal["salesforce"]
    """An org."""
    login_url: str | None = None
    """The org's My Domain, `https://<name>.my.salesforce.com`; or a reference."""
    client_id: str | None = None
    """The consumer key of the app; or a reference."""
    client_secret: Secret | None = None
    """The consumer secret of the app."""
    username: str | None = None
    """Or a reference."""
    password: Secret | None = None
    """With `username` and `security_token`; without an app (`client_id`) until Summer '27, with one until February 2027."""
    security_token: Secret | None = None
    """What Salesforce wants after the password, from an address that it does not know."""
    private_key_path: str | None = None
    """The file of the private key (JWT), or a reference to it or to the key."""
    refresh_token: Secret | None = None
    """With `client_id`: the refresh token flow."""
    access_token: Secret | None = None
    """A session that is there already; it is not renewed."""
    instance_url: str | None = None
    """Where `access_token` is good for; or a reference."""
    quota_share: Annotated[float, Field(ge=0, le=1)] | None = None
    """The share of the org's daily API calls at which to stop."""

    def environ(self) -> dict[str, str]:
        """The login as the variables that would say the same; references stay for whoever reads those to look up, once."""
        told = self.model_dump(exclude={"kind", "quota_share"}, exclude_none=True)
        return {f"SF_{name.upper()}": value for name, value in told.items()}


class Place(Model):
    """A database, or a folder of files, by its URI."""

    kind: Literal["database", "folder"]
    """Tables in a database, or in a folder of files."""
    uri: Address
    """`duckdb:///lake.duckdb`, `postgresql://user@host/database`, `snowflake://...`, `file:///folder`; or a reference."""
    password: Secret | None = None
    """The password of the URI's user."""


class Bucket(Model):
    """A bucket of Amazon S3, or of a store that speaks its language."""

    kind: Literal["s3"]
    """A bucket of files."""
    bucket: str
    """Its name."""
    region: str | None = None
    """Unless what boto3 finds: AWS_REGION, the profile."""
    profile: str | None = None
    """The profile of `~/.aws/config` to log in with."""
    role: str | None = None
    """The ARN of a role to assume."""
    endpoint: str | None = None
    """The address of another store than Amazon's."""

    def settings(self) -> dict[str, str]:
        """What `registry.open_buckets` takes."""
        return self.model_dump(include={"region", "profile", "role", "endpoint"}, exclude_none=True)


def _kind(value: object) -> str:
    if isinstance(value, (str, int, float, bool)) or value is None:
        return "uri"
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return "place" if kind in ("database", "folder") else str(kind)  # no set: YAML gives lists, too


Connection = Annotated[
    Annotated[str, AfterValidator(_uri_or_org), Tag("uri")]
    | Annotated[Org, Tag("salesforce")]
    | Annotated[Place, Tag("place")]
    | Annotated[Bucket, Tag("s3")],
    Discriminator(
        _kind,
        custom_error_type="connection",
        custom_error_message="a connection is a URI, or has a `kind`: salesforce, database, folder or s3",
    ),
]


def kind_of(connection: Connection) -> str:
    """What a connection leads to: `salesforce`, `bucket`, `place`; a reference may lead anywhere but to an org."""
    if isinstance(connection, (Org, Bucket)):
        return "salesforce" if isinstance(connection, Org) else "bucket"
    scheme = (connection if isinstance(connection, str) else connection.uri).partition(":")[0].lower()
    return {"salesforce": "salesforce", "s3": "bucket"}.get(scheme, "place")


def leads_to_bucket(connection: Connection) -> bool:
    """Whether a connection leads to a bucket; where only its reference tells, that is looked up.

    Raises: FixConfig for a secret that is not there.
    """
    if isinstance(connection, (Org, Bucket)):
        return isinstance(connection, Bucket)
    return _address(connection).lower().startswith("s3://")


def secrets_of(connection: Connection) -> Iterator[str]:
    """The references that a connection holds."""
    if isinstance(connection, (str, Place)):
        yield from filter(refers, [_said(connection)])
    if not isinstance(connection, str):
        values = connection.model_dump(exclude={"uri"}, exclude_none=True).values()
        yield from (value for value in values if isinstance(value, str) and is_reference(value))


def uri_of(connection: Connection) -> str:
    """The URI of a database or folder; a password by reference stays one in it, for the connector to look up, once.

    Raises: FixConfig for a secret that is not there.
    """
    if isinstance(connection, Bucket):
        return f"s3://{connection.bucket}"
    if isinstance(connection, Org):
        raise FixConfig("Opening a connection", "an org is no place for tables", hint="Name a database or a folder.")
    uri = _address(connection)
    password = None if isinstance(connection, str) else connection.password
    return uri if password is None else _with_password(uri, password)


def _said(connection: str | Place) -> str:
    return connection if isinstance(connection, str) else connection.uri


def _address(connection: str | Place) -> str:
    address = _said(connection)
    if is_folder(address) and _is_file(address.removeprefix(_FOLDER)):
        cause = f"{address} is a file, and in the place of a URI `file:` begins a folder of tables"
        hint = "For a URI that holds a password write env:NAME or aws-sm:NAME#KEY, or `password: file:PATH` beside `uri:`."
        raise FixConfig("Opening a connection", cause, hint=hint)
    return secret(address) if refers(address) else address


def _is_file(path: str) -> bool:
    try:
        return Path(path).expanduser().is_file()
    except OSError:  # whoever opens the folder will tell
        return False


def _with_password(uri: str, password: str) -> str:
    parts = urlsplit(uri)
    user, _, host = parts.netloc.rpartition("@")
    if not user:
        hint = "Write it as scheme://user@host/..."
        raise FixConfig("Opening a connection", "a password is given, and its URI names no user", hint=hint)
    return parts._replace(netloc=f"{user.partition(':')[0]}:{quote(password, safe='')}@{host}").geturl()


def open_org(connection: Connection, *, sink: Sink = silent) -> registry.Connection:
    """A client of the org, logged in when it is first asked; it is the caller's to close.

    Raises: FixConfig for a login that lacks something, and for a secret that is not there.
    """
    share = connection.quota_share if isinstance(connection, Org) else None
    options: dict[str, Any] = {} if share is None else {"quota_share": share}
    environ = connection.environ() if isinstance(connection, Org) else None
    return registry.connect("salesforce", registry.login("salesforce", environ), sink=sink, **options)


def bucket_of(connection: Connection) -> tuple[str, str]:
    """The bucket that a connection leads to, and the prefix that its URI has (`s3://bucket/prefix`)."""
    if isinstance(connection, Bucket):
        return connection.bucket, ""
    parts = urlsplit(uri_of(connection))
    if parts.scheme.lower() != "s3" or not parts.netloc:
        raise FixConfig("Opening a connection", "it leads to no bucket", hint="Write s3://bucket, or kind: s3.")
    prefix = parts.path.strip("/")
    return parts.netloc, f"{prefix}/" if prefix else ""


def open_bucket_store(connection: Connection) -> Buckets:
    """The store that holds the bucket of a connection.

    Raises: MissingExtra without boto3; FixConfig where it has no login or region.
    """
    settings: dict[str, Any] = connection.settings() if isinstance(connection, Bucket) else {}
    return registry.open_buckets(**settings)
