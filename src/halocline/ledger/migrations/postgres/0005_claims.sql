-- Claims on keys (see halocline.claims). Instants are microseconds since 1970; `until` ends the lease (claimed) or the memory.
CREATE TABLE claims (
    key text PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('claimed', 'done', 'failed', 'quarantined', 'released')),
    fence bigint NOT NULL,
    owner text NOT NULL,
    since bigint NOT NULL,
    until bigint NOT NULL,
    deaths bigint NOT NULL,
    attempts bigint NOT NULL,
    payload text NOT NULL,
    told text NOT NULL
);

CREATE INDEX claims_over ON claims (state, until);
