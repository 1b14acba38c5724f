"""The values of the other compacted topics: alias entries, generations, confirmed orders."""
