"""Loading dimensions: a file is read, checked as a whole, merged with what is held, and committed once. No Spark."""
