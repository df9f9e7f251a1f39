"""Version 1 of the wire contract. Built from protos/, never edited."""
