// Package fwcfg is QEMU's firmware configuration device (docs/specs/fw_cfg): numbered and named items that firmware and guest read through
// two I/O ports or by DMA.
package fwcfg

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"goemu/hw/qdev"
	"goemu/internal/memory"
	"goemu/migration/vmstate"
)

// Keys of items with fixed numbers.
const (
	KeySignature = 0x00
	KeyID        = 0x01
	KeyUUID      = 0x02
	KeyRAMSize   = 0x03
	KeyNographic = 0x04
	KeyCPUs      = 0x05

	// Of a kernel that firmware is to start.
	KeyKernelAddr  = 0x07
	KeyKernelSize  = 0x08
	KeyInitrdAddr  = 0x0a
	KeyInitrdSize  = 0x0b
	KeyKernelData  = 0x11
	KeyInitrdData  = 0x12
	KeyCmdlineAddr = 0x13
	KeyCmdlineSize = 0x14
	KeyCmdlineData = 0x15
	KeySetupAddr   = 0x16
	KeySetupSize   = 0x17
	KeySetupData   = 0x18

	KeyBootDevice = 0x0c
	KeyNUMA       = 0x0d
	KeyBootMenu   = 0x0e
	KeyMaxCPUs    = 0x0f
	KeyFileDir    = 0x19
	keyFileFirst  = 0x20
	archLocal     = 0x8000
	KeyIRQ0       = archLocal + 2
	KeyHPET       = archLocal + 4

	keyWriteChannel = 0x4000
	keyMask         = 0x3fff
	noEntry         = 0xffff
)

// Ports and sizes.
const (
	portSelect = 0x510
	portDMA    = 0x514
	portCount  = 2
	dmaSize    = 8
	nameSize   = 56 // with the terminating zero
	dirEntry   = 8 + nameSize
	version    = 1
	versionDMA = 2
)

// Bits of a DMA request's control field.
const (
	dmaError, dmaRead, dmaSkip, dmaSelect, dmaWrite = 1, 2, 4, 8, 16

	dmaRequest   = 16 // bytes of a request
	dmaSignature = 0x51454d5520434647
	dmaChunk     = 64 << 10 // bytes of zeroes written at a time
)

// file is a named item.
type file struct {
	name  string
	data  []byte
	hooks Hooks
}

// Hooks are what happens when the guest uses a named item.
type Hooks struct {
	// Writable items can be written by DMA; Written hears of it.
	Writable bool
	Written  func()
	// Selected hears that the item is about to be read or written; it may change the bytes.
	Selected func()
}

// FWCfg is the device type fw_cfg_io.
type FWCfg struct {
	qdev.Base
	DMA       bool   `prop:"dma_enabled,default=true"`
	FileSlots uint16 `prop:"x-file-slots,default=32"`
	Restore   bool   `prop:"acpi-mr-restore,default=true"`

	io      *memory.Region
	mem     *memory.AddressSpace
	entries map[uint16][]byte
	files   []file

	key     uint16
	offset  uint32
	dmaAddr uint64
	old     uint32    // offset in version 1 of the stream
	acpi    [3]uint64 // sizes of the tables, the linker script and the root pointer
}

// Class is the type fw_cfg_io.
var Class = qdev.Class{Name: "fw_cfg_io", Parents: []string{"fw_cfg"}, Bus: "System", Category: qdev.Other, Internal: true,
	New: func() qdev.Device { return new(FWCfg) }, State: qdev.State(&state)}

// New puts the device into the port space io; its DMA goes to mem.
func New(tree *qdev.Tree, io *memory.Region, mem *memory.AddressSpace) (*FWCfg, error) {
	d, err := tree.New(&Class)
	if err != nil {
		return nil, err
	}
	f := d.(*FWCfg)
	f.io, f.mem = io, mem
	return f, qdev.Realize(f, tree.Root())
}

// Realize implements qdev.Device.
func (f *FWCfg) Realize() error {
	f.entries = map[uint16][]byte{KeySignature: []byte("QEMU")}
	id := uint32(version)
	r := memory.NewIO("fwcfg", portCount, ports{f})
	r.Valid = memory.Access{Min: 1, Max: 2}
	r.Accepts = func(_ uint64, size int, write bool) bool { return size == 1 || write && size == 2 }
	f.io.Add(r, portSelect, 0)
	if f.DMA {
		id |= versionDMA
		d := memory.NewIO("fwcfg.dma", dmaSize, dmaPort{f})
		d.Valid = memory.Access{Min: 1, Max: 8}
		d.Impl = memory.Access{Min: 1, Max: 8}
		d.Accepts = func(off uint64, size int, write bool) bool {
			return !write || size == 4 && off&3 == 0 || size == 8 && off == 0
		}
		f.io.Add(d, portDMA, 0)
	}
	f.SetU32(KeyID, id)
	f.updateDirectory()
	f.Reset()
	return nil
}

