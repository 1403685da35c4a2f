"""The bucket: `python bucket.py drop` lets the file land in it, `python bucket.py look` tells what is in it and in the org."""

import sys

import boto3

from halocline import SalesforceClient

s3 = boto3.client("s3")
BUCKET = "acme-landing"


def drop():
    """Make the bucket, and put the file into it."""
    s3.create_bucket(Bucket=BUCKET)
    s3.upload_file("companies.csv", BUCKET, "some/s3/key/companies.csv")


def look():
    """Tell what is there."""
    for found in s3.list_objects_v2(Bucket=BUCKET)["Contents"]:
        print(found["Key"])
    for record in SalesforceClient.from_env().query(
        "SELECT Number_of_Rows__c, Number_of_Errors__c FROM Integration_Execution__c"
    ):
        print(record)


{"drop": drop, "look": look}[sys.argv[1]]()
