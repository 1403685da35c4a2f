"""The flight of messages through a worker, as a pure state machine."""