// Reset implements qdev.Device.
func (f *FWCfg) Reset() { f.selectKey(0) }

// Set gives an item its bytes.
func (f *FWCfg) Set(key uint16, data []byte) { f.entries[key] = data }

// SetU16, SetU32 and SetU64 set an item to a number.
func (f *FWCfg) SetU16(key uint16, v uint16) { f.Set(key, binary.LittleEndian.AppendUint16(nil, v)) }

// SetU32 sets an item to a number.
func (f *FWCfg) SetU32(key uint16, v uint32) { f.Set(key, binary.LittleEndian.AppendUint32(nil, v)) }

// SetU64 sets an item to a number.
func (f *FWCfg) SetU64(key uint16, v uint64) { f.Set(key, binary.LittleEndian.AppendUint64(nil, v)) }

// AddFile adds a named item.
func (f *FWCfg) AddFile(name string, data []byte) error { return f.AddHooked(name, data, Hooks{}) }

// AddHooked adds a named item that does something. The bytes stay the caller's.
func (f *FWCfg) AddHooked(name string, data []byte, hooks Hooks) error {
	i, found := slices.BinarySearchFunc(f.files, name, func(x file, n string) int { return strings.Compare(x.name, n) })
	switch {
	case found:
		return fmt.Errorf("duplicate fw_cfg file name: %s", name)
	case len(name) >= nameSize:
		return fmt.Errorf("name too long (max. %d char)", nameSize-1)
	case len(f.files) >= int(f.FileSlots):
		return fmt.Errorf("too many fw_cfg files (max. %d)", f.FileSlots)
	}
	f.files = slices.Insert(f.files, i, file{name, data, hooks})
	f.updateDirectory()
	return nil
}

// Files calls f for each named item, in the order of the names.
func (f *FWCfg) Files(call func(name string, data []byte)) {
	for _, x := range f.files {
		call(x.name, x.data)
	}
}

// ReplaceFile gives a named item other bytes; it is added if there is none of that name.
func (f *FWCfg) ReplaceFile(name string, data []byte) error {
	i := slices.IndexFunc(f.files, func(x file) bool { return x.name == name })
	if i < 0 {
		return f.AddFile(name, data)
	}
	f.files[i].data = data
	f.updateDirectory()
	return nil
}

// updateDirectory rebuilds the list of named items; they are numbered in the order of their names.
func (f *FWCfg) updateDirectory() {
	be := binary.BigEndian
	dir := be.AppendUint32(nil, uint32(len(f.files)))
	for i, x := range f.files {
		key := uint16(keyFileFirst + i)
		f.entries[key] = x.data
		dir = be.AppendUint32(dir, uint32(len(x.data)))
		dir = be.AppendUint16(dir, key)
		dir = append(dir, 0, 0)
		dir = append(append(dir, x.name...), make([]byte, nameSize-len(x.name))...)
	}
	f.Set(KeyFileDir, dir)
}

// selectKey makes an item the current one.
func (f *FWCfg) selectKey(key uint16) bool {
	f.offset = 0
	if int(key&keyMask) >= keyFileFirst+int(f.FileSlots) {
		f.key = noEntry
		return false
	}
	f.key = key
	if x := f.named(); x != nil && x.hooks.Selected != nil {
		x.hooks.Selected()
	}
	return true
}

// named is the current item if it is a named one, nil otherwise.
func (f *FWCfg) named() *file {
	if i := int(f.key&keyMask) - keyFileFirst; f.key != noEntry && i >= 0 && i < len(f.files) {
		return &f.files[i]
	}
	return nil
}

// current returns what is left of the current item.
func (f *FWCfg) current() []byte {
	if f.key == noEntry {
		return nil
	}
	d := f.entries[f.key&^keyWriteChannel]
	if uint64(f.offset) >= uint64(len(d)) {
		return nil
	}
	return d[f.offset:]
}

// ports are the selector and the data register.
type ports struct{ f *FWCfg }

// Read implements memory.Ops: both ports give the next byte.
func (p ports) Read(uint64, int) uint64 {
	d := p.f.current()
	if len(d) == 0 {
		return 0
	}
	p.f.offset++
	return uint64(d[0])
}

// Write implements memory.Ops: a word selects an item; data cannot be written.
func (p ports) Write(_ uint64, size int, v uint64) {
	if size == 2 {
		p.f.selectKey(uint16(v))
	}
}

// dmaPort is the address register for DMA, big endian.
type dmaPort struct{ f *FWCfg }

// swap turns a number of size bytes around.
func swap(v uint64, size int) uint64 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	out := uint64(0)
	for _, c := range b[:size] {
		out = out<<8 | uint64(c)
	}
	return out
}

