"""Length bucketing: which texts are computed together, so that short ones are not padded to the length of long ones."""

from collections.abc import Sequence


def plan_batches(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Indices of the texts by batch: texts of like length together, each batch's padded size within the budget.

    `lengths` are token counts. Longest first, so that the allocator sees its largest request at once. A text longer
    than the budget is a batch alone. Every index occurs exactly once.
    """
    batches: list[list[int]] = []
    width = 0
    for index in sorted(range(len(lengths)), key=lambda each: -lengths[each]):
        if batches and width * (len(batches[-1]) + 1) <= token_budget:
            batches[-1].append(index)
        else:
            width = max(1, lengths[index])
            batches.append([index])
    return batches
