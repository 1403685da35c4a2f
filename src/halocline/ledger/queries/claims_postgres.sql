-- name: claim_keys
INSERT INTO claims AS r (key, state, fence, owner, since, until, deaths, attempts, payload, told)
SELECT w.key, 'claimed', c.now, CAST(:owner AS text), c.now, c.now + CAST(:lease AS bigint), 0, 0, w.payload, ''
FROM
    (SELECT key, payload FROM unnest(CAST(:keys AS text[]), CAST(:payloads AS text[])) AS u (key, payload) ORDER BY key) AS w,
    (SELECT coalesce(CAST(:now AS bigint), CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)) AS now) AS c
ON CONFLICT (key) DO UPDATE SET (state, fence, owner, since, until, deaths, attempts, payload, told) = (
    SELECT
        CASE WHEN f.free THEN 'claimed' ELSE r.state END,
        CASE WHEN f.free THEN greatest(excluded.fence, r.fence + 1) ELSE r.fence END,
        CASE WHEN f.free THEN excluded.owner ELSE r.owner END,
        CASE WHEN f.free THEN excluded.since ELSE r.since END,
        CASE WHEN f.free THEN excluded.until ELSE r.until END,
        CASE WHEN f.over THEN 0 WHEN f.free AND r.state = 'claimed' AND f.ended THEN r.deaths + 1 ELSE r.deaths END,
        CASE WHEN f.over THEN 0 ELSE r.attempts END,
        CASE WHEN f.over OR (f.free AND excluded.payload <> '') THEN excluded.payload ELSE r.payload END,
        CASE WHEN f.free THEN '' ELSE r.told END
    FROM (
        SELECT e.ended, e.over, e.over OR (
            (excluded.payload = '' OR r.payload = '' OR excluded.payload = r.payload)
            AND (r.state IN ('failed', 'released') OR (r.state = 'claimed' AND (e.ended OR r.owner = excluded.owner)))
        ) AS free
        FROM (
            SELECT
                r.until <= excluded.since AS ended,
                (r.state IN ('done', 'failed') OR (r.state = 'quarantined' AND r.until > 0)) AND r.until <= excluded.since AS over
        ) AS e
    ) AS f
)
RETURNING r.key, r.state, r.fence, r.owner, r.until - coalesce(
    CAST(:now AS bigint), CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)
), r.deaths, r.attempts, r.payload, r.told

-- name: renew_keys
WITH c AS (
    SELECT coalesce(CAST(:now AS bigint), CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)) AS now
), w AS (
    SELECT key, fence FROM unnest(CAST(:keys AS text[]), CAST(:fences AS bigint[])) AS u (key, fence)
), locked AS (
    SELECT key FROM claims WHERE key = ANY (CAST(:keys AS text[])) ORDER BY key FOR UPDATE
)
UPDATE claims AS r SET until = c.now + CAST(:lease AS bigint) FROM c, w, locked
WHERE r.key = w.key AND locked.key = w.key AND r.fence = w.fence AND r.state = 'claimed'
RETURNING r.key, r.fence

-- name: word_keys
WITH c AS (
    SELECT coalesce(CAST(:now AS bigint), CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)) AS now
), w AS (
    SELECT key, fence, told FROM unnest(CAST(:keys AS text[]), CAST(:fences AS bigint[]), CAST(:told AS text[])) AS u (key, fence, told)
), locked AS (
    SELECT key FROM claims WHERE key = ANY (CAST(:keys AS text[])) ORDER BY key FOR UPDATE
)
UPDATE claims AS r SET (state, since, until, deaths, attempts, payload, told) = (
    SELECT
        CAST(:word AS text),
        CASE WHEN f.first THEN c.now ELSE r.since END,
        CASE WHEN f.first THEN coalesce(c.now + CAST(:keep AS bigint), 0) ELSE r.until END,
        CASE WHEN f.first AND :word = 'failed' THEN 0 ELSE r.deaths END,
        CASE WHEN f.first AND :word = 'failed' THEN r.attempts + 1 ELSE r.attempts END,
        CASE WHEN :word = 'released' AND r.deaths = 0 AND r.attempts = 0 THEN '' ELSE r.payload END,
        CASE WHEN f.first THEN w.told ELSE r.told END
    FROM (SELECT r.state = 'claimed' AS first) AS f
)
FROM c, w, locked
WHERE r.key = w.key AND locked.key = w.key AND r.fence = w.fence AND r.state IN ('claimed', :word)
RETURNING r.key, r.fence

-- name: look_keys
WITH c AS (
    SELECT coalesce(CAST(:now AS bigint), CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)) AS now
)
SELECT key, state, fence, owner, since, until, deaths, attempts, payload, told FROM claims, c
WHERE
    key = ANY (CAST(:keys AS text[]))
    AND NOT (state IN ('done', 'failed') AND until <= c.now)
    AND NOT (state = 'quarantined' AND until > 0 AND until <= c.now)
    AND NOT (state = 'released' AND deaths = 0 AND attempts = 0)

-- name: forget_keys
WITH c AS (
    SELECT coalesce(CAST(:now AS bigint), CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)) AS now
), locked AS (
    SELECT key FROM claims WHERE key = ANY (CAST(:keys AS text[])) ORDER BY key FOR UPDATE
)
UPDATE claims AS r
SET
    state = 'released', since = c.now, until = c.now + CAST(:keep AS bigint), deaths = 0, attempts = 0, payload = '', told = ''
FROM c, locked
WHERE
    r.key = locked.key
    AND r.state = coalesce(CAST(:only AS text), r.state)
    AND NOT (r.state IN ('done', 'failed') AND r.until <= c.now)
    AND NOT (r.state = 'quarantined' AND r.until > 0 AND r.until <= c.now)
    AND NOT (r.state = 'claimed' AND r.until > c.now)
    AND NOT (r.state = 'released' AND r.deaths = 0 AND r.attempts = 0)
RETURNING r.key, r.fence

-- name: keys_set_aside
WITH c AS (
    SELECT coalesce(CAST(:now AS bigint), CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)) AS now
)
SELECT key, state, fence, owner, since, until, deaths, attempts, payload, told FROM claims, c
WHERE state = 'quarantined' AND (until = 0 OR until > c.now) ORDER BY since, key LIMIT CAST(:limit AS bigint)

-- name: sweep_keys
WITH c AS (
    SELECT coalesce(CAST(:now AS bigint), CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)) AS now
)
DELETE FROM claims WHERE key IN (
    SELECT key FROM claims, c
    WHERE
        (state IN ('done', 'failed', 'released') AND until <= c.now)
        OR (state = 'quarantined' AND until > 0 AND until <= c.now)
        OR (state = 'claimed' AND until <= c.now - CAST(:kept AS bigint))
    LIMIT CAST(:limit AS bigint)
    FOR UPDATE OF claims SKIP LOCKED
)
RETURNING key
