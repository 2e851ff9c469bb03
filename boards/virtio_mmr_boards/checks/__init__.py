"""Checks of a board's project that need no vendor tool; each gives the list of what is wrong."""
