-- What runs left is looked for by the name of their lease; runs without one have the flow's.
DROP INDEX runs_running;
DROP INDEX runs_unacked;
CREATE INDEX runs_of_lease ON runs ((coalesce(lease, flow)), seq);
CREATE INDEX runs_running ON runs ((coalesce(lease, flow))) WHERE state = 'running';
CREATE INDEX runs_unacked ON runs ((coalesce(lease, flow))) WHERE state = 'done' AND acked IS NULL AND receipts <> '[]';
