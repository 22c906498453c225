"""Every error noibo raises on purpose, in one tree.

    NoiboError
    ├── UsageError              the request or the command line is wrong          400  exit 2
    │   ├── SettingsError       noibo.toml, NOIBO_* or an option                  400  exit 2
    │   ├── BadReference        a model name that cannot be read                  400  exit 2
    │   ├── NameTaken           another model has that name already               409  exit 2
    │   ├── InvalidRequest      a request body that cannot be served              400  exit 2
    │   │   ├── PreviousResponseNotFound  it builds on one that is not stored     400  exit 2
    │   │   └── ContextExceeded it is longer than the model's window              400  exit 2
    │   ├── BodyTooLarge        a request body over the limit                     413  exit 2
    │   ├── BodyEncoded         a request body that was packed                    415  exit 2
    │   ├── AddressTooLong      a request's address over the limit                414  exit 2
    │   ├── HeadTooLarge        a request's headers over the limit                431  exit 2
    │   └── TooSlow             a request that does not come to its end           408  exit 2
    ├── Unauthorized            it is not known who asks                          401  exit 4
    ├── TooManyAttempts         signing in has failed too often                   429  exit 4
    ├── NotFound                                                                  404  exit 3
    │   ├── ModelNotFound       no such model in the store                        404  exit 3
    │   │   └── ModelPathNotFound  no such file or folder with a model            404  exit 3
    │   ├── QuantisationMissing the model is not here in the form asked for       404  exit 3
    │   └── UnknownModel        nothing known by that name that could be fetched  404  exit 3
    ├── Forbidden
    │   ├── MustStay            what it says may not leave this machine           403  exit 4
    │   ├── EgressRefused       the door outward is closed for this               403  exit 4
    │   │   └── DepartureNotRecorded  it cannot be written down, so it may not    503  exit 4
    │   ├── LicenceRefused      its licence is not on the allow-list              403  exit 4
    │   └── PriceUnknown        there is a budget, and no price to keep it by     403  exit 4
    ├── BadModelFile            the file is not a model this can run              422  exit 5
    ├── StoreError              the model store on disk                           500  exit 6
    │   ├── DiskFull            not enough space, nothing lost                    507  exit 6
    │   └── DigestMismatch      bytes that are not what was promised              502  exit 6
    ├── LedgerError             a ledger cannot be read or written                503  exit 13
    │   └── LedgerBroken        its rows are not what was written                 500  exit 13
    ├── DatabaseError           what is stored cannot be read or written          503  exit 12
    ├── FetchError              a source could not be reached or read             502  exit 7
    │   ├── NotOffered          the source was asked and does not have it         404  exit 7
    │   └── AccessNeeded        it wants a sign-in or an accepted licence first   403  exit 7
    ├── NoCandidate             no model of a virtual one may and can answer      its own, 14
    ├── Cancelled               somebody stopped it; what was there is kept       499  exit 11
    ├── EngineError             an engine worker                                  502  exit 8
    │   ├── EngineMissing       the engine is not installed                       501  exit 8
    │   ├── EngineUnusable      its build cannot run on this processor            501  exit 8
    │   ├── GpuMissing          a GPU is required, and none would take part       503  exit 8
    │   ├── WorkerStartFailed   the model did not load                            503  exit 8
    │   │   └── OutOfMemory     there was not enough memory for it                503  exit 8
    │   ├── NoRoom              the memory budget has no room for the model now   503  exit 8
    │   ├── WorkerDied          the worker ended while it answered                502  exit 8
    │   ├── UpstreamFailed      the server that a remote model is at fails noibo  502  exit 8
    │   │   └── UpstreamSilent  it says nothing in its time                       502  exit 8
    │   ├── EngineRefused       the engine said no to a request                   its own, 8
    │   └── NotSupported        the engine cannot do this                         501  exit 8
    ├── ServerUnreachable       no noibo server answers                           503  exit 9
    │   └── ServerBusy          the address is taken                              503  exit 9
    ├── QueueFull               too many requests wait already                    429  exit 9
    ├── BudgetExceeded          what may be spent on answers from elsewhere is    429  exit 9
    │   └── ApiCallsExceeded    as often as may be asked elsewhere was asked      429  exit 9
    ├── TooManyConnections      no place for one more                             503  exit 9
    ├── ShuttingDown            the server is stopping                            503  exit 9
    └── RequestFailed           a server answered with an error (client side)     its own, 10

Each carries what happened (`message`), what to do next (`next_step`), a stable `code`, the HTTP
status it becomes and the exit code the command line ends with. Some are what programs around models
look for too: ModelPathNotFound a FileNotFoundError, OutOfMemory and NoRoom a RuntimeError.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, ClassVar, Final

# Whether errors say what an engine wrote last: not to everybody who asks a server.
TELLS_LINES: Final[ContextVar[bool]] = ContextVar("noibo.tells_lines", default=True)


class NoiboError(Exception):
    """Base of every error raised on purpose. `message` says what and why, `next_step` what now."""

    code: ClassVar[str] = "noibo_error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    lines = ""  # what an engine wrote last, which words of others may be in

    def __init__(
        self, message: str, *, next_step: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.retry_after_s = retry_after_s  # when trying again makes sense, where that is known

    def __str__(self) -> str:
        said = self.message + (self.lines if TELLS_LINES.get() else "")
        between = "\n" if "\n" in said else " "
        return f"{said}{between}{self.next_step}".strip()


class UsageError(NoiboError):
    """The caller asked for something that makes no sense."""

    code = "invalid_usage"
    status = 400
    exit_code = 2


class SettingsError(UsageError):
    """A value in noibo.toml, in NOIBO_* or in an option cannot be used."""

    code = "invalid_settings"


class BadReference(UsageError):
    """A model name that cannot be read."""

    code = "invalid_model_name"


class NameTaken(UsageError):
    """Another model has that name already."""

    code = "name_taken"
    status = 409


class InvalidRequest(UsageError):
    """A request body that cannot be served. `param` names the field."""

    code = "invalid_request"

    def __init__(self, message: str, *, param: str | None = None, next_step: str = "") -> None:
        super().__init__(message, next_step=next_step)
        self.param = param


class PreviousResponseNotFound(InvalidRequest):
    """A response builds on another that is not stored, or not any more. The code is OpenAI's."""

    code = "previous_response_not_found"


