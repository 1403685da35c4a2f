"""What a verification is made of: rows of both sides in buckets, their comparison, what it found, and a source that repairs."""
