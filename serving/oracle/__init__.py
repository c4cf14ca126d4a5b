"""The oracle: every answer a second time, from raw records, in one DuckDB pass (law L4).

It imports neither the transforms nor the algebra: a mistake there must not be repeated here.
"""