class ContextExceeded(InvalidRequest):
    """A prompt, or with it the answer that was asked for, is longer than the model's window. Code
    and words are OpenAI's: clients look for both. `wanted`: tokens of the answer, where it was said
    how many; `param` names the field of the prompt."""

    code = "context_length_exceeded"

    def __init__(
        self,
        prompt: int,
        window: int,
        *,
        wanted: int | None = None,
        param: str = "messages",
        next_step: str = "",
    ) -> None:
        place = param.partition("[")[0]
        said = f"your {param} resulted in {prompt} tokens"
        if wanted is not None:
            said = f"you requested {prompt + wanted} tokens ({prompt} in the {place}, {wanted} in "
            said += "the completion)"
        super().__init__(
            f"This model's maximum context length is {window} tokens. However, {said}.",
            param=place,
            next_step=next_step,
        )
        self.prompt, self.window, self.wanted = prompt, window, wanted

    @property
    def details(self) -> Mapping[str, int]:
        """Both numbers, by llama.cpp's names."""
        return {"n_prompt_tokens": self.prompt, "n_ctx": self.window}


class BodyTooLarge(UsageError):
    """A request body over the configured limit."""

    code = "body_too_large"
    status = 413


class BodyEncoded(UsageError):
    """A request body with a Content-Encoding: nothing is unpacked here."""

    code = "body_encoded"
    status = 415


class AddressTooLong(UsageError):
    """The address of a request (path and query) is over the limit."""

    code = "address_too_long"
    status = 414


class HeadTooLarge(UsageError):
    """The headers of a request are too many, or too large."""

    code = "headers_too_large"
    status = 431


