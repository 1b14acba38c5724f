"""What can go wrong with an order, each with the remedy."""

from __future__ import annotations

from runtime.http.problems import ConflictError
from schemas.errors import InvalidRequestError, NotFoundError, PoisonError


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
