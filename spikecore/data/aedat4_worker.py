"""Run as a script: unpack the packets of an .aedat4 file with the package ``aedat``.

It imports nothing of spikecore, to start fast. Arguments: the file, where to write
the events, how many packets to read. It prints the sizes of the event streams, and
then how many events each packet gave, so that whoever started it knows how far it
came even if a damaged packet ends it.
"""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path


def main(source: str, target: str, packets: str) -> None:
    """Unpack ``packets`` packets of ``source`` into ``target``."""
    import aedat

    decoder = aedat.Decoder(source)
    streams = decoder.id_to_stream()
    sizes = {
        number: (stream["width"], stream["height"])
        for number, stream in sorted(streams.items())
        if stream["type"] == "events"
    }
    with Path(target).open("wb") as file:
        print(json.dumps(list(sizes.values())), flush=True)
        for packet in islice(decoder, int(packets)):
            chosen = bool(sizes) and packet["stream_id"] == min(sizes)
            if chosen:
                file.write(packet["events"].tobytes())
                file.flush()
            print(len(packet["events"]) if chosen else 0, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
