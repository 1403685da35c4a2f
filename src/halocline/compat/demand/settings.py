"""The documented variables, of the environment or, where it does not say them, of `.env` in the current folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from halocline.config import Variable, variables
from halocline.dotenv import dotenv
from halocline.errors import FixConfig

_REGION = "us-east-1"  # the document's
_ROLE = "DataScienceCrossAccountDDBAccess"
_PORT = 5432
_POSTGRES = "postgres"
_AWS = {
    "AWS_PROFILE": "profile",
    "AWS_ENDPOINT_URL": "endpoint",
    "AWS_ACCESS_KEY_ID": "key_id",
    "AWS_SECRET_ACCESS_KEY": "secret_key",
    "AWS_SESSION_TOKEN": "token",
}
VARIABLES = (
    Variable("REGION", "The region of the tables and of the secret.", f"AWS_REGION, AWS_DEFAULT_REGION, {_REGION}"),
    Variable("LOCAL_MODE", "true: PostgreSQL by PG_HOST, and no role in another account.", "false"),
    Variable("SOURCE_ENV", "sandbox: no role in another account."),
    Variable("DYNAMO_ROLE", "The role that another account gives.", _ROLE),
    Variable("PG_SECRET_ARN", "The secret of PostgreSQL, a JSON object."),
    Variable("PG_ENDPOINT", "Host, or host:port.", "the secret's"),
    Variable("PG_HOST", "The host, with LOCAL_MODE=true; likewise those that follow."),
    Variable("PG_PORT", "The port.", f"{_PORT}"),
    Variable("PG_DATABASE", "The database.", _POSTGRES),
    Variable("PG_USER", "The user.", _POSTGRES),
    Variable("PG_PASSWORD", "The password."),
)
"""Of the environment, else of `.env` in the current folder."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The variables by their names; empty ones are not there."""

    said: dict[str, str] = field(repr=False)
    in_file: dict[str, str] = field(repr=False)

    @classmethod
    def now(cls) -> Settings:
        """As environment and `.env` are now.

        Raises: FixConfig for a `.env` that cannot be read.
        """
        in_file = {name: value for name, value in dotenv(Path(".env")).items() if value}
        return cls({**in_file, **variables("")}, in_file)

    @property
    def local(self) -> bool:
        """Whether LOCAL_MODE is true.

        Raises: FixConfig for another word than true and false.
        """
        word = self.said.get("LOCAL_MODE", "false").lower()
        if word not in ("true", "false", "1", "0"):
            raise FixConfig("Reading LOCAL_MODE", f"{word!r} is neither true nor false")
        return word in ("true", "1")

    @property
    def region(self) -> str:
        """REGION, else that of AWS."""
        names = ("REGION", "AWS_REGION", "AWS_DEFAULT_REGION")
        return next((self.said[name] for name in names if name in self.said), _REGION)

    def needed(self, name: str, doing: str) -> str:
        """The value of a variable.

        Raises: FixConfig where there is none.
        """
        if name not in self.said:
            raise FixConfig(doing, f"{name} is not set", hint="Set it in the environment, or in .env.")
        return self.said[name]

    def access(self, account_id: str | int | None = None) -> dict[str, str]:
        """The settings of a login to AWS, in the role that another account gives, where one is named; an empty text names none.

        What `.env` says of the login is passed on; what the environment says, boto3 finds.
        Raises: FixConfig for what is no number of an account.
        """
        told = {setting: self.in_file[name] for name, setting in _AWS.items() if name in self.in_file and self._is_files(name)}
        told["region"] = self.region
        if not account_id or self.local or self.said.get("SOURCE_ENV") == "sandbox":
            return told
        account = str(account_id)
        if not (account.isascii() and account.isdigit() and len(account) == 12):
            hint = "Give its twelve digits as a text: a number has lost the zeros that it began with."
            raise FixConfig("Reading a table of another account", f"{account_id!r} is no number of an account", hint=hint)
        return {**told, "role": f"arn:aws:iam::{account}:role/{self.said.get('DYNAMO_ROLE', _ROLE)}"}

    def _is_files(self, name: str) -> bool:
        """Whether the environment has no other value; a login is taken from one of the two as a whole."""
        login = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        names = login if name in login else (name,)
        return all(self.said.get(one) == self.in_file.get(one) for one in names)


def setting(name: str, default: str | None = None) -> str | None:
    """The value of a variable, of the environment or of `.env` in the current folder; where it is empty or not there, `default`.

    Raises: FixConfig for a `.env` that cannot be read.
    """
    return Settings.now().said.get(name, default)


def place_of(text: str, *, port: int | str | None = None) -> tuple[str, int]:
    """Host and port of `host`, `host:port` or `[::1]:port`; `port` where it says none. A path is the folder of a socket.

    Raises: FixConfig for a port that is no number.
    """
    host, colon, said = text.rpartition(":")
    if text.startswith("/") or not colon or (":" in host and not host.endswith("]")) or text.endswith("]"):
        host, said = text, str(port or _PORT)
    if not (said.isascii() and said.isdigit() and 0 < int(said) < 65536):
        raise FixConfig("Opening PostgreSQL", f"{said!r} is no port", hint="Write host:5432.")
    return host.strip("[]"), int(said)


DATABASE = USER = _POSTGRES
"""What the document's connection is opened with, where nothing else is said."""
