"""What happens to one batch: the first look, the plan, the loop until no write is refused, the fenced publication, the report."""
