-- Where the number of a process means that process: the boot and the PID namespace. Containers may share a host's name.
ALTER TABLE runs ADD COLUMN world TEXT;
ALTER TABLE leases ADD COLUMN world TEXT;
