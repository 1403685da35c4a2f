-- name: lease
SELECT owner, until, since, seen, pid, host, born, world FROM leases WHERE flow = :flow;

-- name: claim
INSERT INTO leases (flow, owner, holder, fence, ttl_s, until, since, seen, pid, host, born, world)
VALUES (:flow, :owner, :owner, 1, :ttl_s, :until, :now, :now, :pid, :host, :born, :world)
ON CONFLICT (flow) DO UPDATE
SET owner = excluded.owner, holder = excluded.holder, fence = leases.fence + 1, ttl_s = excluded.ttl_s, until = excluded.until, since = excluded.since,
    seen = excluded.seen, pid = excluded.pid, host = excluded.host, born = excluded.born, world = excluded.world
RETURNING fence;

-- name: holding
SELECT ttl_s FROM leases WHERE flow = :flow AND fence = :fence AND owner IS NOT NULL;

-- name: newest
SELECT fence, holder FROM leases WHERE flow = :flow;

-- name: renew
UPDATE leases SET until = :until, seen = :now WHERE flow = :flow AND fence = :fence;

-- name: release
UPDATE leases SET owner = NULL, until = :now WHERE flow = :flow AND fence = :fence;
