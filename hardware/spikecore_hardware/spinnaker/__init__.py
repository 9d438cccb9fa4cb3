"""SpiNNaker 1: its arithmetic, its limits, and a backend that mirrors both."""
