-- Who holds a lease: the process, since when, and when it last showed that it lives; `holder` stays when the lease was given back.
-- `runs.lease` is the name of a run's lease (`leases.flow`).
ALTER TABLE leases ADD COLUMN holder TEXT;
ALTER TABLE leases ADD COLUMN since TEXT;
ALTER TABLE leases ADD COLUMN seen TEXT;
ALTER TABLE leases ADD COLUMN pid INTEGER;
ALTER TABLE leases ADD COLUMN host TEXT;
ALTER TABLE leases ADD COLUMN born TEXT;
ALTER TABLE runs ADD COLUMN lease TEXT;
