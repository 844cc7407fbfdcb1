"""Translates errors of Redis: unreachable, access denied, transient, or not recoverable."""

import ssl
from collections.abc import Iterator

import redis

from realtime_pipeline.application.errors import RecoverableError, Unavailable, Unreachable, UnrecoverableState
from realtime_pipeline.infrastructure.redis.rights import missing_right
from realtime_pipeline.infrastructure.redis.settings import RedisSettings

MOVING = (redis.exceptions.MovedError, redis.exceptions.AskError, redis.exceptions.TryAgainError)
"""Error replies of a node while a slot migrates. It has done nothing: redirect the request, or retry it later."""

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
"""Errors after which a worker retries: no reply, no master in a failover, a slot that migrates, a full Redis."""

ERRORS = (redis.exceptions.RedisError, redis.exceptions.RedisClusterException, OSError)
"""All that the client raises. `RedisClusterException`, for a cluster that is not found, is no `RedisError`."""

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
"""How error replies begin that are transient: the server waits for a replica, its disk, a failover or a script."""


def translate_error(
    error: BaseException, settings: RedisSettings
) -> RecoverableError | UnrecoverableState | Unavailable:
    """Translate an error of Redis into an error of the pipeline.

    Returns:
        Unavailable: access was denied, or the settings do not fit; a person must act.
        Unreachable: the error is transient.
        UnrecoverableState: any other error, as a key of another type.
    """
    denied = _access_denied(error, settings)
    if denied is not None:
        return Unavailable(denied)
    if isinstance(error, UNREACHABLE):
        return Unreachable(f"{_why_unreachable(error)}: {error}")
    text = str(error)
    if text.startswith(TRANSIENT):
        return Unreachable(f"Redis does not take writes now: {text}")
    if text.startswith(("WRONGTYPE", "ERR a ")):
        return UnrecoverableState(
            f"Redis holds something else where the store should be ({text}); use another namespace"
        )
    return UnrecoverableState(f"Redis refused a request: {text}")


def _why_unreachable(error: BaseException) -> str:
    if isinstance(error, redis.exceptions.OutOfMemoryError):
        return "Redis is full"
    if isinstance(error, MOVING):
        return f"Redis is moving keys between its nodes ({type(error).__name__})"
    return "Redis does not answer"


def _access_denied(error: BaseException, settings: RedisSettings) -> str | None:
    """Say what to change in the settings or in the user's rights; None where the error has another cause."""
    causes = list(_causes(error))
    denied = next((str(cause) for cause in causes if _is_denied(cause)), None)
    if denied is not None:
        return missing_right(denied, settings)
    refusal = next((cause for cause in causes if isinstance(cause, ACCESS_DENIED)), None)
    if refusal is not None:
        return f"Redis does not let this user in: {refusal}; see redis.username and its password"
    if any(isinstance(cause, ssl.SSLCertVerificationError) or "CERTIFICATE_REQUIRED" in str(cause) for cause in causes):
        return f"no TLS with Redis: {error}; see redis.tls_ca_file, tls_cert_file and tls_key_file"
    if "Cluster mode is not enabled" in str(error):
        return "this Redis is a single server: set redis.cluster = false"
    return None


def _is_denied(error: BaseException) -> bool:
    return isinstance(error, redis.exceptions.NoPermissionError) or (
        isinstance(error, redis.exceptions.ResponseError) and _DENIED_IN_FUNCTION in str(error)
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Iterate over an error and its causes, outermost first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
