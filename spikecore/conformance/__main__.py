"""``python -m spikecore.conformance > docs/conformance.md``; takes some minutes.

With ``--gpu``, the page docs/conformance_gpu.md, on a machine that has a GPU.
"""

from __future__ import annotations

import sys

from spikecore.conformance.table import gpu_page, page

if __name__ == "__main__":
    made = gpu_page if "--gpu" in sys.argv[1:] else page
    sys.stdout.write(made(lambda name: print(name, file=sys.stderr)))
