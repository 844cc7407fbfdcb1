"""What the silence or the refusal of a Redis means."""

import ssl
from collections.abc import Iterator

import redis

from realtime_pipeline.application.errors import RecoverableError, Unavailable, Unreachable, UnrecoverableState
from realtime_pipeline.infrastructure.redis.rights import missing_right
from realtime_pipeline.infrastructure.redis.settings import RedisSettings

MOVING = (redis.exceptions.MovedError, redis.exceptions.AskError, redis.exceptions.TryAgainError)
"""What nodes answer while a slot moves; nothing was done. Only the keys' new node, or time, can help."""
UNREACHABLE = (
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    *MOVING,
    redis.exceptions.ClusterDownError,
    redis.exceptions.MasterDownError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.SlotNotCoveredError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.RedisClusterException,
    OSError,
)
ERRORS = (redis.exceptions.RedisError, redis.exceptions.RedisClusterException, OSError)
"""What the client raises: that of a cluster which cannot be found is of another family."""
ACCESS_DENIED = (redis.exceptions.AuthenticationError, redis.exceptions.AuthorizationError)
_DENIED_IN_FUNCTION = "ACL failure in script"
TRANSIENT = (
    "NOREPLICAS",
    "MISCONF",
    "BUSY",
    "UNBLOCKED",
    "LOADING",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "max number of clients",
)
"""What a server says that will do what it is asked a little later: it waits for a replica, its disk, a script."""


def translate_error(
    error: BaseException, settings: RedisSettings
) -> RecoverableError | UnrecoverableState | Unavailable:
    """What an error of Redis means to the worker, and to who reads."""
    shut_out = _access_denied(error, settings)
    if shut_out is not None:
        return Unavailable(shut_out)
    if isinstance(error, UNREACHABLE):
        return Unreachable(f"{_why_silent(error)}: {error}")
    text = str(error)
    if text.startswith(TRANSIENT):
        return Unreachable(f"Redis does not take writes now: {text}")
    if text.startswith(("WRONGTYPE", "ERR a ")):
        return UnrecoverableState(
            f"Redis holds something else where the store should be ({text}); use another namespace"
        )
    return UnrecoverableState(f"Redis refused a request: {text}")


def _why_silent(error: BaseException) -> str:
    if isinstance(error, redis.exceptions.OutOfMemoryError):
        return "Redis is full"
    if isinstance(error, MOVING):
        return f"Redis is moving keys between its nodes ({type(error).__name__})"
    return "Redis does not answer"


def _access_denied(error: BaseException, settings: RedisSettings) -> str | None:
    """What in the settings or in the user's rights is to be mended before Redis will answer; None where nothing is."""
    causes = list(_causes(error))
    denied = next((str(cause) for cause in causes if _is_denied(cause)), None)
    if denied is not None:
        return missing_right(denied, settings)
    refusal = next((one for one in causes if isinstance(one, ACCESS_DENIED)), None)
    if refusal is not None:
        return f"Redis does not let this user in: {refusal}; see redis.username and its password"
    if any(isinstance(one, ssl.SSLCertVerificationError) or "CERTIFICATE_REQUIRED" in str(one) for one in causes):
        return f"no TLS with Redis: {error}; see redis.tls_ca_file, tls_cert_file and tls_key_file"
    if "Cluster mode is not enabled" in str(error):
        return "this Redis is a single server: set redis.cluster = false"
    return None


def _is_denied(error: BaseException) -> bool:
    return isinstance(error, redis.exceptions.NoPermissionError) or (
        isinstance(error, redis.exceptions.ResponseError) and _DENIED_IN_FUNCTION in str(error)
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and what it came of, one after the other."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
