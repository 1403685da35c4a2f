-- name: lease
SELECT owner, until FROM leases WHERE flow = :flow;

-- name: claim
INSERT INTO leases (flow, owner, fence, ttl_s, until) VALUES (:flow, :owner, 1, :ttl_s, :until)
ON CONFLICT (flow) DO UPDATE SET owner = excluded.owner, fence = fence + 1, ttl_s = excluded.ttl_s, until = excluded.until
RETURNING fence;

-- name: holding
SELECT ttl_s FROM leases WHERE flow = :flow AND fence = :fence AND owner IS NOT NULL;

-- name: renew
UPDATE leases SET until = :until WHERE flow = :flow AND fence = :fence;

-- name: release
UPDATE leases SET owner = NULL, until = :now WHERE flow = :flow AND fence = :fence;
