package acpi

import "encoding/binary"

// Blob is the tables placed at an address.
type Blob struct {
	Addr uint64
	Data []byte
	Root uint64 // address of the RSDT, or the XSDT of a hardware-reduced machine
	XSDT bool
	FACS uint64 // address of the firmware ACPI control structure, 0 for none
	// Tables are the tables that have a checksum, and Pointers the addresses of tables inside the data: what has to be redone when the
	// data moves.
	Tables   []Extent
	Pointers []Extent
	// Generation is the table with the address of the generation identifier, empty if there is none.
	Generation Extent
}

// Extent is a piece of a blob's data.
type Extent struct{ Offset, Size uint32 }

// tableAlign is the alignment of every table; the FACS needs it.
const tableAlign = 64

// Build lays out all tables except the root pointer from base on.
func Build(m *Machine, base uint64) *Blob {
	b := &Blob{Addr: base}
	put := func(t []byte, align int) uint64 {
		for len(b.Data)%align != 0 {
			b.Data = append(b.Data, 0)
		}
		at := base + uint64(len(b.Data))
		b.Data = append(b.Data, t...)
		return at
	}
	table := func(t []byte, align int) uint64 {
		at := put(t, align)
		b.Tables = append(b.Tables, Extent{uint32(at - base), uint32(len(t))})
		return at
	}
	pointer := func(table uint64, offset, size uint32) {
		b.Pointers = append(b.Pointers, Extent{uint32(table-base) + offset, size})
	}
	facsAddr := uint64(0)
	if m.PM != nil {
		facsAddr = put(facs(), tableAlign)
		b.FACS = facsAddr
	}
	dsdtAddr := table(m.dsdt(), tableAlign)
	fadtAddr := table(m.slicOEM(m.fadt(facsAddr, dsdtAddr)), 1)
	if m.PM != nil {
		pointer(fadtAddr, fadtFACS, 4)
	}
	pointer(fadtAddr, fadtDSDT, 4)
	if m.PM == nil || m.PM.ICH9 {
		pointer(fadtAddr, fadtXDSDT, 8)
	}
	list := []uint64{fadtAddr, table(m.madt(), 1)}
	if m.Generation != nil {
		list = append(list, table(m.generation(), 1))
		b.Generation = b.Tables[len(b.Tables)-1]
	}
	if m.HPET {
		list = append(list, table(m.hpet(), 1))
	}
	if len(m.Nodes) > 0 {
		list = append(list, table(m.srat(), 1))
		if m.distances() {
			list = append(list, table(m.slit(), 1))
		}
		if m.HMAT != nil {
			list = append(list, table(m.hmat(), 1))
		}
	}
	if m.MCFG != nil {
		list = append(list, table(m.mcfg(), 1))
	}
	if m.PM != nil {
		list = append(list, table(m.waet(), 1))
	}
	if m.PM != nil { // a hardware-reduced machine has no place for them
		for _, t := range m.User {
			list = append(list, put(t, 1))
		}
	}
	b.XSDT = m.PM == nil
	b.Root = table(m.slicOEM(m.root(list, b.XSDT)), 1)
	size := uint32(4)
	if b.XSDT {
		size = 8
	}
	for i := range list {
		pointer(b.Root, headerSize+uint32(i)*size, size)
	}
	return b
}

// root is the table of tables.
func (m *Machine) root(list []uint64, wide bool) []byte {
	var body []byte
	for _, a := range list {
		if wide {
			body = binary.LittleEndian.AppendUint64(body, a)
		} else {
			body = binary.LittleEndian.AppendUint32(body, uint32(a))
		}
	}
	if wide {
		return m.table("XSDT", 1, body)
	}
	return m.table("RSDT", 1, body)
}

// Root pointer layouts (ACPI 5.2.5.3): revision 0 is 20 bytes, revision 2 has the XSDT and is 36.
const (
	rsdpSizeV0, rsdpSizeV2 = 20, 36
	rsdpChecksum           = 8
	rsdpExtChecksum        = 32
)

// RSDP builds the root pointer, to be placed on a 16-byte boundary.
func (m *Machine) RSDP(b *Blob) []byte {
	le := binary.LittleEndian
	p := make([]byte, rsdpSizeV2)
	copy(p, "RSD PTR ")
	copy(p[9:], pad(m.OEMID, defaultOEMID, 6))
	if !b.XSDT {
		le.PutUint32(p[16:], uint32(b.Root))
		setChecksum(p[:rsdpSizeV0], rsdpChecksum)
		return p[:rsdpSizeV0]
	}
	p[15] = 2
	le.PutUint32(p[20:], rsdpSizeV2)
	le.PutUint64(p[24:], b.Root)
	setChecksum(p[:rsdpSizeV0], rsdpChecksum)
	setChecksum(p, rsdpExtChecksum)
	return p
}
