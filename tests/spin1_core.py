"""One SpiNNaker core on unicorn: runs the vendor's images as they are.

A core is infinitely fast here: it runs until it sleeps with nothing to do, then gets its next
tick or packet. Register addresses and bits are those of the public header spinnaker.h.
"""

from __future__ import annotations

import struct
from pathlib import Path

from spin1_chip import SDRAM, SDRAM_BYTES, SYSTEM_BYTES, SYSTEM_RAM, UNBUFFERED
from unicorn import (
    UC_ARCH_ARM,
    UC_HOOK_CODE,
    UC_HOOK_MEM_UNMAPPED,
    UC_MODE_ARM,
    UC_PROT_ALL,
    Uc,
    UcError,
)
from unicorn.arm_const import (
    UC_ARM_REG_CPSR,
    UC_ARM_REG_LR,
    UC_ARM_REG_PC,
    UC_ARM_REG_R0,
    UC_ARM_REG_SP,
    UC_ARM_REG_SPSR,
    UC_CPU_ARM_926,
)

TIMER, PACKET_READY, SENT_ALL, DMA_DONE = 4, 6, 11, 12  # interrupt lines
HOST, NOT_FULL, MULTICAST = 18, 23, 24
NOWHERE = 0x7FFC  # in instruction memory, never reached
MODE_FIQ, MODE_IRQ, NO_IRQ, NO_FIQ, THUMB = 0x11, 0x12, 0x80, 0x40, 0x20
NESTED = 16  # priority of an interrupt without a vector of its own
REGISTERS = [UC_ARM_REG_R0 + i for i in range(13)] + [UC_ARM_REG_SP, UC_ARM_REG_LR, UC_ARM_REG_PC]


