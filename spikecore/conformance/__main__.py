"""``python -m spikecore.conformance > docs/conformance.md``; takes some minutes."""

from __future__ import annotations

import sys

from spikecore.conformance.table import page

if __name__ == "__main__":
    sys.stdout.write(page(lambda name: print(name, file=sys.stderr)))
