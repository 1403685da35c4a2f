"""Keys: which attributes they are made of, and the place among a table's items that they give an item.

Source: "Partitions and data distribution" (a hash of the partition key says where an item is; the sort key orders the items of
one), https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.Partitions.html. Which hash is not said.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from halocline.testing.aws.dynamodb_reply import EmptyKey, one_or_more, refused
from halocline.testing.aws.dynamodb_value import Item, Value, checked, kind_of, sortable

HASH_BYTES = 16
_MOST = (2048, 1024)  # bytes. Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
_NOTHING: Value = {}
_MISMATCH = "The provided key element does not match the schema"


@dataclass(frozen=True, slots=True)
class Key:
    """The attributes of a key, the partition key first, and the type (S, N, B) of each."""

    names: tuple[str, ...]
    kinds: tuple[str, ...]

    def place(self, item: Mapping[str, Value]) -> bytes:
        """Bytes by which items are in order: the hash of the partition key, then the sort key. They are the item's alone."""
        made = hashed(item[self.names[0]])
        return made + ended(sortable(item[self.names[1]])) if len(self.names) > 1 else made

    def of(self, item: Mapping[str, Value]) -> Item:
        """The key of an item."""
        return {name: item[name] for name in self.names}

    def checked(self, key: object) -> Item:
        """A key that a request names.
        Raises: AWSError for one that is not this table's.
        """
        if not isinstance(key, dict) or set(key) != set(self.names):
            raise refused(_MISMATCH)
        made = {name: checked(key[name])[0] for name in self.names}
        if any(kind_of(made[name]) != kind for name, kind in zip(self.names, self.kinds, strict=True)):
            raise refused(_MISMATCH)
        self._check_sizes(made)
        return made

    def check(self, item: Mapping[str, Value]) -> None:
        """Raises: AWSError for an item that has not this key."""
        for name, kind in zip(self.names, self.kinds, strict=True):
            if name not in item:
                raise one_or_more(f"Missing the key {name} in the item")
            if (actual := kind_of(item[name])) != kind:
                raise one_or_more(f"Type mismatch for key {name} expected: {kind} actual: {actual}")
        self._check_sizes(item)

    def covers(self, item: Mapping[str, Value]) -> bool:
        """Whether an item has this key; one that has not, or has another type or nothing there, is not in the index.

        Source: "Detecting and correcting index key violations in DynamoDB" (of items that were there before their index):
        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.OnlineOps.ViolationDetection.html
        """
        return all(item.get(name, _NOTHING).get(kind) for name, kind in zip(self.names, self.kinds, strict=True))

    def _check_sizes(self, item: Mapping[str, Value]) -> None:
        for name, kind, most in zip(self.names, self.kinds, _MOST[: len(self.names)], strict=True):
            if not item[name][kind]:
                raise EmptyKey(f"{empty_words(kind)} Key: {name}")
            if len(sortable(item[name])) > most:
                words = {
                    2048: "Size of hashkey has exceeded the maximum size limit of2048 bytes",
                    1024: "Aggregated size of all range keys has exceeded the size limit of 1024 bytes",
                }
                raise one_or_more(words[most])


def key_of(schema: object, definitions: Mapping[str, str]) -> Key:
    """The key that a `KeySchema` describes.
    Raises: AWSError for one that cannot be.
    """
    found: list[Mapping[str, Any]] = list(schema) if isinstance(schema, list) else []
    if [one["KeyType"] for one in found] not in (["HASH"], ["HASH", "RANGE"]):
        raise refused("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    names = tuple(one["AttributeName"] for one in found)
    missing = [name for name in names if name not in definitions]
    if missing:
        why = "Some index key attributes are not defined in AttributeDefinitions."
        raise one_or_more(f"{why} Keys: [{', '.join(missing)}], AttributeDefinitions: [{', '.join(definitions)}]")
    return Key(names, tuple(definitions[name] for name in names))


def empty_words(kind: str) -> str:
    """How an empty value of a key is refused; `kind` is S or B, of which alone there are empty ones."""
    return f"The AttributeValue for a key attribute cannot contain an empty {'binary' if kind == 'B' else 'string'} value."


def hashed(value: Value) -> bytes:
    """Where the items of a partition key are."""
    kind, content = next(iter(value.items()))
    return hashlib.md5(f"{kind}{content}".encode(), usedforsecurity=False).digest()


def escaped(data: bytes) -> bytes:
    """Bytes in the same order, without two zeros in a row."""
    return data.replace(b"\0", b"\0\xff") if b"\0" in data else data


def ended(data: bytes) -> bytes:
    """Bytes in the same order, of which none begins with another."""
    return escaped(data) + b"\0\0"


def behind(prefix: bytes) -> bytes | None:
    """The least bytes behind all that begin with these; None where there are none."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else None
