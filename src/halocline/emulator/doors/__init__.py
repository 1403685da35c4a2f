"""The ways in: plain http, https with a certificate authority of its own, and an HTTP proxy for clients with fixed hosts."""
