-- name: intend
INSERT INTO intents (run, chunk, detail) VALUES (:run, :chunk, :detail)
ON CONFLICT (run, chunk) DO UPDATE
SET detail = excluded.detail, remote = CASE WHEN intents.settled IS NULL THEN intents.remote END, settled = NULL;

-- name: remote
UPDATE intents SET remote = :remote WHERE run = :run AND chunk = :chunk;

-- name: settle
UPDATE intents SET settled = coalesce(settled, :now) WHERE run = :run AND chunk = :chunk;

-- name: open
SELECT chunk, detail, remote FROM intents WHERE run = :run AND settled IS NULL ORDER BY seq;
