"""Length bucketing: which texts are computed together, so that short ones are not padded to the length of long ones."""

from collections.abc import Sequence


def plan_batches(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Indices of the texts by batch: texts of like length together, each batch's padded size within the budget.

    `lengths` are token counts. Longest first, so that the allocator sees its largest request at once. Batches are even:
    a remainder of a few texts would cost more for each than a whole batch does. A text longer than the budget is a batch
    alone. Every index occurs exactly once.
    """
    by_length = sorted(range(len(lengths)), key=lambda each: -lengths[each])
    capacities = [max(1, token_budget // max(1, lengths[index])) for index in by_length]
    batches: list[list[int]] = []
    start = 0
    while start < len(by_length):
        even = -(-(len(by_length) - start) // _needed(capacities, start))
        end = start + min(even, capacities[start])
        batches.append(by_length[start:end])
        start = end
    return batches


def _needed(capacities: Sequence[int], start: int) -> int:
    """How many batches the texts from `start` on take where each is as full as its longest text allows."""
    needed = 0
    while start < len(capacities):
        start += capacities[start]
        needed += 1
    return needed
