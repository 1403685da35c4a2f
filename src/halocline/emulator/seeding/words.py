"""The words of seeded records, as Arrow arrays to pick from."""

from __future__ import annotations

import functools
import itertools
import random
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import pyarrow as pa
import yaml

from halocline.emulator.seeding.dice import texts

POSTCODES_PER_PLACE = 40
DESCRIPTIONS = 4_000  # different descriptions; the seed of the org does not change them
_SAFE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # as schema files are read: ten times as fast where libyaml is there
_PLACE_SEED = 17
_TABLES = ("places", "sentences")  # what words.yaml holds besides lists of words
_PLACE_COLUMNS = ("city", "state", "postcode", "country", "dial", "latitude", "longitude")


@dataclass(frozen=True, slots=True)
class Words:
    """Everything to pick from: `lists` by name, `slugs` the same words as parts of a mail address, `places` and `descriptions`.

    A row of `places` is one postal code of a city, with columns city, state, postcode, country, dial, latitude, longitude.
    """

    lists: Mapping[str, pa.Array]
    slugs: Mapping[str, pa.Array]
    places: pa.RecordBatch
    descriptions: pa.Array


@functools.cache
def load_words() -> Words:
    """The packaged words; read once."""
    text = (resources.files("halocline.emulator.seeding") / "words.yaml").read_text(encoding="utf-8")
    given = yaml.load(text, Loader=_SAFE)  # noqa: S506 - both are safe
    return Words(
        lists={name: texts(words) for name, words in given.items() if name not in _TABLES},
        slugs={name: texts([slug(word) for word in words]) for name, words in given.items() if name not in _TABLES},
        places=_places(given["places"]),
        descriptions=_descriptions(given["sentences"]),
    )


def slug(word: str) -> str:
    """The word in lower-case ASCII letters and digits; `team` if nothing of it is left."""
    plain = unicodedata.normalize("NFKD", word.lower().replace("ø", "o").replace("ß", "ss").replace("ł", "l").replace("æ", "ae"))
    return re.sub(r"[^a-z0-9]", "", plain) or "team"


def _places(rows: Sequence[Sequence[Any]]) -> pa.RecordBatch:
    rng = random.Random(_PLACE_SEED)  # noqa: S311 - postal codes, no secrets
    columns: dict[str, list[Any]] = {
        name: [] for name in ("city", "state", "postcode", "country", "dial", "latitude", "longitude")
    }
    for row, _ in itertools.product(rows, range(POSTCODES_PER_PLACE)):
        city, state, country, prefix, digits, suffix, dial, latitude, longitude = row
        middle = f"{rng.randrange(10**digits):0{digits}d}" if digits else ""
        values = (city, state or None, f"{prefix}{middle}{suffix}" or None, country, dial)
        near = (round(latitude + rng.uniform(-0.08, 0.08), 6), round(longitude + rng.uniform(-0.08, 0.08), 6))
        for column, value in zip(columns.values(), (*values, *near), strict=True):
            column.append(value)
    return pa.RecordBatch.from_pydict(columns)


def _descriptions(sentences: Sequence[str]) -> pa.Array:
    """Texts of one to four sentences, some of one line, some with line breaks of either kind."""
    rng = random.Random(_PLACE_SEED)  # noqa: S311 - sentences, no secrets
    separators = [" ", " ", "\n", "\r\n", "\n\n"]
    return texts([rng.choice(separators).join(rng.choices(sentences, k=rng.randint(1, 4))) for _ in range(DESCRIPTIONS)])
