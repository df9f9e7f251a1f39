"""The desk: decisions, trades, protection and results. The engine's first client: in by its calls, out by its feed."""
