"""The variables that describe a login to Salesforce."""

from __future__ import annotations

from halocline.config import Variable

VARIABLES = (
    Variable("SF_LOGIN_URL", "The org's My Domain, `https://<name>.my.salesforce.com`.", "https://login.salesforce.com"),
    Variable("SF_CLIENT_ID", "The consumer key of the connected app."),
    Variable("SF_CLIENT_SECRET", "Its consumer secret; with SF_CLIENT_ID and SF_LOGIN_URL: client credentials."),
    Variable(
        "SF_PRIVATE_KEY_PATH",
        "The file of a private key, or a reference to the key; with SF_CLIENT_ID and SF_USERNAME: JWT bearer.",
    ),
    Variable("SF_REFRESH_TOKEN", "A refresh token; with SF_CLIENT_ID: the refresh token flow."),
    Variable("SF_ACCESS_TOKEN", "A session that is there already; with SF_INSTANCE_URL. It is not renewed."),
    Variable("SF_INSTANCE_URL", "Where SF_ACCESS_TOKEN is good for."),
    Variable("SF_USERNAME", "The user of a JWT, or of a password."),
    Variable(
        "SF_PASSWORD",
        "The user's password; with the consumer key and secret: a flow that Salesforce retires in February 2027; "
        "with SF_USERNAME alone: the login of the SOAP API, until Summer '27.",
    ),
    Variable("SF_SECURITY_TOKEN", "What Salesforce wants after the password, from an address that it does not know."),
    Variable(
        "SF_DOMAIN",
        "`login`, `test` or `<name>.my`, with SF_USERNAME and SF_PASSWORD alone, where SF_LOGIN_URL is not set.",
        "login",
    ),
)
"""Each may be a reference (`env:NAME`, `file:PATH`, `aws-sm:NAME#KEY`)."""
