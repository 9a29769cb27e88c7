"""The exceptions of the product, each with the HTTP status and the stable code it is answered with."""


class PercapitaError(Exception):
    """Trouble, as opposed to bad data (which is a result with a reason, see `reasons`)."""

    status = 500
    code = "internal"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class BadBody(PercapitaError):
    """Nothing in a request's body can be read."""

    status = 400
    code = "bad_body"


class TooLarge(PercapitaError):
    """A body above a cap of `limits`."""

    status = 413
    code = "too_large"


class Slow(PercapitaError):
    """A body below the minimum rate."""

    status = 408
    code = "too_slow"


class UnsupportedMedia(PercapitaError):
    """A Content-Type or Content-Encoding that is not taken."""

    status = 415
    code = "unsupported_media_type"


class BadQuestion(PercapitaError):
    """A query parameter that cannot be understood; `pointer` names it."""

    status = 400
    code = "bad_parameter"

    def __init__(self, detail: str, parameter: str = "") -> None:
        super().__init__(detail)
        self.parameter = parameter


class Unauthorized(PercapitaError):
    """No key, or one that is unknown, revoked, expired or mistyped."""

    status = 401
    code = "unauthorized"


class Forbidden(PercapitaError):
    """A good key without the scope."""

    status = 403
    code = "forbidden"


class Insecure(PercapitaError):
    """A session that a browser would not keep, or that would travel in the clear."""

    status = 400
    code = "insecure"


class TooMany(PercapitaError):
    """More questions than a key may ask in a time: try again in `retry_after` seconds."""

    status = 429
    code = "too_many_requests"

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class NotFound(PercapitaError):
    """No such thing in this account."""

    status = 404
    code = "not_found"


class Ambiguous(PercapitaError):
    """More than one thing of this account matches."""

    status = 409
    code = "ambiguous"


class Gone(PercapitaError):
    """A cursor whose snapshot is no longer kept."""

    status = 410
    code = "gone"


class Unavailable(PercapitaError):
    """The log, the store or the keys cannot be reached, or a buffer is full: try again in `retry_after` seconds."""

    status = 503
    code = "unavailable"

    def __init__(self, detail: str, retry_after: int = 2) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class StoreError(PercapitaError):
    """The store refused or failed a statement; `data_error` when the rows themselves are at fault.

    `detail` is for logs: it may quote the server and our SQL. `told` is what may be answered.
    """

    status = 503
    code = "store_unavailable"

    def __init__(
        self, detail: str, *, data_error: bool = False, store_code: int | None = None, told: str | None = None
    ) -> None:
        super().__init__(detail)
        self.told = detail if told is None else told
        self.data_error = data_error
        self.store_code = store_code


class SchemaMismatch(PercapitaError):
    """The database has migrations that this code does not know, or lacks some it needs."""

    code = "schema_mismatch"


class LogError(PercapitaError):
    """The log refused or failed an operation."""

    status = 503
    code = "log_unavailable"


class Poisoned(PercapitaError):
    """Most records cannot be processed. A bad deploy must set nothing more aside; `dead-letters replay` brings back what it did."""

    code = "poisoned"


class LogLost(LogError):
    """The log no longer holds what is not stored yet, or a range in doubt: an alarm, never skipped in silence."""

    code = "log_lost"


class Fenced(LogError):
    """This worker is no longer a member of its group: whatever it holds belongs to another."""

    code = "fenced"
