"""The plugin's table, step by step."""
