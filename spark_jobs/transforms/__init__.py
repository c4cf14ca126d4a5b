"""Pure transforms over Arrow batches, shared by stream and batch.

A result may depend on one record, the code and the rules. `now()`, randomness, IO and other events are banned
(law L0; a test reads this package for them). Spark runs these functions inside `mapInArrow`; so do tests, without it.
"""
