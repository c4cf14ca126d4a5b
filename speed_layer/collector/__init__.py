"""The collector: HTTP in, Kafka out. It answers for every event, and only after Kafka has acknowledged it.

The API is Segment's (https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/), so that its
client libraries work unchanged. One request goes

    keys (who sends?) -> body (bytes, within limits) -> batch (single messages) -> admit (checked, wrapped)
    -> kafka_log (acknowledged) -> answers

and `app` chains these steps.
"""
