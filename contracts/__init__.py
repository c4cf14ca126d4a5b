"""What an event, a field, a measure, a table, a topic and a setting are. No Spark, no network."""
