"""The mapping file: from a warehouse's tables and columns to facets and item fields."""
