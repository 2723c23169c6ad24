package misc

import (
	"encoding/binary"

	"goemu/hw/isa"
	"goemu/hw/qdev"
	"goemu/internal/memory"
)

// Ports and memory of the test device.
const (
	testPorts     = 0xe0 // a register of 4 bytes
	testFlush     = 0xe4 // a page of guest memory is unmapped and mapped again behind the guest's back
	testBytePorts = 0xe8 // the same register, accessed in bytes
	testIRQ       = 0x2000
	testLines     = 24
	testMemory    = 0xff000000
	testMemSize   = 0x10000
)

// Testdev is the device type pc-testdev: registers and interrupt lines for programs that test the emulator.
type Testdev struct {
	isa.Device
	reg [4]byte
	mem [testMemSize]byte
	io  *memory.Region
}

var testdevClass = qdev.Class{Name: "pc-testdev", Bus: isa.BusType, Category: qdev.Misc, New: func() qdev.Device { return new(Testdev) }}

// The regions of the device.
type (
	testRegister struct{ d *Testdev }
	testNothing  struct{}
	testIRQs     struct{ d *Testdev }
	testMem      struct{ d *Testdev }
)

// Realize implements qdev.Device.
func (d *Testdev) Realize() error {
	d.MapPorts("pc-testdev-ioport", testPorts, 4, testRegister{d})
	d.MapPorts("pc-testdev-flush-page", testFlush, 4, testNothing{})
	d.MapPorts("pc-testdev-ioport-byte", testBytePorts, 4, testRegister{d}).Impl.Max = 1
	d.MapPorts("pc-testdev-irq-line", testIRQ, testLines, testIRQs{d}).Impl.Max = 1 // wider accesses drive several lines
	d.io = memory.NewIO("pc-testdev-iomem", testMemSize, testMem{d})
	d.Bus().Memory().Add(d.io, testMemory, 0)
	return nil
}

// Unrealize implements qdev.Device.
func (d *Testdev) Unrealize() {
	d.Bus().Memory().Remove(d.io)
	d.UnmapPorts()
}

// load and store access size bytes of b from off on; what lies beyond the end does not exist.
func load(b []byte, off uint64, size int) uint64 {
	var t [8]byte
	if off < uint64(len(b)) {
		copy(t[:size], b[off:])
	}
	return binary.LittleEndian.Uint64(t[:])
}

func store(b []byte, off uint64, size int, v uint64) {
	var t [8]byte
	binary.LittleEndian.PutUint64(t[:], v)
	if off < uint64(len(b)) {
		copy(b[off:], t[:size])
	}
}

// Read implements memory.Ops.
func (r testRegister) Read(off uint64, size int) uint64 { return load(r.d.reg[:], off, size) }

// Write implements memory.Ops.
func (r testRegister) Write(off uint64, size int, v uint64) { store(r.d.reg[:], off, size, v) }

// Read implements memory.Ops.
func (testNothing) Read(uint64, int) uint64 { return 0 }

// Write implements memory.Ops: guest memory never moves, so there is nothing that a guest could notice.
func (testNothing) Write(uint64, int, uint64) {}

// Read implements memory.Ops.
func (testIRQs) Read(uint64, int) uint64 { return 0 }

// Write implements memory.Ops: each port drives the interrupt line of its number.
func (r testIRQs) Write(off uint64, _ int, v uint64) {
	if line, err := r.d.Bus().IRQ(uint32(off)); err == nil {
		line.Set(v != 0)
	}
}

// Read implements memory.Ops.
func (r testMem) Read(off uint64, size int) uint64 { return load(r.d.mem[:], off, size) }

// Write implements memory.Ops.
func (r testMem) Write(off uint64, size int, v uint64) { store(r.d.mem[:], off, size, v) }
