"""What is done with each kind of message. The event is the message attribute `iniesta_pass`."""

import sqlite3

from halocline import SQSClient

users = sqlite3.connect("users.sqlite", isolation_level=None, check_same_thread=False)
users.execute("CREATE TABLE IF NOT EXISTS users (id INTEGER, event TEXT, name TEXT)")


@SQSClient.handler("UserCreated.user")
def created(message, context):
    """The row and the note that the message was applied are one transaction: run again, the block does nothing."""
    with context.transaction(users) as transaction:
        transaction.execute("INSERT INTO users VALUES (?, ?, ?)", (message.body["id"], message.event, message.body["name"]))


def updated(message):
    """Doing this twice does no harm."""
    users.execute("UPDATE users SET event = ?, name = ? WHERE id = ?", (message.event, message.body["name"], message.body["id"]))


SQSClient.add_handler(updated, "UserUpdated.user")


@SQSClient.handler
def anything_else(message):
    """Every other event."""
    users.execute("INSERT INTO users VALUES (?, ?, ?)", (message.body["id"], message.event, None))
