"""What lets one laptop run the whole of Tidemark: Java, jars, a Kafka broker and a supervisor, without Docker."""
