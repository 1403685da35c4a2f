"""The tables of an account: how they are made, told, changed and deleted.

Source: "Amazon DynamoDB API reference", https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/Welcome.html. The words of
refusals are the service's as https://github.com/architect/dynalite has recorded them from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from halocline.testing.aws.clock import Clock
from halocline.testing.aws.dynamodb_key import Key, key_of
from halocline.testing.aws.dynamodb_reply import one_or_more, refused
from halocline.testing.aws.dynamodb_stream import KEPT_S, VIEWS, Stream
from halocline.testing.aws.dynamodb_table import Index, Table
from halocline.testing.aws.errors import AWSError
from halocline.testing.aws.queues import ACCOUNT

Params = Mapping[str, Any]
Result = dict[str, Any]
_NAME = re.compile(r"[a-zA-Z0-9_.-]+")
_NAMES = 100  # of one ListTables
_KEY_KINDS = ("B", "N", "S")  # Source: API reference, AttributeDefinition
_PROJECTIONS = ("ALL", "INCLUDE", "KEYS_ONLY")  # Source: API reference, Projection
_UNFIT = "failed to satisfy constraint"
_INDEXES = {"GlobalSecondaryIndexes": True, "LocalSecondaryIndexes": False}


class Tables:
    """Tables by region and name."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tables: dict[tuple[str, str], Table] = {}
        self._ended: list[Stream] = []  # of tables that are deleted

    def __iter__(self) -> Iterator[Table]:
        return iter(self._tables.values())

    def get(self, params: Params, region: str, *, told: str = "") -> Table:
        """The table that a request names, by its name or ARN; `told` is said where there is none.
        Raises: AWSError (ResourceNotFoundException).
        """
        name = _name_of(params.get("TableName"))
        found = self._tables.get((region, name))
        if found is None:
            raise AWSError("ResourceNotFoundException", f"Requested resource not found{told.format(name)}")
        return found

    def anywhere(self, name: str) -> Table:
        """The table of a name, in whatever region it is.
        Raises: AWSError (ResourceNotFoundException).
        """
        found = next((one for one in self if one.name == name), None)
        if found is None:
            raise AWSError("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found")
        return found

    def by_arn(self, arn: object) -> Table:
        """The table of an ARN.
        Raises: AWSError (TableNotFoundException).
        """
        found = next((one for one in self if one.arn == arn), None)
        if found is None:
            raise AWSError("TableNotFoundException", f"Table not found: {arn}")
        return found

    def streams(self) -> Iterator[Stream]:
        """All streams, also those that ended within a day."""
        oldest = self._clock.now() - KEPT_S
        for stream in (*self._ended, *(one for table in self for one in table.streams)):
            if stream.ended is None or stream.ended > oldest:
                yield stream

    def sweep(self) -> None:
        """Remove what expired long enough ago."""
        now = self._clock.now()
        for table in self:
            if table.ttl is not None:
                table.expire(now)

    def expire(self, name: str) -> int:
        """Remove what has expired, without the delay that DynamoDB takes, and say how many items."""
        return self.anywhere(name).expire(self._clock.now(), late_s=0.0)

    # ---- operations

    def create(self, params: Params, region: str) -> Result:
        name = _checked_name(params.get("TableName"))
        if (region, name) in self._tables:
            raise AWSError("ResourceInUseException", f"Table already exists: {name}")
        definitions = _definitions(params)
        key = key_of(params.get("KeySchema"), definitions)
        arn = f"arn:aws:dynamodb:{region}:{ACCOUNT}:table/{name}"
        table = Table(name, arn, key=key, definitions=definitions, created=self._clock.now())
        _set_billing(table, params, is_new=True)
        for kind, is_global in _INDEXES.items():
            for one in params.get(kind) or ():
                table.add_index(_index(table, one, is_global=is_global))
        _check_definitions(table)
        table.is_protected = bool(params.get("DeletionProtectionEnabled"))
        table.tags = {one["Key"]: one["Value"] for one in params.get("Tags") or ()}
        self._set_stream(table, params.get("StreamSpecification"))
        self._tables[region, name] = table
        return {"TableDescription": _described(table)}

    def describe(self, params: Params, region: str) -> Result:
        return {"Table": _described(self.get(params, region, told=": Table: {} not found"))}

    def list(self, params: Params, region: str) -> Result:
        most = int(params.get("Limit") or _NAMES)
        if not 1 <= most <= _NAMES:
            bound = f"less than or equal to {_NAMES}" if most > _NAMES else "greater than or equal to 1"
            why = f"Value '{most}' at 'limit' failed to satisfy constraint: Member must have value {bound}"
            raise refused(f"1 validation error detected: {why}")
        after = str(params.get("ExclusiveStartTableName") or "")
        names = sorted(name for where, name in self._tables if where == region and name > after)
        more = {"LastEvaluatedTableName": names[most - 1]} if len(names) > most else {}
        return {"TableNames": names[:most], **more}

    def delete(self, params: Params, region: str) -> Result:
        table = self.get(params, region, told=": Table: {} not found")
        if table.is_protected:
            why = "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first."
            raise refused(why)
        for stream in table.streams:
            stream.end(self._clock.now())
        self._ended += table.streams
        del self._tables[region, table.name]
        return {"TableDescription": {**_described(table), "TableStatus": "DELETING"}}

    def update(self, params: Params, region: str) -> Result:
        table = self.get(params, region, told=": Table: {} not found")
        table.definitions |= _definitions(params)
        _set_billing(table, params, is_new=False)
        for one in params.get("GlobalSecondaryIndexUpdates") or ():
            if "Create" in one:
                table.add_index(_index(table, one["Create"], is_global=True))
            elif "Delete" in one:
                table.indexes.pop(one["Delete"]["IndexName"], None)
        if "DeletionProtectionEnabled" in params:
            table.is_protected = bool(params["DeletionProtectionEnabled"])
        self._set_stream(table, params.get("StreamSpecification"))
        return {"TableDescription": _described(table)}

    def set_ttl(self, params: Params, region: str) -> Result:
        table = self.get(params, region)
        wanted = params["TimeToLiveSpecification"]
        if bool(wanted["Enabled"]) == (table.ttl is not None):
            raise refused(f"TimeToLive is already {'enabled' if wanted['Enabled'] else 'disabled'}")
        table.set_ttl(str(wanted["AttributeName"]) if wanted["Enabled"] else None)
        return {"TimeToLiveSpecification": dict(wanted)}

    def ttl(self, params: Params, region: str) -> Result:
        table = self.get(params, region)
        told = {"TimeToLiveStatus": "DISABLED" if table.ttl is None else "ENABLED"}
        return {"TimeToLiveDescription": told if table.ttl is None else {**told, "AttributeName": table.ttl}}

    def set_backups(self, params: Params, region: str) -> Result:
        table = self._with_backups(params, region)
        is_on = bool(params["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"])
        if not is_on:
            table.history_since, table.history = None, []
        elif table.history_since is None:
            table.history_since = self._clock.now()
        return self._backups(table)

    def backups(self, params: Params, region: str) -> Result:
        return self._backups(self._with_backups(params, region))

    def tag(self, params: Params, _region: str) -> Result:
        self._by_resource(params).tags.update({one["Key"]: one["Value"] for one in params.get("Tags") or ()})
        return {}

    def untag(self, params: Params, _region: str) -> Result:
        table = self._by_resource(params)
        for key in params.get("TagKeys") or ():
            table.tags.pop(key, None)
        return {}

    def tags(self, params: Params, _region: str) -> Result:
        return {"Tags": [{"Key": key, "Value": value} for key, value in self._by_resource(params).tags.items()]}

    # ---- inside

    def _with_backups(self, params: Params, region: str) -> Table:
        try:
            return self.get(params, region)
        except AWSError as error:
            raise AWSError("TableNotFoundException", f"Table not found: {params.get('TableName')}") from error

    def _by_resource(self, params: Params) -> Table:
        try:
            return self.by_arn(params.get("ResourceArn"))
        except AWSError as error:
            why = f"Requested resource not found: ResourcArn: {params.get('ResourceArn')} not found"
            raise AWSError("ResourceNotFoundException", why) from error

    def _backups(self, table: Table) -> Result:
        told: Result = {"PointInTimeRecoveryStatus": "DISABLED" if table.history_since is None else "ENABLED"}
        if table.history_since is not None:
            told |= {"EarliestRestorableDateTime": table.history_since, "LatestRestorableDateTime": self._clock.now()}
        return {"ContinuousBackupsDescription": {"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": told}}

    def _set_stream(self, table: Table, wanted: Params | None) -> None:
        if wanted is None:
            return
        now = self._clock.now()
        if not wanted.get("StreamEnabled"):
            if table.stream is not None:
                table.stream.end(now)
            table.stream = None
            return
        if table.stream is not None:
            raise AWSError("ResourceInUseException", f"Table already has an enabled stream: TableName: {table.name}")
        if wanted.get("StreamViewType") not in VIEWS:
            raise one_or_more("StreamViewType is required when StreamEnabled is true")
        region = table.arn.split(":")[3]
        view = str(wanted["StreamViewType"])
        table.stream = Stream(table.name, table_arn=table.arn, region=region, view=view, keys=_schema_of(table.key), now=now)
        table.streams.append(table.stream)


