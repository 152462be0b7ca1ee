"""The presets' tables, step by step; each file runs once, in a transaction."""
