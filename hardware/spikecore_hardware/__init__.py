"""Machine limits, the fixed-point mirror and exports for neuromorphic hardware."""
