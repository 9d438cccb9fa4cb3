"""A SpiNNaker chip, as far as one core and its host need it: memory, heaps, a monitor.

Structure and offsets are those of the public headers of spinnaker_tools (``sv`` and ``vcpu``
blocks, heaps, SDP messages); what the monitor core would do is done here in Python.
"""

from __future__ import annotations

import ctypes
import mmap
import struct

SDRAM, SDRAM_BYTES = 0x60000000, 128 << 20
SYSTEM_RAM, SYSTEM_BYTES = 0xE5000000, 32 << 10
UNBUFFERED = 0x10000000  # both memories appear once more at this distance
SV, VCPU, VCPU_BYTES = SYSTEM_RAM + 0x7F00, SYSTEM_RAM + 0x7000, 128
CORES = 18
PRINT_BYTES = 128 << 10  # per core, at the bottom of SDRAM
RESERVED_BYTES = 8 << 20  # for the system, at the top of SDRAM
MESSAGE_BYTES, MESSAGES = 292, 7

FIELDS = {  # offset in sv: (format, value)
    0x0A: ("B", 5),  # hardware version
    0x1C: ("I", 1),  # seconds since 1970
    0x24: ("H", 200),  # MHz of the cores
    0x26: ("H", 130),  # and of the memory
    0x41: ("B", MESSAGES),
    0x50: ("I", 16 << 10),  # bytes of a print buffer
    0x54: ("I", SDRAM),
    0x58: ("I", PRINT_BYTES // 4),
    0xBC: ("B", CORES),
    0xC0: ("I", SDRAM + CORES * PRINT_BYTES),
    0xC4: ("I", SYSTEM_RAM + 0x100),
    0xC8: ("I", SDRAM + SDRAM_BYTES - RESERVED_BYTES),
    0xCC: ("I", VCPU),
    0xFC: ("I", 0x040000),  # version of the system software
}
SDRAM_HEAP, SYSTEM_RAM_HEAP, SYSTEM_HEAP = 0x4C, 0x48, 0xD0
TAG_TABLE, APP_TABLE, ROUTER_COPY, HOP_TABLE = 0xDC, 0xE4, 0xD4, 0xD8
FREE_MESSAGES, MESSAGE_BASE, MAILBOX_FLAGS = 0x68, 0xE8, 0xEC

STATES = {2: "error", 5: "wait", 6: "start", 7: "run", 8: "sync0", 9: "sync1", 10: "pause"} | {
    11: "exit"
}


class Chip:
    """Memory that host and core share."""

    def __init__(self):
        self.sdram = mmap.mmap(-1, SDRAM_BYTES)
        self.system = mmap.mmap(-1, SYSTEM_BYTES)
        self.replies = []
        for offset, (form, value) in FIELDS.items():
            self.write(SV + offset, struct.pack("<" + form, value))
        for core in range(CORES):  # physical and virtual core numbers are the same
            self.write(SV + 0x94 + core, bytes([core]))
            self.write(SV + 0xA8 + core, bytes([core]))
        top = SDRAM + SDRAM_BYTES - RESERVED_BYTES
        self._make_heap(SDRAM_HEAP, SDRAM + CORES * PRINT_BYTES, top)
        self._make_heap(SYSTEM_HEAP, top + (256 << 10), SDRAM + SDRAM_BYTES)
        self._make_heap(SYSTEM_RAM_HEAP, SYSTEM_RAM + 0x500, VCPU)
        for field, size in (
            (HOP_TABLE, 256 << 10),
            (ROUTER_COPY, 16 * 1025),
            (TAG_TABLE, 256 << 10),
            (APP_TABLE, 2048),
        ):
            self.set_word(SV + field, self.allocate(size, heap=SYSTEM_HEAP))
        first = self.allocate(MESSAGES * MESSAGE_BYTES, heap=SYSTEM_RAM_HEAP)
        self.set_word(SV + MESSAGE_BASE, first)
        self.set_word(SV + FREE_MESSAGES, first)
        for i in range(MESSAGES - 1):
            self.set_word(first + i * MESSAGE_BYTES, first + (i + 1) * MESSAGE_BYTES)

    def pointer(self, memory):
        """Return the address of a memory in this process, to be mapped into an emulator."""
        return ctypes.addressof(ctypes.c_char.from_buffer(memory))

    def _place(self, address):
        for base, memory in ((SDRAM, self.sdram), (SYSTEM_RAM, self.system)):
            for alias in (base, base + UNBUFFERED):
                if alias <= address < alias + len(memory):
                    return memory, address - alias
        raise ValueError(f"no memory at {address:#x}")

    def read(self, address, size):
        memory, at = self._place(address)
        return memory[at : at + size]

    def write(self, address, content):
        memory, at = self._place(address)
        memory[at : at + len(content)] = bytes(content)

    def words(self, address, count):
        return struct.unpack(f"<{count}I", self.read(address, 4 * count))

    def word(self, address):
        return self.words(address, 1)[0]

    def set_word(self, address, value):
        self.write(address, struct.pack("<I", value & 0xFFFFFFFF))

    # -- heaps: {first free, first, last, bytes free}; blocks begin with {next, next free}

    def _make_heap(self, field, base, top):
        first, last = base + 16, top - 8
        for i, value in enumerate((first, first, last, last - first - 8)):
            self.set_word(base + 4 * i, value)
        for address, value in ((first, last), (first + 4, 0), (last, 0), (last + 4, 0)):
            self.set_word(address, value)
        self.set_word(SV + field, base)

    def allocate(self, size, heap=SDRAM_HEAP, tag=0, app=16):
        """Take the first free block that is large enough, as the firmware does."""
        base = self.word(SV + heap)
        wanted = (size + 3 & ~3) + 8
        link, block = base, self.word(base)
        while block:
            after, free = self.words(block, 2)
            rest = block + wanted
            if rest <= after:
                if rest + 8 < after:
                    self.set_word(rest, after)
                    self.set_word(rest + 4, free)
                    self.set_word(block, rest)
                    free = rest
                self.set_word(link, free)
                self.set_word(base + 12, self.word(base + 12) - wanted)
                self.set_word(block + 4, 0xFFFF0000 | app << 8 | tag)
                if tag:
                    self.set_word(self.word(SV + TAG_TABLE) + 4 * (app << 8 | tag), block + 8)
                return block + 8
            link, block = block + 4, free
        raise MemoryError(f"no block of {size} bytes")

    # -- what monitor and host tell a core

    def vcpu(self, core):
        return VCPU + VCPU_BYTES * core

    def state(self, core):
        number = self.read(self.vcpu(core) + 46, 1)[0]
        return STATES.get(number, f"state {number}")

    def set_user(self, core, number, value):
        self.set_word(self.vcpu(core) + 112 + 4 * number, value)

    def post_command(self, core, command, arguments, data=b""):
        """Put an SDP message for port 3 (the simulation interface) into the core's mailbox."""
        message = self.word(SV + FREE_MESSAGES)
        self.set_word(SV + FREE_MESSAGES, self.word(message))
        header = struct.pack("<BBBBHH", 0x87, 1, 3 << 5 | core, 0xFF, 0, 0)
        body = struct.pack("<HHIII", command, 0, *arguments) + data
        length = len(header) + len(body)
        self.write(message + 4, struct.pack("<HH", length, 0) + header + body)
        self.set_word(self.vcpu(core) + 48, message)
        self.write(self.vcpu(core) + 56, b"\1")

    def collect_replies(self):
        """Do what the monitor does when a core has filled its mailbox."""
        flags = self.word(SV + MAILBOX_FLAGS)
        self.set_word(SV + MAILBOX_FLAGS, 0)
        for core in range(CORES):
            if flags >> core & 1:
                message = self.word(self.vcpu(core) + 52)
                (length,) = struct.unpack("<H", self.read(message + 4, 2))
                self.replies.append(self.read(message + 8, length))
                self.set_word(message, self.word(SV + FREE_MESSAGES))
                self.set_word(SV + FREE_MESSAGES, message)
                self.write(self.vcpu(core) + 57, b"\0")
