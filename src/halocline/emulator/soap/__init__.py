"""The SOAP API, as far as clients of the other APIs still need it: logging in, who am I, and what REST cannot do to records."""
