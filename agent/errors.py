"""What can be wrong with a turn or an order, each with the remedy."""

from __future__ import annotations

from runtime.http.problems import ConflictError
from schemas.errors import InvalidRequestError, NotFoundError, PoisonError, RetryableError


class MessageTooLongError(InvalidRequestError):
    """The message is longer than the agent takes. Send it in several messages."""

    code = "message_too_long"


class EmptyMessageError(InvalidRequestError):
    """The message says nothing. Write what you are looking for."""

    code = "empty_message"


class ThreadFullError(ConflictError):
    """This conversation has reached its largest number of turns. Begin a new thread; submitted orders are kept."""

    code = "thread_full"


class TooManyThreadsError(ConflictError):
    """This tenant has its largest number of conversations. Delete some, or wait until idle ones expire; those that there are go on."""

    code = "too_many_threads"


class UnfinishedTurnError(PoisonError):
    """The turn was taken up again and did not come to its end in time. It is closed; the person may write again."""

    code = "turn_unfinished"


class ThreadNotFoundError(NotFoundError):
    """There is no such conversation of this tenant, or it has expired. Begin a new thread."""

    code = "thread_not_found"


class ThreadNotIssuedError(InvalidRequestError):
    """With a key alone, only conversations go on whose names were issued here. Leave `thread` out: the answer names the conversation that was begun. Names of your own are for customers with a token."""

    code = "thread_not_issued"


class WeakIdempotencyKeyError(InvalidRequestError):
    """Without a thread and a customer's token the conversation's name follows from the idempotency key, so whoever guesses the key reads the conversation. Send a random key of 22 characters or more (a UUID has 36)."""

    code = "weak_idempotency_key"


class ReusedKeyError(InvalidRequestError):
    """This idempotency key was used for another request of the same conversation. Take a new key for a new request."""

    code = "idempotency_key_reused"


class ThreadNameTooLongError(InvalidRequestError):
    """The conversation's name is too long to be kept beside the customer's. Choose a shorter one."""

    code = "thread_name_too_long"


class CatalogueUnavailableError(RetryableError):
    """The catalogue's search did not answer. Send the message again in a moment; nothing of the order is lost."""

    code = "catalogue_unavailable"


class OrderNotFoundError(NotFoundError):
    """There is no such order of this tenant. Check the tenant and the order's id; `GET /v1/orders` lists them."""

    code = "order_not_found"


class OrderChangedError(ConflictError):
    """The order is no longer the one that was shown: a price or a line changed. Show it again and let the person confirm what it is now."""

    code = "order_changed"


class OrderClosedError(ConflictError):
    """The order is closed: it was withdrawn, or submitted with other lines. Begin another one in the conversation."""

    code = "order_closed"


class EmptyOrderError(InvalidRequestError):
    """An order without lines cannot be submitted. Add a product first."""

    code = "empty_order"


class StillUnpublishableError(ConflictError):
    """This version can make no record for the log of the order, either: it stays set apart. Install a version with the fix, then try it again."""

    code = "order_unpublishable"


class OrderUnpublishableError(PoisonError):
    """No record for the log can be made of this order: a line of it is not one that can be ordered. Take the line out and add it again."""

    code = "order_unpublishable"
