"""The panel's tables, step by step; each file runs once, in a transaction."""
