"""The gate to AWS: what boto3 raises becomes an error of ours that says what to try.

Source: "Error responses", https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html;
"Common error types", https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html, read November 2026.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from boto3.exceptions import Boto3Error, RetriesExceededError
from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from s3transfer.exceptions import RetriesExceededError as TransferRetriesExceededError

from halocline.errors import (
    AccessDenied,
    Changed,
    FixConfig,
    HaloclineError,
    LoginRefused,
    NetworkFailed,
    NotFound,
    RetryLater,
    Stop,
    StorageFailed,
)
from halocline.hiding import quiet, scrub

LOGIN = "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where a role gives them."
S3_RIGHTS = "The login needs s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject there."
_CONFIGURED = "Look at AWS_PROFILE, AWS_DEFAULT_REGION and ~/.aws/config."
_NETWORK = "Look at the network, and at AWS_ENDPOINT_URL where it is set."
_BUSY = {
    *("SlowDown", "503", "ServiceUnavailable", "InternalError", "InternalFailure", "500", "RequestTimeout"),
    *("Throttling", "ThrottlingException", "RequestThrottled", "TooManyRequestsException", "KmsThrottled", "OverLimit"),
    *("ProvisionedThroughputExceededException", "RequestLimitExceeded", "TransactionConflictException"),
}
_DENIED = {
    *("AccessDenied", "AccessDeniedException", "403", "AllAccessDisabled", "AccountProblem", "AuthorizationError"),
    *("KMS.DisabledException", "KmsAccessDenied", "DecryptionFailure", "AccessControlListNotSupported"),
}
_REFUSED = {
    *("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "InvalidClientTokenId", "UnrecognizedClientException"),
    *("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidSignatureException"),
}
_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "301", "IllegalLocationConstraintException"}
_MISSING = {
    "NoSuchBucket": "Make the bucket first, or correct its name.",
    **dict.fromkeys(("NoSuchKey", "NoSuchVersion", "404"), "Somebody removed the object, or its name is another one."),
    **dict.fromkeys(
        ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"),
        "Make the queue first, or correct its name, region (AWS_DEFAULT_REGION) or account.",
    ),
    "NotFound": "Make the topic first, or correct its ARN.",
    "ResourceNotFoundException": "Make the secret first, or correct its name or region (AWS_DEFAULT_REGION).",
}
_SHOWN_CHARS = 200  # of an answer that is none
_CHANGED = {"PreconditionFailed", "412"}


def code_of(error: ClientError) -> str:
    """The error code that AWS answered; a number where it answered without a body."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def gate(doing: str, *, rights: str = S3_RIGHTS) -> Iterator[None]:
    """Turn an error of boto3 into one of ours, with what was being done; `rights` says what a login needs for it.

    Raises: LoginRefused, AccessDenied, NotFound, FixConfig, RetryLater, NetworkFailed, StorageFailed, Changed or Stop.
    """
    try:
        yield
    except ClientError as error:
        raise told(doing, error, rights=rights) from quiet(error)
    except (boto.NoCredentialsError, boto.PartialCredentialsError) as error:
        raise LoginRefused(doing, scrub(str(error)), hint=LOGIN) from quiet(error)
    except (boto.ProfileNotFound, boto.NoRegionError) as error:
        raise FixConfig(doing, scrub(str(error)), hint=_CONFIGURED) from quiet(error)
    except (boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError) as error:
        raise NetworkFailed(doing, scrub(str(error)), hint=_NETWORK) from quiet(error)
    except (RetriesExceededError, TransferRetriesExceededError) as error:  # boto3's own, and its transfer manager's
        cause = f"all tries failed, the last one with: {scrub(str(error.last_exception))}"
        raise NetworkFailed(doing, cause, hint=_NETWORK) from quiet(error)
    except ResponseParserError as error:  # it holds all that came
        cause = f"the answer cannot be read: {scrub(str(error))[:_SHOWN_CHARS]}"
        raise NetworkFailed(doing, cause, hint="Does AWS_ENDPOINT_URL, or a proxy, lead to AWS?") from quiet(error)
    except (BotoCoreError, Boto3Error) as error:
        raise _wrapped(doing, error, rights=rights) from quiet(error)
    except ValueError as error:  # botocore's for an endpoint that is no URL, which it repeats
        if str(error).startswith("Invalid endpoint"):
            raise FixConfig(doing, "the endpoint is no address", hint="Look at AWS_ENDPOINT_URL.") from None
        raise FixConfig(doing, scrub(str(error)), hint="Look at AWS_ENDPOINT_URL.") from quiet(error)
    except OSError as error:
        raise StorageFailed(doing, error.strerror or scrub(str(error)), errno=error.errno) from quiet(error)


def told(doing: str, error: ClientError, *, rights: str = S3_RIGHTS) -> HaloclineError:
    """What an answer of AWS means."""
    code = code_of(error)
    cause = scrub(f"AWS answered {code}: {error.response.get('Error', {}).get('Message', '')}")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _MISSING:
        return NotFound(doing, cause, hint=_MISSING[code], code=code)
    if code in _CHANGED:
        return Changed(doing, cause, hint="It was replaced meanwhile.", code=code)
    if code in _REFUSED:
        return LoginRefused(doing, cause, hint=LOGIN, code=code)
    if code in _DENIED:
        return AccessDenied(doing, cause, hint=rights, code=code)
    if code in _BUSY or status >= 500:
        return RetryLater(doing, cause, hint="AWS asks to slow down; run it again in a while.", code=code)
    if code in _REGION:
        return FixConfig(doing, cause, hint="The bucket lies in another region: set AWS_DEFAULT_REGION.", code=code)
    return Stop(doing, cause, code=code)


def _wrapped(doing: str, error: Exception, *, rights: str) -> HaloclineError:
    """An upload's error holds the true one only as its cause or in its words."""
    inner = error.__context__
    if isinstance(inner, ClientError):
        return told(doing, inner, rights=rights)
    return Stop(doing, scrub(str(error)))
