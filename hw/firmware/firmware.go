// Package firmware does what a PC's firmware leaves behind for a kernel that is booted directly: the memory map, the ACPI, SMBIOS and
// MP tables in their places, the BIOS data area, and the settings of the chipset and of the processors' memory types. It is pure:
// the machine puts the segments into memory and makes the settings at every reset.
package firmware

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"goemu/hw/firmware/acpi"
	"goemu/hw/firmware/loader"
	"goemu/hw/firmware/mptable"
	"goemu/hw/firmware/smbios"
)

// Machine describes the machine.
type Machine struct {
	Below4G, Above4G uint64 // bytes of RAM below and from 4 GiB
	ROMSize          uint64 // of the firmware's flash below 4 GiB, which the memory map reserves even if nothing is in it
	LowTables        bool   // put the ACPI tables below 1 MiB instead of at the top of low memory (microvm)
	AMDHole          bool   // reserve the HyperTransport range below 1 TiB (AMD processors with 40 bits of address or more)
	PhysBits         int    // width of physical addresses
	ACPI             *acpi.Machine
	SMBIOS           *smbios.System
	MP               *mptable.Machine
	SerialPorts      []uint16 // for the BIOS data area
	PCIHole          uint64   // where memory for PCI devices begins below 4 GiB, 0 for the place that goes with the RAM
	Reserved         []loader.E820
	TextScreen       bool // there is a VGA adapter: StartTextMode is called
}

// Setup is what to do to the machine at reset.
type Setup struct {
	E820     []loader.E820
	Segments []loader.Segment
	RSDP     uint64 // address of the ACPI root pointer, 0 for none
	MSRs     []MSR  // for every processor
	Waking   uint64 // address of the ACPI waking vector, 0 for none
	// Generation is the address of the generation identifier, 0 for none.
	Generation uint64
}

// MSR is a model-specific register and its value.
type MSR struct {
	Index uint32
	Value uint64
}

// Addresses below 1 MiB.
const (
	bdaAddr      = 0x400
	ebdaAddr     = 0x9fc00
	ebdaSize     = 0x400
	biosAddr     = 0xf0000
	biosEnd      = 0x100000
	lowTables    = 0xe0000 // ACPI tables of a machine without room at the top of low memory
	lowTablesRAM = 0xd0000 // reserved from here on
	highMem      = 0x100000
	fourGiB      = 1 << 32

	// anchorAddr is where the pointers lie that a kernel searches for: multiples of 16 in the BIOS area.
	anchorAddr = 0xf5900
	anchorStep = 16

	tablesSize  = 0x20000 // kept at the top of low memory
	tablesSlack = 0x10000

	htStart = 0xfd00000000 // AMD HyperTransport
	htSize  = 0x0300000000
)

// Build makes the setup of m.
func Build(m *Machine) (*Setup, error) {
	if m.Below4G < 2<<20 {
		return nil, errors.New("a direct boot needs at least 2 MiB of memory")
	}
	s := new(Setup)
	reserve := uint64(0)
	if m.ACPI != nil {
		var err error
		if reserve, err = s.addACPI(m); err != nil {
			return nil, err
		}
	}
	next := uint64(anchorAddr)
	anchor := func(name string, data []byte) uint64 {
		at := next
		s.add(name, at, data)
		next = (next + uint64(len(data)) + anchorStep - 1) &^ (anchorStep - 1)
		return at
	}
	if s.RSDP != 0 {
		s.RSDP = anchor("RSDP", m.ACPI.RSDP(s.acpi(m, reserve)))
	}
	if m.SMBIOS != nil {
		t := smbios.Build(m.SMBIOS)
		data := next + 2*anchorStep
		if len(t.Data) > handlersAddr-int(data)-tablesSlack/2 {
			return nil, errors.New("the SMBIOS tables are too large")
		}
		entry := t.Entry32(uint32(data))
		if m.SMBIOS.Entry64 {
			entry = t.Entry64(data)
		}
		anchor("SMBIOS entry point", entry)
		next = data
		anchor("SMBIOS tables", t.Data)
	}
	if m.MP != nil {
		t := mptable.Build(m.MP)
		if len(t) > handlersAddr-int(next)-anchorStep {
			return nil, errors.New("the MP table is too large")
		}
		anchor("MP pointer", mptable.Floating(uint32(next+anchorStep)))
		anchor("MP table", t)
	}
	s.addBDA(m)
	s.addVectors()
	s.E820 = memoryMap(m, reserve)
	s.MSRs = memoryTypes(m)
	return s, nil
}

func (s *Setup) add(name string, addr uint64, data []byte) {
	s.Segments = append(s.Segments, loader.Segment{Name: name, Addr: addr, Data: data, Size: uint64(len(data))})
}

// addACPI places the tables and returns how much of the top of low memory they take.
func (s *Setup) addACPI(m *Machine) (reserve uint64, err error) {
	reserve = tablesSize
	if m.LowTables {
		reserve = 0
	}
	b := s.acpi(m, reserve)
	size := uint64(len(b.Data))
	switch {
	case m.LowTables && size > biosAddr-lowTables:
		return 0, fmt.Errorf("the ACPI tables are too large: %d bytes", size)
	case !m.LowTables && size > reserve:
		reserve = (size + 0xfff) &^ 0xfff
		b = s.acpi(m, reserve)
	}
	s.add("ACPI tables", b.Addr, b.Data)
	s.RSDP = anchorAddr
	if b.FACS != 0 {
		s.Waking = b.FACS + acpi.WakingVector
	}
	return reserve, nil
}

