package nvme

import (
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
	root := memory.NewContainer("nvme-dma", memory.Whole)
	root.Add(memory.NewAlias("nvme-dma-memory", c.DMA().Root(), 0, memory.Whole), 0, 0)
	c.buffer = memory.NewAlias("nvme-dma-cmb", bar, 0, bar.Size())
	c.buffer.SetEnabled(false)
	root.Add(c.buffer, 0, 1)
	c.space = memory.NewAddressSpace("nvme", root)
}
