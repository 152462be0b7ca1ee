"""Moving a shard: all that it is as lines of JSON, and such lines as a shard again."""