// acpi builds the tables for their place.
func (s *Setup) acpi(m *Machine, reserve uint64) *acpi.Blob {
	at := uint64(lowTables)
	if !m.LowTables {
		at = m.Below4G - reserve
	}
	b := acpi.Build(m.ACPI, at)
	if m.ACPI.Generation != nil {
		s.Generation = m.ACPI.PlaceGeneration(b)
	}
	return b
}

// Offsets in the BIOS data area.
const (
	bdaCOM, bdaEBDA, bdaEquipment, bdaMemory = 0x00, 0x0e, 0x10, 0x13
	bdaKeyHead, bdaKeyTail                   = 0x1a, 0x1c
	bdaCOMTimeouts, bdaKeyStart, bdaKeyEnd   = 0x7c, 0x80, 0x82
	bdaKeyFlags3                             = 0x96
	bdaVideoMode, bdaColumns, bdaPageSize    = 0x49, 0x4a, 0x4c
	bdaCursorShape, bdaCRTPort               = 0x60, 0x63
	bdaRows, bdaGlyphLines                   = 0x84, 0x85
	bdaSize                                  = 0x100

	equipFPU, equipMouse = 0x02, 0x04
	keyBufferStart       = 0x1e
	keyBufferEnd         = 0x3e
	enhancedKeyboard     = 0x10
	comTimeout           = 0x0a
)

// addBDA writes the BIOS data area and the start of the extended one.
func (s *Setup) addBDA(m *Machine) {
	le := binary.LittleEndian
	b := make([]byte, bdaSize)
	n := min(len(m.SerialPorts), 4)
	for i, p := range m.SerialPorts[:n] {
		le.PutUint16(b[bdaCOM+2*i:], p)
		b[bdaCOMTimeouts+i] = comTimeout
	}
	le.PutUint16(b[bdaEBDA:], ebdaAddr>>4)
	le.PutUint16(b[bdaEquipment:], uint16(equipFPU|equipMouse|n<<9))
	le.PutUint16(b[bdaMemory:], ebdaAddr>>10)
	for off, v := range map[int]uint16{bdaKeyHead: keyBufferStart, bdaKeyTail: keyBufferStart, bdaKeyStart: keyBufferStart, bdaKeyEnd: keyBufferEnd} {
		le.PutUint16(b[off:], v)
	}
	b[bdaKeyFlags3] = enhancedKeyboard
	if m.TextScreen {
		b[bdaVideoMode], b[bdaRows] = TextMode, TextLines-1
		for off, v := range map[int]uint16{bdaColumns: TextColumns, bdaPageSize: 0x1000, bdaCursorShape: 0x0d0e, bdaCRTPort: vgaCRT, bdaGlyphLines: GlyphLines} {
			le.PutUint16(b[off:], v)
		}
	}
	s.add("BIOS data area", bdaAddr, b)
	s.add("EBDA", ebdaAddr, []byte{ebdaSize >> 10})
}

// memoryMap is what INT 15h, AX=E820h tells.
func memoryMap(m *Machine, reserve uint64) []loader.E820 {
	e := []loader.E820{
		{Addr: 0, Size: ebdaAddr, Type: loader.RAMUsable},
		{Addr: ebdaAddr, Size: ebdaSize, Type: loader.RAMReserved},
	}
	if m.LowTables && m.ACPI != nil {
		e = append(e, loader.E820{Addr: lowTablesRAM, Size: biosAddr - lowTablesRAM, Type: loader.RAMNVS})
	}
	e = append(e, loader.E820{Addr: biosAddr, Size: biosEnd - biosAddr, Type: loader.RAMReserved},
		loader.E820{Addr: highMem, Size: m.Below4G - reserve - highMem, Type: loader.RAMUsable})
	if reserve != 0 {
		e = append(e, loader.E820{Addr: m.Below4G - reserve, Size: reserve, Type: loader.RAMReserved})
	}
	if m.ROMSize != 0 {
		e = append(e, loader.E820{Addr: fourGiB - m.ROMSize, Size: m.ROMSize, Type: loader.RAMReserved})
	}
	if m.Above4G != 0 {
		e = append(e, loader.E820{Addr: fourGiB, Size: m.Above4G, Type: loader.RAMUsable})
	}
	if m.AMDHole {
		e = append(e, loader.E820{Addr: htStart, Size: htSize, Type: loader.RAMReserved})
	}
	e = append(e, m.Reserved...)
	slices.SortStableFunc(e, func(a, b loader.E820) int { return cmp.Compare(a.Addr, b.Addr) })
	return e
}

// Files are the named items by which a real firmware learns of the machine, without the ACPI tables.
func Files(m *Machine) map[string][]byte {
	le := binary.LittleEndian
	var e []byte
	entry := func(addr, size uint64, t loader.RAMType) {
		e = le.AppendUint64(e, addr)
		e = le.AppendUint64(e, size)
		e = le.AppendUint32(e, uint32(t))
	}
	if m.AMDHole {
		entry(htStart, htSize, loader.RAMReserved)
	}
	entry(0, m.Below4G, loader.RAMUsable)
	if m.Above4G != 0 {
		entry(fourGiB, m.Above4G, loader.RAMUsable)
	}
	files := map[string][]byte{"etc/e820": e}
	if m.SMBIOS != nil {
		s := *m.SMBIOS
		s.LeaveBIOS = true
		t := smbios.Build(&s)
		files["etc/smbios/smbios-anchor"], files["etc/smbios/smbios-tables"] = t.Entry(s.Entry64), t.Data
	}
	return files
}
