"""What can go wrong, as a small tree of exceptions.

Every message is a sentence from the core that says what happened, why, and what to do, the same in C, Python
and Lua. ``error.name`` is the short name of the status ("no-leader"), ``error.status`` its number in
quorate.h.

An operation whose outcome is unknown (it may or may not have been executed) raises :class:`UnknownOutcome`,
which is neither a :class:`FailedError` (certainly not executed) nor related to it.
"""

from __future__ import annotations


class QuorateError(Exception):
    """Anything that the library reports. `status` is its number in quorate.h, `name` its short name."""

    status = -62
    name = "internal"

    def __init_subclass__(cls, status: int | None = None, name: str = "") -> None:
        super().__init_subclass__()
        if status is not None:
            cls.status, cls.name = status, name
            _CLASSES[status] = cls


_CLASSES: dict[int, type[QuorateError]] = {}


# --- the call itself is wrong ---


class UsageError(QuorateError):
    """The call is wrong, whatever the cluster does."""


class ArgumentError(UsageError, ValueError, status=-1, name="invalid"):
    """An argument makes no sense."""


class OptionError(UsageError, ValueError, status=-2, name="no-option"):
    """No option of that name; the message names the nearest known one."""


class WrongTypeError(UsageError, TypeError, status=-3, name="type"):
    """An option or field has the wrong type."""


class RangeError(UsageError, ValueError, status=-4, name="range"):
    """A value is outside its range; the message says the range."""


class ClosedError(UsageError, status=-6, name="closed"):
    """The object was closed."""


class BusyError(UsageError, status=-7, name="busy"):
    """The object is in use on another thread, or by the call whose callback this is."""


class ForkedError(UsageError, status=-8, name="forked"):
    """The object was made by another process, before fork."""


class UnsupportedError(UsageError, status=-9, name="unsupported"):
    """This build, runtime or protocol cannot do that."""


class NotFoundError(UsageError, LookupError, status=-10, name="not-found"):
    """No node, protocol, machine or file of that name."""


class DeniedError(UsageError, PermissionError, status=-11, name="denied"):
    """The key has no right to ask for that; the message says what it may."""


# --- the cluster could not do it ---


class OperatingError(QuorateError):
    """The call was right, but the cluster could not do it."""


class NoLeaderError(OperatingError, status=-20, name="no-leader"):
    """Nobody leads, and the message says why ("2 of 5 nodes are up, 3 are needed")."""


class NotLeaderError(OperatingError, status=-21, name="not-leader"):
    """The node that was asked does not lead."""


class NodeDownError(OperatingError, status=-22, name="down"):
    """The node is not up."""


class FailedError(OperatingError, status=-23, name="failed"):
    """The operation was certainly not executed."""


class UnknownOutcome(OperatingError, status=-24, name="unknown"):  # noqa: N818 - it is no error of the operation, only of what is known
    """The operation may or may not have been executed, now or later."""


class TooLargeError(OperatingError, ValueError, status=-25, name="too-large"):
    """The value is larger than the stated limit."""


class WaitTimeout(OperatingError, TimeoutError, status=-26, name="timeout"):  # noqa: N818 - TimeoutError is taken
    """The awaited condition did not come true in time; the message says why that may be."""


class FullError(OperatingError, status=-27, name="full"):
    """A bounded queue or disk is full."""


class CasError(OperatingError, status=-28, name="cas-mismatch"):
    """Compare-and-set found another value; nothing was changed."""


class SessionError(OperatingError, status=-29, name="session"):
    """The client's session has expired or is unknown."""


# --- bytes from a peer, a disk or a file ---


class DataError(QuorateError):
    """Data from outside is wrong."""


class ParseError(DataError, ValueError, status=-5, name="parse"):
    """Malformed text; the message names line and column."""


class CorruptError(DataError, status=-40, name="corrupt"):
    """A checksum or a structure is wrong."""


class ForeignError(DataError, status=-41, name="foreign"):
    """The data belongs to another cluster or node."""


class NewerError(DataError, status=-42, name="newer"):
    """The data was written by a newer version."""


class StorageError(DataError, OSError, status=-43, name="io"):
    """Reading, writing or syncing failed: a full disk, or a file that is none or that nobody may read."""


# --- the user's own code, and ours ---


class ScriptError(QuorateError, status=-60, name="script"):
    """A state machine or script raised an error; the message holds its traceback."""


class OutOfMemory(QuorateError, MemoryError, status=-61, name="no-memory"):  # noqa: N818
    """There is not enough memory."""


class InternalError(QuorateError, status=-62, name="internal"):
    """A mistake of ours: please report it with the message."""


def error_from(status: int, message: str) -> QuorateError:
    """The exception for a status of quorate.h and the sentence about it."""
    error = _CLASSES.get(status, InternalError)(message)
    error.status = status
    return error
