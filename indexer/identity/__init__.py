"""Whether a group's offsets still are of these topics and this vector store: what stands beside them, compared at a start and now and then."""
