"""The eight tools as models are told about them. What they do is in `agent.tools`, which checks everything again."""

from decimal import Decimal
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agent.planners.llm.tools import ToolSpec

Words = Annotated[str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True)]
Sku = Annotated[str, StringConstraints(min_length=1, max_length=256, strip_whitespace=True)]
Counted = Annotated[str, StringConstraints(max_length=60, strip_whitespace=True)]


class _Arguments(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SearchArguments(_Arguments):
    """Of `catalog_search`."""

    query: Words = Field(description="What to look for, in the reseller's own words: product, size, brand, colour.")
    new: bool = Field(False, description="True for another product than the one spoken of; false refines it.")


class ReferenceArguments(_Arguments):
    """Of `follow_up_resolve`."""

    reference: Words = Field(
        description='How the reseller refers to it: "the second", "the cheapest", "the 25 kg one".'
    )


class AddArguments(_Arguments):
    """Of `order_add`."""

    sku: Sku = Field(description="A SKU that a tool gave.")
    quantity: Decimal = Field(gt=0, description="How many, as the reseller counted.")
    package: Counted = Field("", description='What was counted, where it was said: "caja", "metro", "dozen".')
    lot: Counted = Field("", description='How many are in that package, where it was said: "1000" of "cajas de 1000".')


class UpdateArguments(AddArguments):
    """Of `order_update`."""

    quantity: Decimal = Field(ge=0, description="The new quantity of the line; 0 takes it out.")


class SkuArguments(_Arguments):
    """Of `order_remove`."""

    sku: Sku = Field(description="The SKU of a line of the order.")


class NoArguments(_Arguments):
    """Of the tools about the whole order."""


TOOL_SPECS: Final = (
    ToolSpec("catalog_search", "Find products in the shop's catalogue.", SearchArguments),
    ToolSpec("follow_up_resolve", "Find out which product the reseller refers to.", ReferenceArguments),
    ToolSpec("order_add", "Add a quantity of a product to the open order.", AddArguments),
    ToolSpec("order_update", "Set the quantity of a line of the open order.", UpdateArguments),
    ToolSpec("order_remove", "Take a line out of the open order.", SkuArguments),
    ToolSpec("order_show", "Show the open order with prices, stock and total as of now.", NoArguments),
    ToolSpec("order_clear", "Empty the open order. Only when the reseller asks for exactly that.", NoArguments),
    ToolSpec(
        "order_submit",
        "Submit the open order. Only when the reseller's newest message confirms the order that was shown.",
        NoArguments,
    ),
)
