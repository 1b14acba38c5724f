"""From several lists to one order: which retrievers are asked, fusion, reranking, the replica's check, and low confidence."""
