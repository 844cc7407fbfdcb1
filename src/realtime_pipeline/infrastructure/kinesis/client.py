"""Creating clients of Kinesis, and translating their errors."""

from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, SSLError
from botocore.exceptions import ConnectionError as NetworkError

from realtime_pipeline.application.errors import RecoverableError, Unavailable, Unreachable, UnrecoverableState
from realtime_pipeline.infrastructure.kinesis.settings import KinesisSettings

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

ERRORS: Final = (ClientError, BotoCoreError)

NO_ANSWER: Final = (HTTPClientError, NetworkError)

EXPIRED_ITERATOR: Final = "ExpiredIteratorException"
INVALID_POSITION: Final = "InvalidArgumentException"
THROTTLED: Final = frozenset(
    (
        "ProvisionedThroughputExceededException",
        "LimitExceededException",
        "ThrottlingException",
        "KMSThrottlingException",
        "ResourceInUseException",  # the stream is being created
    )
)
_DENIED: Final = frozenset(
    (
        "AccessDeniedException",
        "AccessDenied",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "ExpiredTokenException",
        "ExpiredToken",
        "OptInRequired",
        "KMSAccessDeniedException",
        "KMSDisabledException",
        "KMSInvalidStateException",
        "KMSNotFoundException",
        "KMSOptInRequired",
    )
)


def new_client(settings: KinesisSettings) -> "KinesisClient":
    """Create a client that does not repeat requests by itself.

    Raises:
        Unavailable: the settings, or what boto3 finds in the environment, do not fit.
    """
    timeout_s = settings.request_timeout_ms / 1000
    try:
        return boto3.session.Session().client(
            "kinesis",
            region_name=settings.region or None,
            endpoint_url=settings.endpoint_url or None,
            aws_access_key_id=settings.access_key_id or None,
            aws_secret_access_key=settings.read_secret_access_key(),
            config=Config(
                connect_timeout=timeout_s, read_timeout=timeout_s, retries={"total_max_attempts": 1, "mode": "standard"}
            ),
        )
    except (BotoCoreError, ValueError) as error:
        raise Unavailable(f"the settings of the stream {settings.stream} do not fit: {error}") from None


def error_code(error: ClientError | BotoCoreError) -> str:
    """Return the code of an error that Kinesis has replied; "" for an error without a reply."""
    return error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else ""


def translate_error(
    error: ClientError | BotoCoreError, settings: KinesisSettings
) -> RecoverableError | UnrecoverableState | Unavailable:
    """Translate an error of boto3 into an error of the pipeline."""
    subject = f"the Kinesis stream {settings.stream}"
    if isinstance(error, NO_ANSWER) and not isinstance(error, SSLError):
        return Unreachable(f"{subject}: no answer: {_line(error)}")
    if not isinstance(error, ClientError):
        return Unavailable(f"{subject} cannot be asked: {_line(error)}")
    code, text = error_code(error), _line(error.response.get("Error", {}).get("Message", error))
    if code == INVALID_POSITION:
        return UnrecoverableState(f"{subject} refuses a position ({text}); skip_lost = true goes on with what is there")
    if code in THROTTLED or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500) >= 500:
        return Unreachable(f"{subject} does not answer now ({code}: {text})")
    if code == "ResourceNotFoundException":
        return Unavailable(f"{subject} is not there ({text}): create it, or correct stream and region")
    if code in _DENIED:
        text += (
            "; allow kinesis:DescribeStreamSummary, ListShards, GetShardIterator and GetRecords, or correct the "
            "credentials"
        )
    return Unavailable(f"{subject} refuses a request ({code}: {text})")


def _line(text: object) -> str:
    """The first line of a message, shortened."""
    return next(iter(str(text).splitlines()), "")[:300]
