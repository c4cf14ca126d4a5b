"""The batch layer, owner of the truth."""
