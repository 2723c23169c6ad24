// Package smbios builds the System Management BIOS tables (DMTF DSP0134) that describe the machine to its guest. It is pure.
package smbios

import (
	"cmp"
	"encoding/binary"
	"fmt"
)

// System describes what the tables tell. Empty strings are left out of the structures.
type System struct {
	BIOS      BIOS
	HasBIOS   bool    // the user has said something about it
	Maker     Product // whose the baseboard is unless the user says so
	System    Product
	Baseboard *Product // nil: no such structure
	Chassis   Product
	UUID      [16]byte // in the order of its text form
	SKU       string
	Family    string
	CPU       Processor
	Sockets   int
	Memory    []Range // guest RAM
	RAMSize   uint64
	Module    Module
	Ports     []Port   // type 8
	OEM       []string // type 11
	Onboard   []Onboard
	LeaveBIOS bool     // a firmware adds its own identification
	Entry64   bool     // the entry point is that of version 3.0
	Loaded    [][]byte // structures of the user's, which replace those of the same type
}

// BIOS is the firmware's identification.
type BIOS struct {
	Vendor, Version, Date string
	Major, Minor          uint8
	UEFI                  bool
}

// Product is who made something and what it is.
type Product struct {
	Manufacturer, Product, Version, Serial, Asset string
	Location                                      string // of a baseboard
	SKU                                           string // of a chassis
}

// Processor describes each socket.
type Processor struct {
	Prefix                string // of the sockets' names, "CPU" if empty
	Manufacturer, Version string
	Serial, Asset, Part   string
	ID                    uint64 // CPUID.1: EDX and EAX
	Cores, Threads        int    // of a socket; threads count all
	MaxSpeed, Speed       uint16 // MHz; 0 is the usual speed
}

// Module describes the memory modules.
type Module struct {
	Prefix              string // of their names, "DIMM" if empty
	Bank                string
	Manufacturer        string // that of the chassis if empty
	Serial, Asset, Part string
	Speed               uint16
}

// Port is a connector.
type Port struct {
	Internal, External string
	Connector, Type    uint8
}

// Onboard is a device on the board.
type Onboard struct {
	Designation string
	Kind        uint8 // as the structure has it, without the bit of being enabled
	Instance    uint8
	PCI         string // identifier of the PCI device, "" for none
	DevFn       uint8  // its place, which is on bus 0
}

// Range is a range of guest memory.
type Range struct{ Addr, Size uint64 }

// Structure types and the handles they start at.
const (
	typeBIOS, typeSystem, typeBaseboard, typeChassis, typeProcessor = 0, 1, 2, 3, 4
	typePort, typeOEM, typeMemoryArray, typeMemoryDevice            = 8, 11, 16, 17
	typeArrayMap, typeBoot, typeOnboard, typeEnd                    = 19, 32, 41, 127

	handleBIOS, handleSystem, handleBaseboard, handleChassis = 0x0000, 0x0100, 0x0200, 0x0300
	handleProcessor, handleOEM, handleArray, handleDevice    = 0x0400, 0x0e00, 0x1000, 0x1100
	handleMap, handleBoot, handleOnboard, handleEnd          = 0x1300, 0x2000, 0x2900, 0x7f00
	noHandle                                                 = 0xfffe
	noCache                                                  = 0xffff
)

// maxDIMM is the largest module that memory is cut into.
const maxDIMM = 16 << 30

// record is a structure under construction.
type record struct {
	b       []byte
	strings []string
}

func begin(kind byte, handle uint16) *record {
	return &record{b: []byte{kind, 0, byte(handle), byte(handle >> 8)}}
}

// str appends a string's number, 0 for an empty one. Equal strings share a number.
func (r *record) str(s string) *record {
	if s == "" {
		return r.u8(0)
	}
	for i, have := range r.strings {
		if have == s {
			return r.u8(byte(i + 1))
		}
	}
	r.strings = append(r.strings, s)
	return r.u8(byte(len(r.strings)))
}