def _name_of(told: object) -> str:
    """The name of a table, which may be told by its ARN."""
    return str(told or "").rpartition(":table/")[2]


def _checked_name(told: object) -> str:
    name = _name_of(told)
    if not 3 <= len(name) <= 255:
        raise refused("TableName must be at least 3 characters long and at most 255 characters long")
    if not _NAME.fullmatch(name):
        why = f"Value '{name}' at 'tableName' failed to satisfy constraint"
        raise refused(f"1 validation error detected: {why}: Member must satisfy regular expression pattern: {_NAME.pattern}")
    return name


def _set_billing(table: Table, params: Params, *, is_new: bool) -> None:
    if is_new or "BillingMode" in params:
        table.billing = str(params.get("BillingMode") or "PROVISIONED")
    wanted = params.get("ProvisionedThroughput")
    if wanted is not None and table.billing == "PAY_PER_REQUEST":
        raise one_or_more("Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
    if wanted is not None:
        table.throughput = (int(wanted["ReadCapacityUnits"]), int(wanted["WriteCapacityUnits"]))
    elif is_new and table.billing == "PROVISIONED":
        raise one_or_more("ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")
    elif table.billing == "PAY_PER_REQUEST":
        table.throughput = (0, 0)


def _index(table: Table, wanted: Params, *, is_global: bool) -> Index:
    name = str(wanted["IndexName"])
    if name in table.indexes:
        raise one_or_more(f"Duplicate index name: {name}")
    key = key_of(wanted["KeySchema"], table.definitions)
    if not is_global and key.names[0] != table.key.names[0]:
        why = "Index KeySchema does not have the same leading hash key as table KeySchema for index"
        raise one_or_more(f"{why}: {name}. index hash key: {key.names[0]}, table hash key: {table.key.names[0]}")
    kind, more = _projection(wanted.get("Projection"))
    held = None if kind == "ALL" else frozenset((*more, *key.names, *table.key.names))
    return Index(name, key, is_global, kind, held)


def _projection(wanted: object) -> tuple[str, list[str]]:
    """What an index holds besides keys: the kind of its projection, and the attributes that it names.
    Raises: AWSError for one that cannot be.

    Source: API reference, Projection; the words as dynalite has recorded them, and https://github.com/nubo-db/dynoxide/issues/116.
    """
    if not isinstance(wanted, dict):
        raise refused(f"1 validation error detected: Value null at 'projection' {_UNFIT}: Member must not be null")
    kind, more = wanted.get("ProjectionType"), wanted.get("NonKeyAttributes")
    if kind is None:
        raise one_or_more("Unknown ProjectionType: null")
    if kind not in _PROJECTIONS:
        told = f"Value '{kind}' at 'projection.projectionType' {_UNFIT}"
        raise refused(f"1 validation error detected: {told}: Member must satisfy enum value set: [{', '.join(_PROJECTIONS)}]")
    if (kind == "INCLUDE") != bool(more):
        raise one_or_more(f"ProjectionType is {kind}, but NonKeyAttributes is {'' if more else 'not '}specified")
    return str(kind), list(more or ())


def _definitions(params: Params) -> dict[str, str]:
    """The attributes that a request defines, and their types.
    Raises: AWSError for a type that no key has.
    """
    found: dict[str, str] = {}
    for at, one in enumerate(params.get("AttributeDefinitions") or (), start=1):
        name, kind = one["AttributeName"], one["AttributeType"]
        if kind not in _KEY_KINDS:
            told = f"Value '{kind}' at 'attributeDefinitions.{at}.member.attributeType' {_UNFIT}"
            raise refused(f"1 validation error detected: {told}: Member must satisfy enum value set: [{', '.join(_KEY_KINDS)}]")
        found[name] = kind
    return found


def _check_definitions(table: Table) -> None:
    """Raises: AWSError for an attribute that is defined and in no key."""
    used = {name for key in (table.key, *(one.key for one in table.indexes.values())) for name in key.names}
    if set(table.definitions) != used:
        why = "Some AttributeDefinitions are not used. AttributeDefinitions"
        raise one_or_more(f"{why}: [{', '.join(table.definitions)}], keys used: [{', '.join(sorted(used))}]")


def _schema_of(key: Key) -> list[dict[str, str]]:
    return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(key.names, ("HASH", "RANGE"), strict=False)]


