-- When what is to be done now and then was last done, so that of all who use the ledger one does it.
CREATE TABLE chores (
    name TEXT PRIMARY KEY,
    ran TEXT NOT NULL
) STRICT;
