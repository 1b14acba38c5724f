"""What happens to one batch: the first look, the plan, the work planned, the fenced publication, the report."""
