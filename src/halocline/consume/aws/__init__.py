"""What AWS calls by itself: Lambda, S3's notices, Step Functions."""
