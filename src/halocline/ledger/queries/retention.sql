-- name: past
SELECT r.seq, r.run, coalesce(r.lease, r.flow), r.state, r.finished, r.plan,
    (r.state = 'done' AND r.acked IS NULL AND r.receipts <> '[]')
    OR EXISTS (SELECT 1 FROM intents AS i WHERE i.run = r.run AND i.settled IS NULL)
FROM runs AS r
WHERE r.seq > :after
ORDER BY r.seq
LIMIT :limit;

-- name: rows_kept
SELECT (SELECT count(*) FROM rejections WHERE run = :run) + (SELECT count(*) FROM doubts WHERE run = :run);

-- name: forget
DELETE FROM runs
WHERE run = :run AND state <> 'running' AND finished < :before
  AND NOT EXISTS (SELECT 1 FROM intents AS i WHERE i.run = runs.run AND i.settled IS NULL);

-- name: forget_usage
DELETE FROM usage WHERE day < :day;

-- name: chore
SELECT ran FROM chores WHERE name = :chore;

-- name: chore_done
INSERT INTO chores (name, ran) VALUES (:chore, :now)
ON CONFLICT (name) DO UPDATE SET ran = excluded.ran;
