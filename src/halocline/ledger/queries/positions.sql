-- name: save_position
INSERT INTO positions (flow, position, saved) VALUES (:flow, :position, :now)
ON CONFLICT (flow) DO UPDATE SET position = excluded.position, saved = excluded.saved;

-- name: position
SELECT position FROM positions WHERE flow = :flow;
