package misc

import (
	"encoding/binary"

	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/internal/memory"
)

// The PCI test device: two BARs, each with a header that describes the selected test and, further on, the places to write to. In tests
// with an event descriptor a matching write goes to the descriptor, which nobody reads; in the others it is counted.
const (
	pciTestMemSize = 2048 // the second half of a BAR is for the writes
	pciTestIOSize  = 128
	pciTestWidth   = 1
	pciTestMatch   = 0xfa // data to write
	pciTestNoMatch = 0xce // where any will do

	// Offsets in the header; the name follows.
	hdrTest, hdrWidth, hdrOffset, hdrData, hdrCount, hdrName = 0, 1, 4, 8, 12, 16
)

// pciTestKinds are the tests of each BAR.
var pciTestKinds = [...]struct {
	name            string
	matches, events bool
}{{"no-eventfd", true, false}, {"wildcard-eventfd", false, true}, {"datamatch-eventfd", true, true}}

// pciTest is one test.
type pciTest struct {
	kind   int
	header []byte
}

// PCITest is the device type pci-testdev.
type PCITest struct {
	pci.Device
	props struct {
		MemBar qdev.Size `prop:"membar,default=0"`
	}
	bars    [2]pciTestBAR
	current *pciTest
}

// pciTestBAR is one of the BARs.
type pciTestBAR struct {
	d     *PCITest
	tests [len(pciTestKinds)]pciTest
}

// PCITestClass is the device type.
var PCITestClass = qdev.Class{Name: "pci-testdev", Bus: pci.BusType, Desc: "PCI Test Device", Category: qdev.Misc,
	New: func() qdev.Device { return new(PCITest) }}

// PCIInfo implements pci.Function.
func (d *PCITest) PCIInfo() pci.Info {
	return pci.Info{Vendor: pci.VendorRedHat, Device: 5, Class: pci.ClassOthers}
}

// Realize implements qdev.Device.
func (d *PCITest) Realize() error {
	for i, b := range []struct {
		name string
		size uint32
		typ  pci.BARType
	}{{"mmio", pciTestMemSize, pci.BARMem32}, {"portio", pciTestIOSize, pci.BARIO}} {
		bar := &d.bars[i]
		bar.d = d
		for k, kind := range pciTestKinds {
			n := i*len(pciTestKinds) + k
			bar.tests[k] = pciTest{kind: k, header: pciTestHeader(n, b.size, b.name+"-"+kind.name, kind.matches)}
		}
		r := memory.NewIO("pci-testdev-"+b.name, uint64(2*b.size), bar)
		r.Impl = memory.Access{Min: 1, Max: 1}
		d.SetBAR(i, b.typ, r)
	}
	if size := uint64(d.props.MemBar); size != 0 {
		for size&(size-1) != 0 {
			size += size & -size
		}
		d.SetBAR(2, pci.BARMem64|pci.BARPrefetch, memory.NewContainer("pci-testdev-membar", size))
	}
	return nil
}

func pciTestHeader(n int, offset uint32, name string, matches bool) []byte {
	h := make([]byte, hdrName, hdrName+len(name)+1)
	h[hdrTest], h[hdrWidth], h[hdrData] = uint8(n), pciTestWidth, pciTestNoMatch
	if matches {
		h[hdrData] = pciTestMatch
	}
	binary.LittleEndian.PutUint32(h[hdrOffset:], offset+uint32(n*pciTestWidth))
	return append(append(h, name...), 0)
}

// Reset implements qdev.Device.
func (d *PCITest) Reset() { d.current = nil }

// Read implements memory.Ops: the header of the selected test, through either BAR.
func (b *pciTestBAR) Read(off uint64, size int) uint64 {
	t := b.d.current
	if t == nil || off+uint64(size) >= uint64(len(t.header)) {
		return 0
	}
	return uint64(t.header[off])
}

// Write implements memory.Ops.
func (b *pciTestBAR) Write(off uint64, size int, v uint64) {
	if off == hdrTest {
		b.d.current = nil
		if v < uint64(len(b.tests)) {
			b.d.current = &b.tests[v]
			binary.LittleEndian.PutUint32(b.d.current.header[hdrCount:], 0)
		}
		return
	}
	t := b.d.current
	if t == nil || off != uint64(binary.LittleEndian.Uint32(t.header[hdrOffset:])) || pciTestKinds[t.kind].events {
		return
	}
	if v == uint64(t.header[hdrData]) {
		count := t.header[hdrCount:]
		binary.LittleEndian.PutUint32(count, binary.LittleEndian.Uint32(count)+1)
	}
}
