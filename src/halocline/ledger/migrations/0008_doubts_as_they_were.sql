-- What is known of a row in doubt beside its number: a rejection as in `rejections`; NULL where nothing is.
ALTER TABLE doubts ADD COLUMN body TEXT;
CREATE INDEX doubts_of_run ON doubts (run, seq);
