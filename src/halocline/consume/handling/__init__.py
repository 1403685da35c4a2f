"""From a delivery to a handler's call."""
