package acpi

import "encoding/binary"

// Names of the files that firmware reads tables from.
const (
	FileRSDP   = "etc/acpi/rsdp"
	FileTables = "etc/acpi/tables"
	FileLoader = "etc/table-loader"
	// FileGeneration is the page with the generation identifier, FileGenerationAddress what firmware writes its address to (QEMU's
	// docs/specs/vmgenid.txt).
	FileGeneration, FileGenerationAddress = "etc/vmgenid_guid", "etc/vmgenid_addr"
)

// Commands of the table loader: each is 128 bytes, a number and its arguments (QEMU's bios-linker-loader interface).
const (
	loaderCommand                                              = 128
	loaderName                                                 = 56
	loaderAllocate, loaderAddPointer, loaderAddChecksum        = 1, 2, 3
	loaderWritePointer                                         = 4
	zoneHigh, zoneFSeg                                         = 1, 2
	allocateAlign, allocateZone                                = 4 + loaderName, 4 + loaderName + 4
	pointerSource, pointerOffset, pointerSize                  = 4 + loaderName, 4 + 2*loaderName, 4 + 2*loaderName + 4
	writeSource, writeSize                                     = 4 + 2*loaderName + 4, 4 + 2*loaderName + 8
	checksumOffset, checksumStart, checksumLength              = 4 + loaderName, 4 + loaderName + 4, 4 + loaderName + 8
	rsdpAlign                                           uint32 = 16
)

// Loader returns the script by which firmware places the tables of b, built for address 0, and their root pointer.
func (m *Machine) Loader(b *Blob) []byte {
	le := binary.LittleEndian
	var out []byte
	add := func(kind uint32, name string, fill func(c []byte)) {
		c := make([]byte, loaderCommand)
		le.PutUint32(c, kind)
		copy(c[4:4+loaderName-1], name)
		fill(c)
		out = append(out, c...)
	}
	allocate := func(name string, align uint32, zone byte) {
		add(loaderAllocate, name, func(c []byte) {
			le.PutUint32(c[allocateAlign:], align)
			c[allocateZone] = zone
		})
	}
	pointer := func(name, source string, e Extent) {
		add(loaderAddPointer, name, func(c []byte) {
			copy(c[pointerSource:], source)
			le.PutUint32(c[pointerOffset:], e.Offset)
			c[pointerSize] = byte(e.Size)
		})
	}
	checksum := func(name string, e Extent, at uint32) {
		add(loaderAddChecksum, name, func(c []byte) {
			le.PutUint32(c[checksumOffset:], e.Offset+at)
			le.PutUint32(c[checksumStart:], e.Offset)
			le.PutUint32(c[checksumLength:], e.Size)
		})
	}
	allocate(FileRSDP, rsdpAlign, zoneFSeg)
	allocate(FileTables, tableAlign, zoneHigh)
	for _, p := range b.Pointers {
		pointer(FileTables, FileTables, p)
	}
	if m.Generation != nil {
		allocate(FileGeneration, generationPage, zoneHigh)
		add(loaderWritePointer, FileGenerationAddress, func(c []byte) {
			copy(c[pointerSource:], FileGeneration)
			le.PutUint32(c[writeSource:], generationOffset)
			c[writeSize] = 8
		})
		pointer(FileTables, FileGeneration, Extent{b.Generation.Offset + headerSize + generationAddress, 4})
	}
	for _, t := range b.Tables {
		checksum(FileTables, t, headerChecksum)
	}
	if b.XSDT {
		pointer(FileRSDP, FileTables, Extent{24, 8})
		checksum(FileRSDP, Extent{0, rsdpSizeV0}, rsdpChecksum)
		checksum(FileRSDP, Extent{0, rsdpSizeV2}, rsdpExtChecksum)
		return out
	}
	pointer(FileRSDP, FileTables, Extent{16, 4})
	checksum(FileRSDP, Extent{0, rsdpSizeV0}, rsdpChecksum)
	return out
}

// Sizes that the files are rounded up to: room for tables that grow when firmware has set the machine up.
const (
	tablesRound = 0x20000
	loaderRound = 0x1000
)

// Files are the tables for a firmware that places them itself. Their checksums are zero: OVMF sums a table up as it finds it and puts the result
// in the checksum's place.
func Files(m *Machine) map[string][]byte {
	b := Build(m, 0)
	rsdp := m.RSDP(b)
	for _, t := range b.Tables {
		b.Data[t.Offset+headerChecksum] = 0
	}
	rsdp[rsdpChecksum] = 0
	if b.XSDT {
		rsdp[rsdpExtChecksum] = 0
	}
	return map[string][]byte{FileTables: roundUp(b.Data, tablesRound), FileRSDP: rsdp, FileLoader: roundUp(m.Loader(b), loaderRound)}
}

// roundUp appends zeroes up to a multiple of n bytes.
func roundUp(b []byte, n int) []byte { return append(b, make([]byte, (n-len(b)%n)%n)...) }
