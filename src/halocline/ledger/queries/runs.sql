-- name: start
INSERT INTO runs (run, flow, state, started, plan, pid, host, born, world, lease, fence)
VALUES (:run, :flow, 'running', :now, :plan, :pid, :host, :born, :world, :lease, :fence)
ON CONFLICT (run) DO NOTHING;

-- name: note
UPDATE runs SET plan = :plan WHERE run = :run;

-- name: finish
UPDATE runs
SET state = :state, finished = :now, method = :method, rows_read = :rows_read, counts = :counts, api_calls = :api_calls,
    receipts = :receipts, error = :error
WHERE run = :run AND state <> 'done';

-- name: run
SELECT run, flow, state, started, finished, method, rows_read, counts, api_calls, error, plan FROM runs WHERE run = :run;

-- name: runs
SELECT run, flow, state, started, finished, method, rows_read, counts, api_calls, error, plan
FROM runs
WHERE CAST(:flow AS TEXT) IS NULL OR flow = :flow
ORDER BY seq DESC
LIMIT :limit;

-- name: running
SELECT r.run, r.pid, r.host, r.born, r.world, r.fence IS NOT NULL AND (l.fence IS NULL OR l.fence <> r.fence OR l.until <= :now)
FROM runs AS r
LEFT JOIN leases AS l ON l.flow = coalesce(r.lease, r.flow)
WHERE coalesce(r.lease, r.flow) = :right AND r.state = 'running'
ORDER BY r.seq;

-- name: all_running
SELECT r.run, r.pid, r.host, r.born, r.world, r.fence IS NOT NULL AND (l.fence IS NULL OR l.fence <> r.fence OR l.until <= :now)
FROM runs AS r
LEFT JOIN leases AS l ON l.flow = coalesce(r.lease, r.flow)
WHERE r.state = 'running'
ORDER BY r.seq;

-- name: abandon
UPDATE runs SET state = 'abandoned', finished = :now, error = :error WHERE run = :run AND state = 'running';

-- name: at_work
SELECT run, pid, host, born, world FROM runs
WHERE state = 'running' AND (CAST(:flow AS TEXT) IS NULL OR flow = :flow)
ORDER BY seq;

-- name: free_lease
UPDATE leases
SET owner = NULL, until = :now
WHERE EXISTS (SELECT 1 FROM runs AS r WHERE r.run = :run AND coalesce(r.lease, r.flow) = leases.flow AND r.fence = leases.fence);

-- name: unsettled
SELECT r.run
FROM runs AS r
WHERE coalesce(r.lease, r.flow) = :right AND r.state <> 'running'
  AND EXISTS (SELECT 1 FROM intents AS i WHERE i.run = r.run AND i.settled IS NULL)
ORDER BY r.seq;

-- name: acked
UPDATE runs SET acked = coalesce(acked, :now) WHERE run = :run;

-- name: unacked
SELECT run, receipts FROM runs
WHERE coalesce(lease, flow) = :right AND state = 'done' AND acked IS NULL AND receipts <> '[]'
ORDER BY seq;

-- name: in_order
SELECT run FROM runs WHERE coalesce(lease, flow) = :right ORDER BY seq;