def _described(table: Table) -> Result:
    told: Result = {
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": kind} for name, kind in table.definitions.items()],
        "TableName": table.name,
        "KeySchema": _schema_of(table.key),
        "TableStatus": "ACTIVE",
        "CreationDateTime": table.created,
        "ProvisionedThroughput": _throughput(table),
        "TableSizeBytes": table.shelf.size,
        "ItemCount": len(table.shelf),
        "TableArn": table.arn,
        "TableId": table.id,
        "DeletionProtectionEnabled": table.is_protected,
    }
    if table.billing == "PAY_PER_REQUEST":
        told["BillingModeSummary"] = {"BillingMode": table.billing, "LastUpdateToPayPerRequestDateTime": table.created}
    for kind, is_global in _INDEXES.items():
        found = [_told_index(table, one) for one in table.indexes.values() if one.is_global == is_global]
        if found:
            told[kind] = found
    if table.streams:
        told |= {"LatestStreamLabel": table.streams[-1].label, "LatestStreamArn": table.streams[-1].arn}
    if table.stream is not None:
        told["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": table.stream.view}
    return told


def _throughput(table: Table) -> Result:
    read, write = table.throughput
    return {"NumberOfDecreasesToday": 0, "ReadCapacityUnits": read, "WriteCapacityUnits": write}


def _told_index(table: Table, index: Index) -> Result:
    keys = {*index.key.names, *table.key.names}
    more = {"NonKeyAttributes": sorted((index.attributes or keys) - keys)} if index.kind == "INCLUDE" else {}
    told = {
        "IndexName": index.name,
        "KeySchema": _schema_of(index.key),
        "Projection": {"ProjectionType": index.kind, **more},
        "IndexSizeBytes": index.shelf.size,
        "ItemCount": len(index.shelf),
        "IndexArn": f"{table.arn}/index/{index.name}",
    }
    return {**told, "IndexStatus": "ACTIVE", "ProvisionedThroughput": _throughput(table)} if index.is_global else told
