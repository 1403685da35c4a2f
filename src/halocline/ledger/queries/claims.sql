-- name: claims_of
SELECT key, state, fence, owner, since, until, deaths, attempts, payload, told FROM claims
WHERE key IN (SELECT value FROM json_each(:keys))

-- name: put_claim
INSERT INTO claims (key, state, fence, owner, since, until, deaths, attempts, payload, told)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET
    state = excluded.state, fence = excluded.fence, owner = excluded.owner, since = excluded.since, until = excluded.until,
    deaths = excluded.deaths, attempts = excluded.attempts, payload = excluded.payload, told = excluded.told

-- name: claims_set_aside
SELECT key, state, fence, owner, since, until, deaths, attempts, payload, told FROM claims
WHERE state = 'quarantined' AND (until = 0 OR until > :now) ORDER BY since, key LIMIT :limit

-- name: sweep_claims
DELETE FROM claims WHERE key IN (
    SELECT key FROM claims
    WHERE
        (state IN ('done', 'failed', 'released') AND until <= :now)
        OR (state = 'quarantined' AND until > 0 AND until <= :now)
        OR (state = 'claimed' AND until <= :dead)
    LIMIT :limit
)