class TooSlow(UsageError):
    """A request that was begun and does not come to its end."""

    code = "too_slow"
    status = 408


class Unauthorized(NoiboError):
    """It is not known who asks: no key, or one that does not hold."""

    code = "invalid_api_key"
    status = 401
    exit_code = 4


class TooManyAttempts(NoiboError):
    """Signing in has failed too often; `retry_after_s` says when the next attempt is taken."""

    code = "too_many_attempts"
    status = 429
    exit_code = 4


class NotFound(NoiboError):
    """Something that was named does not exist."""

    code = "not_found"
    status = 404
    exit_code = 3


class ModelNotFound(NotFound):
    """No such model in the store."""

    code = "model_not_found"


class ModelPathNotFound(ModelNotFound, FileNotFoundError):
    """No model lies at a path that a program named. A `FileNotFoundError` too: such programs look
    for that."""

    code = "model_path_not_found"


class QuantisationMissing(NotFound):
    """The model is here, but not in so few bits as were asked for."""

    code = "quantisation_missing"


class UnknownModel(NotFound):
    """No source is known for a model of that name."""

    code = "unknown_model"


class Forbidden(NoiboError):
    """Policy says no."""

    code = "forbidden"
    status = 403
    exit_code = 4


class MustStay(Forbidden):
    """By its label a request may not leave this machine."""

    code = "must_stay"


class EgressRefused(Forbidden):
    """An outbound connection that policy does not allow."""

    code = "egress_refused"


class DepartureNotRecorded(EgressRefused):
    """What would leave cannot be written down first, and so may not leave."""

    code = "departure_not_recorded"
    status = 503


class LicenceRefused(Forbidden):
    """The model's licence is not one that `licences.allowed` lists."""

    code = "licence_refused"


class PriceUnknown(Forbidden):
    """A budget is set, and what is asked for has no price that it could be kept by."""

    code = "price_unknown"


class BadModelFile(NoiboError):
    """The file is malformed, truncated, or of a kind noibo does not read."""

    code = "bad_model_file"
    status = 422
    exit_code = 5


class StoreError(NoiboError):
    """The model store on disk cannot do what was asked."""

    code = "store_error"
    exit_code = 6


class DiskFull(StoreError):
    """Not enough space; what was there before is untouched."""

    code = "disk_full"
    status = 507


class DigestMismatch(StoreError):
    """The bytes are not the ones that were promised."""

    code = "digest_mismatch"
    status = 502


class LedgerError(NoiboError):
    """A ledger, of departures or of administrators' acts, cannot be read or written now."""

    code = "ledger_error"
    status = 503
    exit_code = 13


class LedgerBroken(LedgerError):
    """A ledger's rows are not what was written: changed, cut, removed, or signed by another."""

    code = "ledger_broken"
    status = 500


class DatabaseError(NoiboError):
    """The database cannot be reached, read or written now; what it holds is untouched."""

    code = "database_error"
    status = 503
    exit_code = 12


class FetchError(NoiboError):
    """A source could not be reached, or answered nonsense."""

    code = "fetch_failed"
    status = 502
    exit_code = 7


class NotOffered(FetchError):
    """A source was reached and does not have what was asked."""

    code = "not_offered"
    status = 404


class AccessNeeded(FetchError):
    """A source has it, and gives it only after a sign-in or an accepted licence."""

    code = "access_needed"
    status = 403


class NoCandidate(NoiboError):
    """No model of a virtual one may and can answer a request. `status` is of what stands against
    the nearest: 503 it is ill, 429 money or calls are used up, 400 it cannot do that, 403 a label
    or a strategy says no."""

    code = "no_candidate"
    exit_code = 14

    def __init__(
        self,
        message: str,
        *,
        status: int,
        next_step: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, next_step=next_step, retry_after_s=retry_after_s)
        self.status = status  # type: ignore[misc] # of this one error


class Cancelled(NoiboError):
    """Work was stopped on request; what it had so far is kept."""

    code = "cancelled"
    status = 499
    exit_code = 11


