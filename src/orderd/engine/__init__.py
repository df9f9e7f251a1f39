"""The engine: the one road in, the one road out, and the workers between the journal and the brokers."""
