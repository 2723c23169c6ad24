package nvme

import (
	"errors"
	"fmt"

	"goemu/hw/pci"
	"goemu/internal/memory"
)

// bufferOps is the controller's memory buffer.
type bufferOps []byte

// Read implements memory.Ops.
func (b bufferOps) Read(off uint64, size int) uint64 {
	var v [8]byte
	copy(v[:size], b[off:])
	return le.Uint64(v[:])
}

// Write implements memory.Ops.
func (b bufferOps) Write(off uint64, size int, v uint64) {
	var p [8]byte
	le.PutUint64(p[:], v)
	copy(b[off:], p[:size])
}

// addMemoryBuffer makes the memory buffer and the controller's view of memory with it.
func (c *Controller) addMemoryBuffer() {
	c.cmb = make([]byte, uint64(c.CMBSize)<<20)
	bar := memory.NewIO("nvme-cmb", uint64(len(c.cmb)), bufferOps(c.cmb))
	bar.Valid, bar.Impl = memory.Access{Min: 1, Max: 8}, memory.Access{Min: 1, Max: 8}
	c.SetBAR(memoryBAR, pci.BARMem64|pci.BARPrefetch, bar)
	c.buffer = c.window("nvme-dma-cmb", bar)
}

// window makes a region that the driver can place in the controller's view of memory.
func (c *Controller) window(name string, r *memory.Region) *memory.Region {
	if c.space == c.DMA() {
		root := memory.NewContainer("nvme-dma", memory.Whole)
		root.Add(memory.NewAlias("nvme-dma-memory", c.DMA().Root(), 0, memory.Whole), 0, 0)
		c.space = memory.NewAddressSpace("nvme", root)
	}
	w := memory.NewAlias(name, r, 0, r.Size())
	w.SetEnabled(false)
	c.space.Root().Add(w, 0, 1)
	return w
}

// The persistent memory region (section 3.1.12 to 3.1.19): its register, and the smallest one that is mapped.
const (
	pmrBAR   = 4
	pmrLeast = 16
)

// addPersistentMemory makes the region of the memory that the user has named.
func (c *Controller) addPersistentMemory() error {
	size := c.PMR.Size()
	switch {
	case c.OwnMSIXBar:
		return errors.New("not enough BARs available to enable PMR")
	case c.PMR.InUse():
		return fmt.Errorf("can't use already busy memdev: %s", c.PMR.ID())
	case size&(size-1) != 0:
		return errors.New("pmr backend size needs to be power of 2 in size")
	}
	block, err := c.PMR.Take()
	if err != nil {
		return err
	}
	bar := memory.NewContainer("nvme-pmr", max(size, pmrLeast))
	c.persistent = memory.NewRAMFrom(block)
	c.persistent.SetEnabled(false)
	bar.Add(c.persistent, 0, 0)
	c.SetBAR(pmrBAR, pci.BARMem64|pci.BARPrefetch, bar)
	c.pmrWindow = c.window("nvme-dma-pmr", c.persistent)
	return nil
}

// writePersistent is a write to one of the region's registers.
func (c *Controller) writePersistent(at int, v uint32) {
	if c.persistent == nil {
		return
	}
	status := c.get32(regPMRSTS)
	switch c.put32(at, v); at {
	case regPMRCTL:
		on := v&pmrEnable != 0
		c.persistent.SetEnabled(on)
		if status = 0; !on {
			status = c.get32(regPMRSTS) | pmrNotReady
			c.pmrWindow.SetEnabled(false)
		}
	case regPMRMSCL:
		c.pmrWindow.SetEnabled(false)
		if v&pmrWindowOn == 0 {
			return
		}
		base := uint64(c.get32(regPMRMSCU))<<32 | uint64(v&^uint32(pmrBaseUnit-1))
		if base+c.persistent.Size() < base {
			status |= pmrBadBase
			break
		}
		c.pmrWindow.SetOffset(base)
		c.pmrWindow.SetEnabled(true)
		return
	default:
		return
	}
	c.put32(regPMRSTS, status)
}