class EngineError(NoiboError):
    """Something about an engine or one of its workers."""

    code = "engine_error"
    status = 502
    exit_code = 8


class EngineMissing(EngineError):
    """The engine is not installed, or not known."""

    code = "engine_missing"
    status = 501


class EngineUnusable(EngineError):
    """The installed build of the engine uses instructions that this processor does not have."""

    code = "engine_unusable"
    status = 501


class GpuMissing(EngineError):
    """`require_gpu` is set, and the model would run, or runs, on the processor alone."""

    code = "gpu_missing"
    status = 503


class WorkerStartFailed(EngineError):
    """A worker ended, or stood still, before it was ready."""

    code = "worker_start_failed"
    status = 503


class OutOfMemory(WorkerStartFailed, RuntimeError):
    """The machine had not enough memory for the worker, however small it was made.

    A `RuntimeError` too, as torch raises for that: programs look for it."""

    code = "out_of_memory"


class NoRoom(EngineError, RuntimeError):
    """The memory budget has no room for the model now.

    A `RuntimeError` too, as `OutOfMemory`."""

    code = "no_room"
    status = 503


class WorkerDied(EngineError):
    """A worker ended, or stopped speaking, while it answered."""

    code = "worker_died"
    asked = True  # False: it had ended before it was; another can be asked with nothing lost
    status = 502


class UpstreamFailed(EngineError):
    """The server that a remote model is reached at does not answer, or does not let noibo in."""

    code = "upstream_failed"


class UpstreamSilent(UpstreamFailed):
    """The server that a remote model is reached at says nothing in its time."""

    code = "upstream_silent"


class EngineRefused(EngineError):
    """An engine answered a request with an error. `status` is the engine's, `kind` its own word for
    what is wrong, `details` whatever else it said."""

    code = "engine_refused"

    def __init__(
        self, message: str, *, status: int, kind: str = "", details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status  # type: ignore[misc] # of this one error
        self.kind = kind
        self.details = details or {}


class NotSupported(EngineError):
    """The engine cannot do this, and it is not emulated."""

    code = "not_supported"
    status = 501


class ServerUnreachable(NoiboError):
    """No noibo server answers at the address."""

    code = "server_unreachable"
    status = 503
    exit_code = 9


class ServerBusy(ServerUnreachable):
    """The address is taken by another program."""

    code = "address_in_use"


class QueueFull(NoiboError):
    """Too many requests wait already."""

    code = "queue_full"
    status = 429
    exit_code = 9


class BudgetExceeded(NoiboError):
    """A budget has no room for a request that costs money.

    `retry_after_s` and `resets_at` (seconds of the clock) say when it has again, where waiting
    helps; `answer_locally`: the budget's own rule is that a model of this machine answers."""

    code = "budget_exceeded"
    status = 429
    exit_code = 9

    def __init__(
        self,
        message: str,
        *,
        next_step: str = "",
        retry_after_s: float | None = None,
        resets_at: float | None = None,
        answer_locally: bool = False,
    ) -> None:
        super().__init__(message, next_step=next_step, retry_after_s=retry_after_s)
        self.resets_at = resets_at
        self.answer_locally = answer_locally


class ApiCallsExceeded(BudgetExceeded):
    """As many calls of models elsewhere as an hour may have were made."""

    code = "api_calls_exceeded"


class TooManyConnections(NoiboError):
    """All connections that may be are taken, or this address has its share of them."""

    code = "too_many_connections"
    status = 503
    exit_code = 9


class ShuttingDown(NoiboError):
    """The server is stopping and takes no new work."""

    code = "shutting_down"
    status = 503
    exit_code = 9


class RequestFailed(NoiboError):
    """A server answered with an error. `http_status` and `server_code` are what it said."""

    code = "request_failed"
    status = 502
    exit_code = 10

    def __init__(
        self, message: str, *, http_status: int, server_code: str = "", next_step: str = ""
    ) -> None:
        super().__init__(message, next_step=next_step)
        self.http_status = http_status
        self.server_code = server_code
