"""What comes in by itself - events, messages, invocations - and what is done about it, once."""
