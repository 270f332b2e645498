"""Brokers, a group and transactions in memory, under the real Source, Sink and Worker, by seeded schedules.

`schedule` runs one worker's thread at a time and chooses which; `cluster` holds topics, transactions and the
group; `consumer` and `producer` stand for librdkafka's clients; `world` puts a history together and judges it.
"""