class Interrupts:
    """The vectored interrupt controller (PL190)."""

    def __init__(self):
        self.raised = 1 << SENT_ALL | 1 << NOT_FULL
        self.enabled = self.fast = self.fallback = 0
        self.vectors, self.controls, self.active = [0] * 16, [0] * 16, []

    def waiting(self):
        return self.raised & self.enabled

    def slot(self):
        """Return the slot of the most urgent interrupt that may break in now, or None."""
        act, limit = self.waiting() & ~self.fast, self.active[-1] if self.active else NESTED + 1
        for s, control in enumerate(self.controls[:limit]):
            if control & 0x20 and act >> (control & 31) & 1:
                return s
        return NESTED if act and limit > NESTED else None

    def kind(self, status):
        """Return which exception the core would take with this status register."""
        if self.waiting() & self.fast and not status & NO_FIQ:
            return MODE_FIQ
        if not status & NO_IRQ and self.slot() is not None:
            return MODE_IRQ
        return None

    def read(self, offset):
        if offset == 0x30:
            slot = self.slot()
            self.active.append(NESTED if slot is None else slot)
            return self.fallback if self.active[-1] == NESTED else self.vectors[slot]
        if 0x100 <= offset < 0x140:
            return self.vectors[(offset - 0x100) // 4]
        if 0x200 <= offset < 0x240:
            return self.controls[(offset - 0x200) // 4]
        act = self.waiting()
        return {0: act & ~self.fast, 4: act & self.fast, 8: self.raised, 0xC: self.fast}.get(
            offset, self.enabled if offset == 0x10 else self.fallback
        )

    def write(self, offset, value):
        if offset == 0x30 and self.active:
            self.active.pop()
        elif offset == 0x0C:
            self.fast = value
        elif offset == 0x10:
            self.enabled |= value
        elif offset == 0x14:
            self.enabled &= ~value
        elif offset == 0x18:
            self.raised |= value
        elif offset == 0x1C:
            self.raised &= ~value
        elif offset == 0x34:
            self.fallback = value
        elif 0x100 <= offset < 0x140:
            self.vectors[(offset - 0x100) // 4] = value
        elif 0x200 <= offset < 0x240:
            self.controls[(offset - 0x200) // 4] = value


class Core:
    """A core of ``chip`` with an image in it."""

    def __init__(self, chip, number, image, app=16):
        self.chip, self.number = chip, number
        self.interrupts, self.packets, self.sent = Interrupts(), [], []
        self.timer, self.reads = {}, 0
        self.dma = {4: 0, 8: 0, 0x14: number << 24}
        self.control = self.flags = self.why = 0
        self.asleep = False
        self.uc = Uc(UC_ARCH_ARM, UC_MODE_ARM)
        self.uc.ctl_set_cpu_model(UC_CPU_ARM_926)
        self._map()
        self.pc = self._load(Path(image).read_bytes())
        self._watch()
        self.uc.reg_write(UC_ARM_REG_CPSR, 0xD3)
        self.uc.reg_write(UC_ARM_REG_R0, app)

    def _map(self):
        self.uc.mem_map(0, 32 << 10)
        self.uc.mem_map(0x400000, 64 << 10)
        for base, size, memory in (
            (SDRAM, SDRAM_BYTES, self.chip.sdram),
            (SYSTEM_RAM, SYSTEM_BYTES, self.chip.system),
        ):
            for alias in (base, base + UNBUFFERED):
                self.uc.mem_map_ptr(alias, size, UC_PROT_ALL, self.chip.pointer(memory))
        for bases, size, read, write in (
            ((0x10000000, 0x20000000), 0x1000, self._comms_read, self._comms_write),
            ((0x11000000, 0x21000000), 0x1000, self._timer_read, self._timer_write),
            ((0x1F000000, 0x2F000000, 0xFFFFF000), 0x1000, *self._vic()),
            ((0x30000000, 0x40000000), 0x1000, self._dma_read, self._dma_write),
            ((0xE2000000, 0xF2000000), 0x1000, self._system_read, self._system_write),
            ((0xE1000000, 0xF1000000), 0x10000, lambda _offset: 0, lambda _offset, _value: None),
        ):
            for base in bases:
                self.uc.mmio_map(
                    base,
                    size,
                    lambda _uc, offset, _size, _data, read=read: read(offset),
                    None,
                    lambda _uc, offset, _size, value, _data, write=write: write(offset, value),
                    None,
                )

    def _vic(self):
        return self.interrupts.read, self.interrupts.write

    def _load(self, image):
        """Carry out the records of an image (copy, fill, start); return where it starts."""
        for at in range(0, len(image), 16):
            operation, a, b, c = struct.unpack_from("<4I", image, at)
            if operation == 2:
                self.uc.mem_write(a, image[at + b : at + b + c])
            elif operation == 3:
                self.uc.mem_write(a, struct.pack("<I", c) * (b // 4))
            elif operation == 4:
                return a
        raise ValueError("an image without a start")

    def _watch(self):
        """Find the instructions after which an interrupt may be taken, and stop there."""
        code = struct.unpack("<8192I", self.uc.mem_read(0, 32 << 10))
        for i, word in enumerate(code):
            at = 4 * i
            if word & 0x0FFF0FFF == 0x0E070F90:  # wait for interrupt
                self._hook(self._on_wait, at)
            elif word & 0xFFF0FFF0 == 0xE120F000 or word & 0xFFF0F000 == 0xE320F000:
                if word & 0x00010000:  # the status register was written
                    self._hook(self._on_status, at + 4)
            elif _returns_from_exception(word):
                self._hook(self._on_return, at)
        self.uc.hook_add(UC_HOOK_MEM_UNMAPPED, self._on_unmapped)

    def _hook(self, what, at):
        self.uc.hook_add(UC_HOOK_CODE, what, None, at, at)

    def _stop(self, why, at):
        self.why, self.pc = why, at
        self.uc.emu_stop()

    def _on_wait(self, _uc, at, _size, _data):
        self._stop("wait", at)

    def _on_status(self, uc, at, _size, _data):
        if self.interrupts.waiting() and self.interrupts.kind(uc.reg_read(UC_ARM_REG_CPSR)):
            self._stop("status", at)

    def _on_return(self, uc, at, _size, _data):
        # Short instructions of Thumb code may look like a return, two at a time.
        if self.interrupts.waiting() and not uc.reg_read(UC_ARM_REG_CPSR) & THUMB:
            self._stop("return", at)

    def _on_unmapped(self, uc, _access, address, _size, _value, _data):
        at = uc.reg_read(UC_ARM_REG_PC)
        self.fault = f"access to {address:#x} at {at:#x}"
        return False

    def run(self):
        """Run until the core sleeps with nothing to do, or has ended."""
        if self.asleep:
            if not self.interrupts.waiting():
                return
            self.pc += 4
            self.asleep = False
        while True:
            self._take_exception()
            self.why = ""
            try:
                thumb = self.uc.reg_read(UC_ARM_REG_CPSR) >> 5 & 1
                self.uc.emu_start(self.pc | thumb, NOWHERE)
            except UcError as error:
                raise RuntimeError(getattr(self, "fault", str(error))) from error
            if self.why == "wait":
                if self.chip.state(self.number) in ("error", "exit"):
                    return
                if not self.interrupts.waiting():
                    self.asleep = True
                    return
                self.pc += 4
            elif self.why == "return":
                self._return()
            elif not self.why:
                raise RuntimeError(f"stopped at {self.uc.reg_read(UC_ARM_REG_PC):#x}")

    def _take_exception(self):
        status = self.uc.reg_read(UC_ARM_REG_CPSR)
        mode = self.interrupts.kind(status)
        if mode is None:
            return
        masks = NO_IRQ | (NO_FIQ if mode == MODE_FIQ else 0)
        self.uc.reg_write(UC_ARM_REG_CPSR, status & ~0x3F | mode | masks)
        self.uc.reg_write(UC_ARM_REG_SPSR, status)
        self.uc.reg_write(UC_ARM_REG_LR, self.pc + 4)
        self.pc = 0x1C if mode == MODE_FIQ else 0x18

    def _return(self):
        """Carry out the return from an exception at ``pc``, so that the next one can be taken."""
        (word,) = struct.unpack("<I", self.uc.mem_read(self.pc, 4))
        status = self.uc.reg_read(UC_ARM_REG_SPSR)
        if word == 0xE25EF004:
            self.pc = self.uc.reg_read(UC_ARM_REG_LR) - 4
        else:
            loaded = [r for r in range(16) if word >> r & 1]
            base, size = REGISTERS[word >> 16 & 15], 4 * len(loaded)
            up, before, write_back = (word >> bit & 1 for bit in (23, 24, 21))
            address = self.uc.reg_read(base)
            first = address + 4 * before if up else address - size + 4 * (1 - before)
            values = struct.unpack(f"<{len(loaded)}I", self.uc.mem_read(first, size))
            if write_back:
                self.uc.reg_write(base, address + (size if up else -size))
            for r, value in zip(loaded[:-1], values[:-1], strict=True):
                self.uc.reg_write(REGISTERS[r], value)
            self.pc = values[-1]
        self.uc.reg_write(UC_ARM_REG_CPSR, status)

    # -- what comes from outside

    def interrupt(self, line):
        self.interrupts.raised |= 1 << line
        self.run()

    def tick(self):
        self.reads = 0
        self.interrupt(TIMER)

    def receive(self, key):
        self.packets.append(key)
        self.interrupts.raised |= 1 << MULTICAST | 1 << PACKET_READY
        self.run()

    def command(self, number, *arguments, data=b""):
        self.chip.post_command(self.number, number, arguments, data)
        self.interrupt(HOST)

    # -- devices

    def _comms_read(self, offset):
        if offset == 0x00:  # empty and not full
            return 0x90000000 | self.control & 0xFFFFFF
        if offset == 0x0C:
            return 0x80000000 if self.packets else 0
        if offset == 0x14 and self.packets:
            key = self.packets.pop(0)
            if not self.packets:
                self.interrupts.raised &= ~(1 << MULTICAST | 1 << PACKET_READY)
            return key
        return 0

    def _comms_write(self, offset, value):
        if offset == 0x00:
            self.control = value
        elif offset == 0x08:
            self.sent.append(value)

    def _timer_read(self, offset):
        if offset & 0x1F == 4:  # a count that moves
            self.reads += 1
            return (
                max(200000 - 20 * self.reads, 0) if offset < 0x20 else -40 * self.reads & 0xFFFFFFFF
            )
        return self.timer.get(offset, 0)

    def _timer_write(self, offset, value):
        if offset == 0x0C:
            self.interrupts.raised &= ~(1 << TIMER)
        self.timer[offset] = value

    def _dma_read(self, offset):
        return self.dma.get(offset, 0)

    def _dma_write(self, offset, value):
        if offset == 0x0C:  # starts a transfer; here it ends at once
            size, system, local = value & 0x7FFFF, self.dma[4], self.dma[8]
            if value >> 19 & 1:
                self.chip.write(system, self.uc.mem_read(local, size))
            else:
                self.uc.mem_write(local, self.chip.read(system, size))
            self.dma[0x14] |= 1 << 10
            self.interrupts.raised |= 1 << DMA_DONE
        elif offset == 0x10 and value & 8:
            self.dma[0x14] &= ~(1 << 10)
            self.interrupts.raised &= ~(1 << DMA_DONE)
        elif offset in (4, 8):
            self.dma[offset] = value

    def _system_read(self, offset):
        # Test-and-set (from 0x100) always finds the lock free: a core is never stopped inside.
        return self.flags if offset == 0x58 else 0

    def _system_write(self, offset, value):
        if offset == 0x0C and value >> self.number & 1:
            self.interrupts.raised &= ~(1 << HOST)
        elif offset == 0x08 and value & 1:
            self.chip.collect_replies()
        elif offset == 0x58:
            self.flags |= value
        elif offset == 0x5C:
            self.flags &= ~value


def _returns_from_exception(word):
    return word == 0xE25EF004 or (word & 0x0E508000 == 0x08508000 and word >> 28 == 0xE)
