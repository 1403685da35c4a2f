"""What is seen of workers."""
