"""Messages that were set aside."""
