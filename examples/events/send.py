"""Makes the queue, and sends three messages to it, each with its event."""

import json

import boto3

sqs = boto3.client("sqs")
queue = sqs.create_queue(QueueName="users")["QueueUrl"]


def send(event, **body):
    """Send a message of this event."""
    attribute = {"iniesta_pass": {"DataType": "String", "StringValue": event}}
    sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(body), MessageAttributes=attribute)


send("UserCreated.user", id=1, name="Ada")
send("UserCreated.user", id=2, name="Grace")
send("UserDeleted.user", id=3)
