-- Numbers in `seq` keep the order of arrival; instants are ISO 8601 text in UTC with microseconds.

CREATE TABLE migrations (
    number BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    ran TEXT COLLATE "C" NOT NULL
);

CREATE TABLE runs (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run TEXT NOT NULL UNIQUE,
    flow TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'abandoned')),
    started TEXT COLLATE "C" NOT NULL,
    finished TEXT COLLATE "C",
    method TEXT,
    rows_read BIGINT NOT NULL DEFAULT 0,
    counts TEXT NOT NULL DEFAULT '{}',
    api_calls BIGINT NOT NULL DEFAULT 0,
    error TEXT,
    plan TEXT,
    receipts TEXT NOT NULL DEFAULT '[]',
    acked TEXT COLLATE "C",
    pid BIGINT NOT NULL,
    host TEXT NOT NULL,
    born TEXT,
    fence BIGINT
);

CREATE INDEX runs_of_flow ON runs (flow, seq);
CREATE INDEX runs_running ON runs (flow) WHERE state = 'running';
CREATE INDEX runs_unacked ON runs (flow) WHERE state = 'done' AND acked IS NULL AND receipts <> '[]';

CREATE TABLE intents (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run TEXT NOT NULL REFERENCES runs (run) ON DELETE CASCADE,
    chunk TEXT NOT NULL,
    detail TEXT NOT NULL,
    remote TEXT,
    settled TEXT COLLATE "C",
    UNIQUE (run, chunk)
);

CREATE INDEX intents_open ON intents (run, seq) WHERE settled IS NULL;

CREATE TABLE rejections (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run TEXT NOT NULL REFERENCES runs (run) ON DELETE CASCADE,
    chunk TEXT NOT NULL,
    body TEXT NOT NULL
);

CREATE INDEX rejections_of_chunk ON rejections (run, chunk);
CREATE INDEX rejections_of_run ON rejections (run, seq);

CREATE TABLE doubts (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run TEXT NOT NULL REFERENCES runs (run) ON DELETE CASCADE,
    chunk TEXT NOT NULL,
    "row" BIGINT NOT NULL
);

CREATE INDEX doubts_of_chunk ON doubts (run, chunk);

CREATE TABLE positions (
    flow TEXT PRIMARY KEY,
    position TEXT NOT NULL,
    saved TEXT COLLATE "C" NOT NULL
);

-- A row stays when its lease ends, so that its fence goes on growing; `until` is then in the past and `owner` empty.
CREATE TABLE leases (
    flow TEXT PRIMARY KEY,
    owner TEXT,
    fence BIGINT NOT NULL,
    ttl_s DOUBLE PRECISION NOT NULL,
    until TEXT COLLATE "C" NOT NULL
);
