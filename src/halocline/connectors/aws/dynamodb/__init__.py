"""DynamoDB: tables as a source, scanned, followed by their streams, or read from their exports in a bucket."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from halocline.connector import About
from halocline.errors import FixConfig
from halocline.events import Sink, silent
from halocline.registry import missing_extra

if TYPE_CHECKING:
    from halocline.connectors.aws.dynamodb.account import Account
    from halocline.connectors.aws.dynamodb.export_source import ExportSource
    from halocline.connectors.aws.dynamodb.source import DynamoDBSource
    from halocline.spool import Spool

__all__ = ["ABOUT", "accepts", "connect", "open_source"]

ABOUT = About("DynamoDB", schemes=("dynamodb",), example="dynamodb://table")
_SCHEME = "dynamodb://"


def accepts(session: object) -> bool:
    """Whether `session` is an `Account`, or a `dynamodb://` URI; looks without loading boto3."""
    if isinstance(session, str):
        return session.lower().startswith(_SCHEME)
    kind = type(session)
    return (kind.__name__, kind.__module__) == ("Account", "halocline.connectors.aws.dynamodb.account")


def connect(
    session: str | Account,
    *,
    memory_limit: str | None = None,  # noqa: ARG001 - of an embedded database; this is a service
    sink: Sink = silent,
) -> Account:
    """The account behind a URI (`dynamodb://table?region=eu-west-1`); one that is there already is returned as it is.

    Raises: FixConfig for a URI that cannot be read; MissingExtra when boto3 is not installed.
    """
    try:
        from halocline.connectors.aws.dynamodb.account import Account
    except ModuleNotFoundError as error:
        raise missing_extra("aws", error) from error

    return Account.at(session, sink=sink) if isinstance(session, str) else session


def open_source(
    account: Account, *, spool: Spool | None = None, keep_pages: bool = True, **options: object
) -> DynamoDBSource | ExportSource:
    """A source on an account; the options are those of `Wanted`, its `table` that of the URI where none is named.

    Without a `spool` of the run, files are in one of the account's own.
    Raises: FixConfig for options that cannot be meant.
    """
    from halocline.connectors.aws.dynamodb.asked import asked
    from halocline.connectors.aws.dynamodb.export_source import ExportSource
    from halocline.connectors.aws.dynamodb.source import DynamoDBSource
    from halocline.connectors.aws.dynamodb.wanted import Wanted

    doing = "Reading DynamoDB"
    given = {"table": account.table, **asked(options)}
    known = [one.name for one in fields(Wanted)]
    strange = [name for name in given if name not in known]
    if strange:
        raise FixConfig(doing, f"{strange[0]!r} is no option", hint=f"There are: {', '.join(known)}.", option=strange[0])
    if not given["table"]:
        raise FixConfig(doing, "no table is named", hint="Give table=..., or a URI such as dynamodb://table.")
    wanted = Wanted(**given)
    if wanted.from_export is not None:
        return ExportSource(account, wanted, spool=spool)
    return DynamoDBSource(account, wanted, spool=spool, keep_pages=keep_pages)
