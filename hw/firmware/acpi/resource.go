package acpi

import "encoding/binary"

// Resource descriptors (ACPI 6.4).
const (
	resIRQNoFlags = 0x22 // small, length 2
	resDMA        = 0x2a // small, length 2
	resIO         = 0x47 // small, length 7
	resEndTag     = 0x79 // small, length 1
	resMemory32   = 0x86
	resDWordSpace = 0x87
	resWordSpace  = 0x88
	resExtIRQ     = 0x89
	resQWordSpace = 0x8a

	ioDecode16 = 1

	spaceTypeMemory = 0
	spaceTypeIO     = 1
	spaceTypeBus    = 2
	fixedMinMax     = 0x0c // _MIF and _MAF
	memReadWrite    = 0x01
	memCacheable    = 0x02
	ioEntireRange   = 0x03

	irqConsumer, irqEdge, irqShared = 0x01, 0x02, 0x08
	extIRQNumber                    = 5 // offset of the first interrupt number in an extended interrupt descriptor
)

// resources is a ResourceTemplate.
func resources(items ...[]byte) []byte {
	return buffer(cat(cat(items...), []byte{resEndTag, 0}))
}

func ioPorts(base uint16, align, length byte) []byte {
	le := binary.LittleEndian
	b := le.AppendUint16([]byte{resIO, ioDecode16}, base)
	b = le.AppendUint16(b, base)
	return append(b, align, length)
}

func irqNoFlags(n int) []byte {
	return binary.LittleEndian.AppendUint16([]byte{resIRQNoFlags}, 1<<n)
}

func dmaChannel(n, flags byte) []byte { return []byte{resDMA, 1 << n, flags} }

// interrupts is an extended interrupt descriptor for a consumer, active high.
func interrupts(flags byte, list ...uint32) []byte {
	b := []byte{resExtIRQ, 0, 0, irqConsumer | flags, byte(len(list))}
	for _, n := range list {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	binary.LittleEndian.PutUint16(b[1:], uint16(len(b)-3))
	return b
}

func memory32(writable bool, base, length uint32) []byte {
	b := []byte{resMemory32, 9, 0, 0}
	if writable {
		b[3] = 1
	}
	b = binary.LittleEndian.AppendUint32(b, base)
	return binary.LittleEndian.AppendUint32(b, length)
}

func wordSpace(kind, typeFlags byte, lo, hi uint16) []byte {
	le := binary.LittleEndian
	b := []byte{resWordSpace, 13, 0, kind, fixedMinMax, typeFlags}
	for _, v := range []uint16{0, lo, hi, 0, hi - lo + 1} {
		b = le.AppendUint16(b, v)
	}
	return b
}

func dwordMemory(typeFlags byte, lo, hi uint32) []byte {
	le := binary.LittleEndian
	b := []byte{resDWordSpace, 23, 0, spaceTypeMemory, fixedMinMax, typeFlags}
	for _, v := range []uint32{0, lo, hi, 0, hi - lo + 1} {
		b = le.AppendUint32(b, v)
	}
	return b
}

func qwordMemory(typeFlags byte, lo, hi uint64) []byte {
	le := binary.LittleEndian
	b := []byte{resQWordSpace, 43, 0, spaceTypeMemory, fixedMinMax, typeFlags}
	for _, v := range []uint64{0, lo, hi, 0, hi - lo + 1} {
		b = le.AppendUint64(b, v)
	}
	return b
}
