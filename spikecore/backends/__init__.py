"""Backends: different ways to run one network."""