func (r *record) u8(v ...byte) *record { r.b = append(r.b, v...); return r }
func (r *record) u16(v uint16) *record { r.b = binary.LittleEndian.AppendUint16(r.b, v); return r }
func (r *record) u32(v uint32) *record { r.b = binary.LittleEndian.AppendUint32(r.b, v); return r }
func (r *record) u64(v uint64) *record { r.b = binary.LittleEndian.AppendUint64(r.b, v); return r }

// end sets the length and appends the strings.
func (r *record) end() []byte {
	r.b[1] = byte(len(r.b))
	for _, s := range r.strings {
		r.b = append(append(r.b, s...), 0)
	}
	if len(r.strings) == 0 {
		r.b = append(r.b, 0)
	}
	return append(r.b, 0)
}

// Tables is the structure table and what its entry point tells of it.
type Tables struct {
	Data    []byte
	Count   int
	Largest int

	replaced [256]bool // by type
}

func (t *Tables) add(r *record) {
	if !t.replaced[r.b[0]] {
		t.put(r.end())
	}
}

func (t *Tables) put(d []byte) {
	t.Data = append(t.Data, d...)
	t.Count++
	t.Largest = max(t.Largest, len(d))
}

// Build makes the structure table.
func Build(s *System) *Tables {
	t := new(Tables)
	for _, d := range s.Loaded {
		t.put(d)
		t.replaced[d[0]] = true
	}
	if !s.LeaveBIOS || s.HasBIOS {
		t.add(s.bios())
	}
	t.add(s.system())
	if s.Baseboard != nil {
		t.add(s.baseboard())
	}
	t.add(s.chassis())
	for i := range s.Sockets {
		t.add(s.processor(i))
	}
	for i, p := range s.Ports {
		t.add(begin(typePort, handleBIOS+uint16(i)).str(p.Internal).u8(0).str(p.External).u8(p.Connector, p.Type))
	}
	if len(s.OEM) > 0 {
		t.add(s.oem())
	}
	dimms := int((s.RAMSize + maxDIMM - 1) / maxDIMM)
	t.add(s.memoryArray(dimms))
	for i := range dimms {
		t.add(s.memoryDevice(i))
	}
	for i, r := range s.Memory {
		t.add(arrayMap(i, r))
	}
	t.add(begin(typeBoot, handleBoot).u8(0, 0, 0, 0, 0, 0).u8(0))
	for i, d := range s.Onboard {
		const enabled = 0x80
		t.add(begin(typeOnboard, handleOnboard+uint16(i)).str(d.Designation).u8(d.Kind|enabled, d.Instance).u16(0).u8(0, d.DevFn))
	}
	t.add(begin(typeEnd, handleEnd))
	return t
}

func (s *System) bios() *record {
	const (
		segment      = 0xe800
		notSupported = 1 << 3 // characteristics: none are given
		targeted     = 1 << 2 // extension: content distribution
		uefi         = 1 << 3
		virtual      = 1 << 4
	)
	extension := byte(targeted)
	if s.HasBIOS {
		extension |= virtual
	}
	if s.BIOS.UEFI {
		extension |= uefi
	}
	return begin(typeBIOS, handleBIOS).str(s.BIOS.Vendor).str(s.BIOS.Version).u16(segment).str(s.BIOS.Date).u8(0).
		u64(notSupported).u8(0, extension, s.BIOS.Major, s.BIOS.Minor, 0xff, 0xff)
}

func (s *System) system() *record {
	const wakePowerSwitch = 6
	r := begin(typeSystem, handleSystem).str(s.System.Manufacturer).str(s.System.Product).str(s.System.Version).str(s.System.Serial)
	u := s.UUID
	r.u8(u[3], u[2], u[1], u[0], u[5], u[4], u[7], u[6]).u8(u[8:]...) // the first three fields are little endian
	return r.u8(wakePowerSwitch).str(s.SKU).str(s.Family)
}

