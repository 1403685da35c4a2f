"""Topics, and what queues get from them."""
