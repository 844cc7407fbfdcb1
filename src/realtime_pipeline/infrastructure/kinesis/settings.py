"""Settings of a stream in Amazon Kinesis that is read as a source."""

import attrs

from realtime_pipeline.domain.limits import at_least, at_most
from realtime_pipeline.infrastructure.secrets import secret


@attrs.frozen
class KinesisSettings:
    """A stream, its region, how to sign in, and limits.

    Without `access_key_id`, credentials are found as by every program that uses boto3: environment, profile, role. The
    secret access key comes from the environment or from `secret_access_key_file`. All readers of a shard together may
    make 5 calls a second: set `calls_per_second` lower where others read the stream too. With `skip_lost`, reading goes
    on with the first record there is where the stream does not have the record at a position any more.
    """

    stream: str
    region: str = ""
    endpoint_url: str = ""
    access_key_id: str = ""
    secret_access_key: str = attrs.field(default="", repr=False)
    secret_access_key_file: str = ""
    skip_lost: bool = False
    calls_per_second: int = 5
    request_timeout_ms: int = 5_000

    def __attrs_post_init__(self) -> None:
        at_least(1, self)
        at_most(1_000, self, "calls_per_second")
        at_most(600_000, self, "request_timeout_ms")
        if not self.stream:
            raise ValueError("stream of a source in Kinesis must not be empty")
        if "@" in self.endpoint_url:
            raise ValueError("endpoint_url of a source in Kinesis must have no user or password")

    def read_secret_access_key(self) -> str | None:
        """Return the secret access key, from its file where there is one.

        Raises:
            Unavailable: the file cannot be read.
        """
        return secret(self.secret_access_key, self.secret_access_key_file, "secret_access_key_file") or None
