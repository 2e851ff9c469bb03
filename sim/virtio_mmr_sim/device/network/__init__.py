"""A small host of its own at the other end of a simulated cable."""
