// Package mptable builds the tables of the Intel MultiProcessor Specification 1.4, for guests that do not use ACPI. It is pure.
package mptable

import (
	"encoding/binary"
	"slices"
)

// Machine describes what the tables tell.
type Machine struct {
	APICIDs    []uint8 // of the processors, the boot processor first
	Signature  uint32  // CPUID.1 EAX and EDX
	Features   uint32
	IOAPICID   uint8
	IOAPICAddr uint32
	LocalAPIC  uint32
	PCI        bool
	LevelISA   []uint8 // ISA interrupts that belong to PCI and have no entry of their own
	// Route is the interrupt of a PCI function's pin (0..3).
	Route func(devfn uint8, pin int) uint8
}

// Entry types and their sizes.
const (
	entryProcessor, entryBus, entryIOAPIC, entryInterrupt, entryLocal = 0, 1, 2, 3, 4

	headerSize   = 44
	FloatingSize = 16
	specRev      = 4
	apicVersion  = 0x14
	ioVersion    = 0x11

	cpuEnabled, cpuBoot  = 1, 2
	busPCI, busISA       = 0, 1
	intINT, intNMI       = 0, 1
	intExtINT            = 3
	activeHigh           = 0x01
	pciSlots, pciPins    = 32, 4
	allAPICs             = 0xff
	timerPin, cascadeIRQ = 2, 2
)

// Build returns the configuration table.
func Build(m *Machine) []byte {
	le := binary.LittleEndian
	b := make([]byte, headerSize)
	count := 0
	add := func(e ...byte) { b = append(b, e...); count++ }
	for i, id := range m.APICIDs {
		flags := byte(cpuEnabled)
		if i == 0 {
			flags |= cpuBoot
		}
		add(entryProcessor, id, apicVersion, flags)
		b = le.AppendUint32(b, m.Signature)
		b = le.AppendUint32(b, m.Features)
		b = append(b, make([]byte, 8)...)
	}
	isa := byte(busISA)
	if m.PCI {
		add(append([]byte{entryBus, busPCI}, "PCI   "...)...)
	} else {
		isa = 0
	}
	add(append([]byte{entryBus, isa}, "ISA   "...)...)
	add(entryIOAPIC, m.IOAPICID, ioVersion, 1)
	b = le.AppendUint32(b, m.IOAPICAddr)
	if m.PCI && m.Route != nil {
		for slot := byte(1); slot < pciSlots; slot++ {
			for pin := range byte(pciPins) {
				add(entryInterrupt, intINT, activeHigh, 0, busPCI, slot<<2|pin, m.IOAPICID, m.Route(slot<<3, int(pin)))
			}
		}
	}
	for irq := byte(0); irq < 16; irq++ {
		pin := irq
		if irq == 0 {
			pin = timerPin
		}
		if irq != cascadeIRQ && !slices.Contains(m.LevelISA, irq) {
			add(entryInterrupt, intINT, 0, 0, isa, irq, m.IOAPICID, pin)
		}
	}
	add(entryLocal, intExtINT, 0, 0, isa, 0, 0, 0)
	add(entryLocal, intNMI, 0, 0, isa, 0, allAPICs, 1)
	copy(b, "PCMP")
	le.PutUint16(b[4:], uint16(len(b)))
	b[6] = specRev
	copy(b[8:], "BOCHSCPU0.1         ")
	le.PutUint16(b[34:], uint16(count))
	le.PutUint32(b[36:], m.LocalAPIC)
	b[7] = checksum(b)
	return b
}

// Floating returns the pointer structure to a table at addr; it lies on a 16-byte boundary in the first KiB of the EBDA or in the BIOS.
func Floating(addr uint32) []byte {
	b := make([]byte, FloatingSize)
	copy(b, "_MP_")
	binary.LittleEndian.PutUint32(b[4:], addr)
	b[8], b[9] = 1, specRev
	b[10] = checksum(b)
	return b
}

func checksum(b []byte) byte {
	s := byte(0)
	for _, c := range b {
		s += c
	}
	return -s
}
