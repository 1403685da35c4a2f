"""Torture: a queue whose workers are killed all the time, and what came of each message.

For tests and benchmarks. A `World` (`world.py`) is an in-memory AWS, a real PostgreSQL and a real Redis. A `Load` (`load.py`)
says how many messages there are, how long each is worked on, how long it is hidden, and how often a worker is killed. A
`Consumer` (`killer.py`) is a script and the Python that runs it. `torture.run(consumer, world, load)` fills a new queue, lets two
workers of the consumer at it, kills one again and again until the queue is empty, and returns an `Outcome` (`effects.py`):
messages without an effect (`lost`), effects beyond one for each message (`doubled`), and those of them that nobody said to be in
doubt (`unflagged`).

A consumer's script has a function `prepare(wanted)`, which makes the client of the queue `wanted["queue"]`, and a function
`consume(wanted, client)`, which never returns: it takes messages with `wanted["threads"]` threads at most. Each has the body of
`Work` (`effects.py`) as JSON; what it has to do is

    work = Work(**json.loads(body))
    work.begin()                                             # some of its time
    with effects.connection() as connection:
        work.write(connection, fence=0, in_doubt=False)      # its effect: a row
    work.end()                                               # the rest of its time

and then to delete the message. `effects` is an `Effects(wanted["database"])`, `wanted["redis"]` the address of the Redis. The
script is imported, and its client made, once, by a process that forks the workers (`nursery.py`): they live for half a second,
and are to be at work in it. So nothing may be connected before `consume`.
`effects.py` and `nursery.py` need the standard library and psycopg: peers run them in environments of their own.
"""
