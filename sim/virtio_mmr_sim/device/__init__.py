"""Devices in software behind the back-end boundary of a simulated design.

Rings and buffers are reached through the requester port alone, so every byte crosses the link as a TLP.
"""
