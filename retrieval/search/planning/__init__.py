"""Planning: from the text that a buyer typed to what each retriever is asked."""
