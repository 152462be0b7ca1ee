"""Outboxes: the event log delivered to endpoints outside, at least once, each at its own pace.

A plugin makes one `Outbox` with its `Kind`, which says what a delivery looks like. The queue is the log itself and a
held cursor for each endpoint; nothing here is imported by a shard without such a plugin, and what encrypts is imported
with the first endpoint.
"""
