"""Edit distance between words: insertions, deletions, substitutions and swaps of neighbours. Pure."""


def edit_distance(left: str, right: str, *, most: int) -> int:
    """The optimal string alignment distance, or `most + 1` where it is more than `most`.

    Damerau-Levenshtein without a second edit of a swapped pair (Boytsov, *Indexing methods for approximate dictionary
    searching*, ACM JEA 2011, section 2).
    """
    if abs(len(left) - len(right)) > most:
        return most + 1
    before: list[int] = []
    above = list(range(len(right) + 1))
    for row, here in enumerate(left, start=1):
        line = [row]
        for column, there in enumerate(right, start=1):
            cost = min(above[column] + 1, line[column - 1] + 1, above[column - 1] + (here != there))
            if row > 1 and column > 1 and here == right[column - 2] and left[row - 2] == there:
                cost = min(cost, before[column - 2] + 1)
            line.append(cost)
        if min(line) > most:
            return most + 1
        before, above = above, line
    return min(above[-1], most + 1)
