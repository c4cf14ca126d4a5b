"""Golden cases: one folder each, records in, answers worked out by hand. No code in them.

`records.jsonl` has one record a line: `partition`, `offset`, `broker_time`, `envelope` (the record's value, taken with
the bytes it has in the line; a string instead of an object is the value's text), `log` where it is not 0, and `key`
(the deduplication key in hexadecimal, or null) where it is not the one the entrance gives to the envelope.
`expected.json` has `about`, `rules` (settings that are not the default) and `tables`: the rows each table must have,
all of them, in any order, with as many of their columns as the case is about.
"""
