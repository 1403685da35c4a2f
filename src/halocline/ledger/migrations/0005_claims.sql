-- Claims on keys (see halocline.claims). Instants are microseconds since 1970; `until` ends the lease (claimed) or the memory.
CREATE TABLE claims (
    key TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('claimed', 'done', 'failed', 'quarantined', 'released')),
    fence INTEGER NOT NULL,
    owner TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    deaths INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    payload TEXT NOT NULL,
    told TEXT NOT NULL
) STRICT;

CREATE INDEX claims_over ON claims (state, until);
