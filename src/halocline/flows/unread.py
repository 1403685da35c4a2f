"""Variables of the environment that look like ours and that nothing reads: most of them are misspelt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from halocline import config, registry
from halocline.config import Variable, environment
from halocline.mapping.near import near

_OURS = "HALOCLINE_"
_OTHERS_TOO = ("SF_", "SNOWFLAKE_")  # other programs have such variables too, of which we know nothing
_A_SLIP = 0.9  # how alike a name with such a prefix must be to one of ours before it counts as misspelt: two letters swapped
_REFERENCE = re.compile(r"\benv:(\w+)")


def unread(
    text: str = "", environ: Mapping[str, str] | None = None, *, also: Iterable[Variable] = ()
) -> Iterator[tuple[str, str]]:
    """Each variable that is set in vain, with what is to be done, in the order of their names.

    `text` is that of halocline.yaml: what a reference in it, or in a variable, names is read. `also` are variables that are read
    by what is not looked at here; others that begin as theirs do are held against them.
    """
    env = environment(environ)
    known = [one.name for one in config.VARIABLES]
    known += [one.name for module in registry.able("VARIABLES").values() for one in module.VARIABLES]
    others = [one.name for one in also]
    known += others
    begin = (*_OTHERS_TOO, *(name.partition("_")[0] + "_" for name in others))
    ours = {one.removeprefix(_OURS): one for one in known if one.startswith(_OURS)}  # all alike as far as they all begin so
    named = {name for place in (text, *(env.get(name, "") for name in known)) for name in _REFERENCE.findall(place)}
    for name in sorted(env.keys() - set(known) - named):
        if name.startswith(_OURS):
            meant = [ours[one] for one in near(name.removeprefix(_OURS), ours)][:1]
        elif name.startswith(begin):
            meant = near(name, known, alike=_A_SLIP)[:1]
            if not meant:
                continue
        else:
            continue
        yield name, f"nothing reads it. {f'Did you mean {meant[0]}?' if meant else 'Unset it, unless another program needs it.'}"
