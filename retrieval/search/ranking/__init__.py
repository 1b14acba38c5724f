"""From several lists to one order: which retrievers are asked, fusion, reranking, and doubt about the answer."""
