"""The steps of a nightly run: seal, silver, gold, publish. Each takes the run as an argument."""
