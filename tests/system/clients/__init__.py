"""Clients that nobody here wrote, unmodified and as published, as judges of the emulator.

Each lives in an environment of its own, `.client-venvs/<client>`, made from a lock with hashes when the first test asks for it
and again when the lock changes. That takes the network (about five seconds a client, lht fifteen); nothing else that this machine
has installed is used. Where it cannot be made, the tests fail. HALOCLINE_NO_CLIENTS=1 skips them, for work on a train.

A file `test_<client>.py` asks for scenes of `scripts/<client>_scenes.*`, which run in the client's environment against a fresh
emulator, and asserts both what the client saw and what the emulator's store and call log hold. Nothing in a client is changed or
replaced; only `time.sleep` is cut short, so that nobody waits ten seconds for a job that takes ten milliseconds.

Where a client is at fault, the emulator does what Salesforce does and the test states the client's failure: "The client's fault".
"""
