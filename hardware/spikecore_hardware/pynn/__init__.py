"""Networks as self-contained scripts for PyNN: NEST, brian2, sPyNNaker."""
