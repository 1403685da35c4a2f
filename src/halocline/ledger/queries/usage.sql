-- name: spent
SELECT calls FROM usage WHERE org = :org AND day = :day;

-- name: spend
INSERT INTO usage (org, day, calls) VALUES (:org, :day, :calls)
ON CONFLICT (org, day) DO UPDATE SET calls = usage.calls + excluded.calls;
