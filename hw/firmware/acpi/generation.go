package acpi

import "encoding/binary"

// Where the generation identifier is in its page (QEMU's docs/specs/vmgenid.txt): firmware that looks for tables finds none before it.
const (
	generationPage   = 4096
	generationOffset = 40

	generationTable   = "VMGENID\x00" // OEM table identifier
	generationAddress = 6             // offset of the value of VGIA in the table's body
	notifyGeneration  = 0x80
)

// generation is the table that tells where the generation identifier is: VGIA, which firmware fills in, is the address of its page.
func (m *Machine) generation() []byte {
	addr := local(0)
	body := cat([]byte{opName}, path("VGIA"), []byte{opDWordPrefix, 0, 0, 0, 0},
		scope("\\_SB", device("VGEN",
			name("_HID", str("QEMUVGID")),
			name("_CID", str("VM_Gen_Counter")),
			name("_DDN", str("VM_Gen_Counter")),
			method("_STA", 0, notSerialized,
				store(num(staPresent), addr),
				ifThen(compare(opLEqual, path("VGIA"), num(0)), store(num(0), addr)),
				ret(addr)),
			method("ADDR", 0, notSerialized,
				store(emptyPackage(2), addr),
				store(operator(opAdd, path("VGIA"), num(generationOffset), nil), index(addr, num(0))),
				store(num(0), index(addr, num(1))),
				ret(addr)))),
		method("\\_GPE._E05", 0, notSerialized, notify(path("\\_SB.VGEN"), num(notifyGeneration))))
	return (&Machine{OEMID: m.OEMID, OEMTableID: generationTable}).table("SSDT", 1, body)
}

// GenerationPage is the page with the identifier.
func (m *Machine) GenerationPage() []byte {
	b := make([]byte, generationPage)
	copy(b[generationOffset:], m.Generation[:])
	return b
}

// PlaceGeneration appends the page to the tables, for a machine without a firmware that would do it. It returns the address of the
// identifier.
func (m *Machine) PlaceGeneration(b *Blob) uint64 {
	for (b.Addr+uint64(len(b.Data)))%generationPage != 0 {
		b.Data = append(b.Data, 0)
	}
	at := b.Addr + uint64(len(b.Data))
	b.Data = append(b.Data, m.GenerationPage()...)
	t := b.Data[b.Generation.Offset : b.Generation.Offset+b.Generation.Size]
	binary.LittleEndian.PutUint32(t[headerSize+generationAddress:], uint32(at))
	setChecksum(t, headerChecksum)
	return at + generationOffset
}
