"""The second floor from below: whether an order may be sent. Pure, exact, and closed when in doubt."""
