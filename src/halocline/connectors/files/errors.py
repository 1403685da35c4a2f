"""The gate to S3: what boto3 raises becomes an error of ours that says what to try.

Source: "Error responses", https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, read November 2026.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from boto3.exceptions import Boto3Error
from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError

from halocline.errors import (
    AccessDenied,
    FixConfig,
    HaloclineError,
    LoginRefused,
    NetworkFailed,
    NotFound,
    RetryLater,
    Stop,
    StorageFailed,
)

_LOGIN = "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where a role gives them."
_BUSY = {"SlowDown", "503", "ServiceUnavailable", "InternalError", "500", "RequestTimeout", "Throttling", "ThrottlingException"}
_DENIED = {"AccessDenied", "403", "AllAccessDisabled", "AccountProblem", "KMS.DisabledException"}
_REFUSED = {
    *("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken"),
    *("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"),
}
_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "301", "IllegalLocationConstraintException"}


def code_of(error: ClientError) -> str:
    """The error code that S3 answered; a number where it answered without a body."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def gate(doing: str) -> Iterator[None]:
    """Turn an error of boto3 into one of ours, with what was being done.

    Raises: LoginRefused, AccessDenied, NotFound, FixConfig, RetryLater, NetworkFailed, StorageFailed or Stop.
    """
    try:
        yield
    except ClientError as error:
        raise _answered(doing, error) from error
    except (boto.NoCredentialsError, boto.PartialCredentialsError) as error:
        raise LoginRefused(doing, str(error), hint=_LOGIN) from error
    except (boto.ProfileNotFound, boto.NoRegionError) as error:
        raise FixConfig(doing, str(error), hint="Look at AWS_PROFILE, AWS_DEFAULT_REGION and ~/.aws/config.") from error
    except (boto.ConnectionError, boto.HTTPClientError) as error:
        raise NetworkFailed(doing, str(error), hint="Look at the network, and at AWS_ENDPOINT_URL where it is set.") from error
    except (BotoCoreError, Boto3Error) as error:
        raise _wrapped(doing, error) from error
    except ValueError as error:  # botocore's for an endpoint that is no URL
        raise FixConfig(doing, str(error), hint="Look at AWS_ENDPOINT_URL.") from error
    except OSError as error:
        raise StorageFailed(doing, error.strerror or str(error), errno=error.errno) from error


def _wrapped(doing: str, error: Exception) -> HaloclineError:
    """An upload's error holds the true one only as its cause or in its words."""
    inner = error.__context__
    if isinstance(inner, ClientError):
        return _answered(doing, inner)
    return Stop(doing, str(error))


def _answered(doing: str, error: ClientError) -> HaloclineError:
    code = code_of(error)
    cause = f"S3 answered {code}: {error.response.get('Error', {}).get('Message', '')}"
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == "NoSuchBucket":
        return NotFound(doing, cause, hint="Make the bucket first, or correct its name.", code=code)
    if code in _REFUSED:
        return LoginRefused(doing, cause, hint=_LOGIN, code=code)
    if code in _DENIED:
        hint = "The login needs s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject there."
        return AccessDenied(doing, cause, hint=hint, code=code)
    if code in _BUSY or status >= 500:
        return RetryLater(doing, cause, hint="S3 asks to slow down; run it again in a while.", code=code)
    if code in _REGION:
        return FixConfig(doing, cause, hint="The bucket lies in another region: set AWS_DEFAULT_REGION.", code=code)
    return Stop(doing, cause, code=code)
