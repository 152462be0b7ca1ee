"""Simulated operators on real connections: for `shardapi demo`, `shardapi simulate`, and bots' own tests."""
