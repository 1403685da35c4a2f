-- name: forget_rejections
DELETE FROM rejections WHERE run = :run AND chunk = :chunk;

-- name: forget_doubts
DELETE FROM doubts WHERE run = :run AND chunk = :chunk;

-- name: reject
INSERT INTO rejections (run, chunk, body) VALUES (:run, :chunk, :body);

-- name: doubt
INSERT INTO doubts (run, chunk, "row", body) VALUES (:run, :chunk, :row, :body);

-- name: rejections
SELECT body FROM rejections WHERE run = :run ORDER BY seq LIMIT :limit OFFSET :offset;

-- name: rejections_after
SELECT seq, body FROM rejections WHERE run = :run AND seq > :after ORDER BY seq LIMIT :limit;

-- name: in_doubt
SELECT chunk, "row" FROM doubts WHERE run = :run ORDER BY seq;

-- name: doubts_after
SELECT seq, chunk, "row", body FROM doubts WHERE run = :run AND seq > :after ORDER BY seq LIMIT :limit;