// Read implements memory.Ops: the register reads as a signature.
func (p dmaPort) Read(off uint64, size int) uint64 {
	if off+uint64(size) > dmaSize {
		return 0
	}
	v := uint64(dmaSignature) >> (8 * (dmaSize - off - uint64(size)))
	if size < dmaSize {
		v &= 1<<(8*size) - 1
	}
	return swap(v, size)
}

// Write implements memory.Ops: the low half starts the request.
func (p dmaPort) Write(off uint64, size int, v uint64) {
	v = swap(v, size)
	switch {
	case size == 8:
		p.f.dmaAddr = v
	case off == 0:
		p.f.dmaAddr = v << 32
		return
	default:
		p.f.dmaAddr |= v
	}
	p.f.transfer()
}

// transfer carries out the request at the DMA address.
func (f *FWCfg) transfer() {
	be := binary.BigEndian
	addr := f.dmaAddr
	f.dmaAddr = 0
	var req [dmaRequest]byte
	if f.mem.Read(addr, req[:]) != memory.OK {
		f.finish(addr, dmaError)
		return
	}
	control, length, target := be.Uint32(req[0:]), be.Uint32(req[4:]), be.Uint64(req[8:])
	if control&dmaSelect != 0 {
		f.selectKey(uint16(control >> 16))
	}
	status := uint32(0)
	switch {
	case control&dmaRead != 0:
		status = f.readTo(target, length)
	case control&dmaWrite != 0 && length != 0:
		status = f.writeFrom(target, length)
	case control&dmaSkip != 0:
		f.offset += uint32(min(uint64(length), uint64(len(f.current()))))
	}
	f.finish(addr, status)
}

// finish reports the end of a request.
func (f *FWCfg) finish(addr uint64, status uint32) {
	f.mem.Write(addr, binary.BigEndian.AppendUint32(nil, status))
}

// writeFrom takes bytes of the current item, which must be writable and have room for all of them, from guest memory.
func (f *FWCfg) writeFrom(addr uint64, length uint32) uint32 {
	d := f.current()
	n := min(uint64(length), uint64(len(d)))
	defer func() { f.offset += uint32(n) }()
	x := f.named()
	if x == nil || !x.hooks.Writable || uint64(length) > n || f.mem.Read(addr, d[:n]) != memory.OK {
		return dmaError
	}
	if x.hooks.Written != nil {
		x.hooks.Written()
	}
	return 0
}

// readTo copies the current item to guest memory, followed by zeroes.
func (f *FWCfg) readTo(addr uint64, length uint32) uint32 {
	d := f.current()
	d = d[:min(uint64(length), uint64(len(d)))]
	if len(d) > 0 && f.mem.Write(addr, d) != memory.OK {
		return dmaError
	}
	f.offset += uint32(len(d))
	addr += uint64(len(d))
	zeroes := make([]byte, min(uint64(length)-uint64(len(d)), dmaChunk))
	for left := uint64(length) - uint64(len(d)); left > 0; {
		n := min(left, uint64(len(zeroes)))
		if f.mem.Write(addr, zeroes[:n]) != memory.OK {
			return dmaError
		}
		addr += n
		left -= n
	}
	return 0
}

var state = vmstate.Description[FWCfg]{Name: "fw_cfg", Version: 2, MinVersion: 1,
	PostLoad: func(f *FWCfg, v int) error {
		if v == 1 {
			f.offset = f.old
		}
		return nil
	},
	Fields: []vmstate.Field[FWCfg]{
		vmstate.Of("cur_entry", func(f *FWCfg) *uint16 { return &f.key }),
		vmstate.Of("cur_offset", func(f *FWCfg) *uint32 { return &f.old }).When(func(*FWCfg) bool { return false }),
		vmstate.Of("cur_offset", func(f *FWCfg) *uint32 { return &f.offset }).Since(2),
	},
	Subsections: []*vmstate.Description[FWCfg]{
		{Name: "fw_cfg/dma", Needed: func(f *FWCfg) bool { return f.DMA },
			Fields: []vmstate.Field[FWCfg]{vmstate.Of("dma_addr", func(f *FWCfg) *uint64 { return &f.dmaAddr })}},
		{Name: "fw_cfg/acpi_mr", Version: 1, MinVersion: 1, Needed: func(f *FWCfg) bool { return f.Restore && (f.acpi[0]|f.acpi[1]|f.acpi[2])%4096 != 0 },
			Fields: []vmstate.Field[FWCfg]{
				vmstate.Of("table_mr_size", func(f *FWCfg) *uint64 { return &f.acpi[0] }),
				vmstate.Of("linker_mr_size", func(f *FWCfg) *uint64 { return &f.acpi[1] }),
				vmstate.Of("rsdp_mr_size", func(f *FWCfg) *uint64 { return &f.acpi[2] }),
			}},
	},
}