func (s *System) baseboard() *record {
	const hosting, motherboard = 1, 0x0a
	p := s.Baseboard
	return begin(typeBaseboard, handleBaseboard).str(p.Manufacturer).str(p.Product).str(p.Version).str(p.Serial).str(p.Asset).
		u8(hosting).str(p.Location).u16(handleChassis).u8(motherboard, 0)
}

func (s *System) chassis() *record {
	const other, safe, unknown = 1, 3, 2
	p := s.Chassis
	return begin(typeChassis, handleChassis).str(p.Manufacturer).u8(other).str(p.Version).str(p.Serial).str(p.Asset).
		u8(safe, safe, safe, unknown).u32(0).u8(0, 0, 0, 0).str(p.SKU)
}

func (s *System) processor(i int) *record {
	const central, other, enabled, multicore64 = 3, 1, 0x41, 0x02
	c := &s.CPU
	count := func(n int) byte { return byte(min(n, 255)) }
	r := begin(typeProcessor, handleProcessor+uint16(i)).str(fmt.Sprintf("%s%2x", cmp.Or(c.Prefix, "CPU"), i)).u8(central, other).str(c.Manufacturer).
		u64(c.ID).str(c.Version).u8(0).u16(0).u16(cmp.Or(c.MaxSpeed, usualSpeed)).u16(cmp.Or(c.Speed, usualSpeed)).u8(enabled, other).
		u16(noCache).u16(noCache).u16(noCache).str(c.Serial).str(c.Asset).str(c.Part).
		u8(count(c.Cores), count(c.Cores), count(c.Threads)).u16(multicore64).u16(other)
	if s.Entry64 {
		r.u16(uint16(c.Cores)).u16(uint16(c.Cores)).u16(uint16(c.Threads))
	}
	return r
}

// usualSpeed is that of a processor of which nothing is said, in MHz.
const usualSpeed = 2000

func (s *System) oem() *record {
	r := begin(typeOEM, handleOEM).u8(byte(len(s.OEM)))
	r.strings = s.OEM
	return r
}

func (s *System) memoryArray(dimms int) *record {
	const other, systemMemory, multiBitECC, inExtended = 1, 3, 6, 0x80000000
	r := begin(typeMemoryArray, handleArray).u8(other, systemMemory, multiBitECC)
	kib, ext := s.RAMSize>>10, uint64(0)
	if kib >= inExtended {
		kib, ext = inExtended, s.RAMSize
	}
	return r.u32(uint32(kib)).u16(noHandle).u16(uint16(dimms)).u64(ext)
}

func (s *System) memoryDevice(i int) *record {
	const unknown, dimm, ram, other, inExtended = 0xffff, 0x09, 0x07, 0x02, 0x7fff
	mib := min(s.RAMSize-uint64(i)*maxDIMM, maxDIMM) >> 20
	r := begin(typeMemoryDevice, handleDevice+uint16(i)).u16(handleArray).u16(noHandle).u16(unknown).u16(unknown)
	m := &s.Module
	return r.u16(uint16(mib)).u8(dimm, 0).str(fmt.Sprintf("%s %d", cmp.Or(m.Prefix, "DIMM"), i)).str(m.Bank).u8(ram).u16(other).u16(m.Speed).
		str(cmp.Or(m.Manufacturer, s.Chassis.Manufacturer)).str(m.Serial).str(m.Asset).str(m.Part).
		u8(0).u32(0).u16(m.Speed).u16(0).u16(0).u16(0)
}

func arrayMap(i int, m Range) *record {
	const inExtended = 0xffffffff
	first, last := m.Addr>>10, (m.Addr+m.Size-1)>>10
	r := begin(typeArrayMap, handleMap+uint16(i))
	if last < inExtended {
		return r.u32(uint32(first)).u32(uint32(last)).u16(handleArray).u8(1).u64(0).u64(0)
	}
	return r.u32(inExtended).u32(inExtended).u16(handleArray).u8(1).u64(m.Addr).u64(m.Addr + m.Size - 1)
}
