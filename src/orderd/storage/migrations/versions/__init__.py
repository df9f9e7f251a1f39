"""Numbered revisions: 0001, 0002, … A later number is a newer schema."""
