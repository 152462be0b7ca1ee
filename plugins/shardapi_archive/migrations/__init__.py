"""The archive's search index, step by step; each file runs once, in a transaction."""
