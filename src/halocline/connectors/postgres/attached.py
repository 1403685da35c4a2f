"""Attached: what depends on a table or belongs to it and would be lost with it, and the grants that an heir can take over."""

from __future__ import annotations

from collections.abc import Sequence

from halocline.connectors.postgres.client import Cursor, rows
from halocline.connectors.postgres.tables import Table
from halocline.standard_sql import quoted

_SHOWN = 5
_REASONS = """
SELECT 'the view ' || r.ev_class::regclass::text FROM pg_depend d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass
    AND r.oid = d.objid WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND r.ev_class <> $1
UNION SELECT 'the rule ' || rulename FROM pg_rewrite WHERE ev_class = $1
UNION SELECT 'the constraint ' || conname FROM pg_constraint WHERE (conrelid = $1 OR confrelid = $1) AND contype NOT IN ('p', 'n')
UNION SELECT 'the primary key ' || conname FROM (SELECT conname, ARRAY(SELECT attname::text FROM pg_attribute
    WHERE attrelid = $1 AND attnum = ANY (conkey)) AS names FROM pg_constraint WHERE conrelid = $1 AND contype = 'p') p
    WHERE NOT (names @> $2::text[] AND names <@ $2::text[])
UNION SELECT 'the collation of ' || attname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped AND attcollation <> typcollation
UNION SELECT 'the index ' || indexrelid::regclass::text FROM pg_index WHERE indrelid = $1 AND NOT indisprimary
    AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid)
UNION SELECT 'the trigger ' || tgname FROM pg_trigger WHERE tgrelid = $1 AND NOT tgisinternal
UNION SELECT 'the policy ' || polname FROM pg_policy WHERE polrelid = $1
UNION SELECT 'row security' FROM pg_class WHERE oid = $1 AND relrowsecurity
UNION SELECT 'the publication ' || p.pubname FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
    WHERE r.prrelid = $1
UNION SELECT 'inheritance' FROM pg_inherits WHERE inhparent = $1 OR inhrelid = $1
UNION SELECT 'its partitions' FROM pg_class WHERE oid = $1 AND relkind = 'p'
UNION SELECT 'the default of ' || attname FROM pg_attribute WHERE attrelid = $1 AND attnum > 0
    AND (atthasdef OR attidentity <> '')
UNION SELECT 'the NOT NULL of ' || attname FROM pg_attribute a WHERE attrelid = $1 AND attnum > 0 AND attnotnull
    AND NOT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = $1 AND i.indisprimary AND a.attnum = ANY (i.indkey))
UNION SELECT 'the grants on ' || attname FROM pg_attribute WHERE attrelid = $1 AND attacl IS NOT NULL
UNION SELECT 'its comments' FROM pg_description WHERE objoid = $1 AND classoid = 'pg_class'::regclass
UNION SELECT 'its statistics ' || stxname FROM pg_statistic_ext WHERE stxrelid = $1
UNION SELECT 'its storage options' FROM pg_class WHERE oid = $1 AND (reloptions IS NOT NULL OR reltablespace <> 0)
UNION SELECT 'its replica identity' FROM pg_class WHERE oid = $1 AND relreplident <> 'd'
UNION SELECT 'its owner ' || pg_get_userbyid(relowner) FROM pg_class WHERE oid = $1 AND pg_get_userbyid(relowner) <> current_user
ORDER BY 1
"""
_GRANTS = """
SELECT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, a.privilege_type, a.is_grantable
FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = $1::regclass ORDER BY 1, 2
"""


def attached(cursor: Cursor, table: Table, *, key: Sequence[str]) -> tuple[str, ...]:
    """What would be lost or broken if the table were dropped, in words; grants and a primary key on `key` left out."""
    names = [name.lower() for name in key]
    return tuple(str(reason) for (reason,) in rows(cursor, _REASONS, values=(table.oid, names)))


def shown(reasons: tuple[str, ...]) -> str:
    """A few of the reasons, for a person."""
    return ", ".join(reasons[:_SHOWN]) + (f" and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else "")


def grants(cursor: Cursor, table: Table, *, heir: Table) -> list[str]:
    """The statements that give `heir` the grants of `table`, and no others; those who have none but the owner's need none."""
    old, new = (rows(cursor, _GRANTS, values=(quoted(one.schema, one.name),)) for one in (table, heir))
    if old == new:
        return []
    statements = [f"REVOKE ALL ON {heir.sql} FROM {who}" for who in sorted({str(who) for who, _, _ in new})]
    for who, right, grantable in old:
        statements.append(f"GRANT {right} ON {heir.sql} TO {who}{' WITH GRANT OPTION' if grantable and who != 'PUBLIC' else ''}")
    return statements
