"""Flows: what `halocline.yaml` says - connections, and what is carried from where to where - read, checked and run.

configuration.py   the file as a whole; the mistakes in it, each with its line
connections.py     where systems are and how to log in
sync.py push.py files.py   the three kinds of flow: what each says, and how it is run
run.py             a flow by its name, run once
policy.py          what AWS must allow to whoever runs a flow
"""
