-- Calls made to an org on a day of UTC (2026-11-21); old days stay: a few bytes each.
CREATE TABLE usage (
    org TEXT NOT NULL,
    day TEXT NOT NULL,
    calls INTEGER NOT NULL,
    PRIMARY KEY (org, day)
) STRICT;
