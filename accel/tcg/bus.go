package tcg

import (
	"encoding/binary"

	"goemu/accel/gate"
	"goemu/target/x86"
)

// isAPICPage tells whether a physical page shows this CPU's own interrupt controller.
func (c *CPU) isAPICPage(phys uint64) bool {
	if c.ic == nil {
		return false
	}
	b := c.ic.Base()
	return b&x86.APICBaseEnable != 0 && b&x86.APICBaseX2 == 0 && phys == b&pteAddr
}

// readMMIO and writeMMIO access what is not RAM. Go code of devices runs here: afterwards the memory map may have changed.
func (c *CPU) readMMIO(phys uint64, size int) uint64 {
	if c.isAPICPage(phys & pageMask) {
		return uint64(c.ic.ReadPage(uint32(phys&^pageMask), size))
	}
	v, _ := c.space().BusLoad(phys, size)
	c.afterDevice()
	return v
}

func (c *CPU) writeMMIO(phys uint64, size int, v uint64) {
	if size < 8 {
		v &= 1<<(8*size) - 1
	}
	if c.isAPICPage(phys & pageMask) {
		c.ic.WritePage(uint32(phys&^pageMask), size, uint32(v))
		return
	}
	c.space().BusStore(phys, size, v)
	c.afterDevice()
}

// afterDevice flushes at once if the device changed the memory map or the A20 gate.
func (c *CPU) afterDevice() {
	if r := c.gate.Requests(); r&(reqFlush|reqA20) != 0 {
		if r&reqFlush != 0 {
			c.flushMap()
		}
		if r&reqA20 != 0 {
			c.gate.Done(reqA20)
			c.applyA20()
		}
	}
}

// pieces cuts n bytes at a physical address into naturally aligned accesses.
func pieces(phys uint64, n int) int {
	for _, s := range [3]int{8, 4, 2} {
		if n >= s && phys&uint64(s-1) == 0 {
			return s
		}
	}
	return 1
}

func (c *CPU) readMMIOBytes(phys uint64, b []byte) {
	for len(b) > 0 {
		n := pieces(phys, len(b))
		var w [8]byte
		binary.LittleEndian.PutUint64(w[:], c.readMMIO(phys, n))
		copy(b[:n], w[:])
		b, phys = b[n:], phys+uint64(n)
	}
}

func (c *CPU) writeMMIOBytes(phys uint64, b []byte) {
	for len(b) > 0 {
		n := pieces(phys, len(b))
		c.writeMMIO(phys, n, leN(b[:n]))
		b, phys = b[n:], phys+uint64(n)
	}
}

// checkPort checks the right to use ports against IOPL and the task's bitmap.
func (c *CPU) checkPort(port uint16, size int) {
	e := c.env
	if e.CR[0]&x86.CR0PE == 0 || e.EFlags&x86.FlagVM == 0 && e.CPL() <= int(e.EFlags&x86.FlagIOPL>>12) {
		return
	}
	tr := &e.Seg[x86.TR]
	if t := tr.Flags >> 8 & 15; tr.Flags&x86.SegP == 0 || t != typeTSS32 && t != typeTSS32Busy || tr.Limit < tss32Min {
		c.gp(0)
	}
	at := c.rdSys(tr.Base+tssIOBase, 2) + uint64(port)>>3
	if at+1 > uint64(tr.Limit) {
		c.gp(0)
	}
	bits := c.rdSys(tr.Base+at, 2) >> (port & 7)
	if bits&(1<<size-1) != 0 {
		c.gp(0)
	}
}

// Registers implements accel.Registers: helpers find the registers in the environment, and leave them there.
func (c *CPU) Registers(f func(*[16]uint64)) { f(&c.env.Regs) }

// Rates implements accel.Registers.
func (c *CPU) Rates() (tsc, bus uint64) { return 0, 0 }

func (c *CPU) readIO(port uint16, size int) uint32 {
	v := c.accel.machine.ReadIO(c, port, size)
	c.afterDevice()
	c.ioBreak(port, size)
	return v
}

func (c *CPU) writeIO(port uint16, size int, v uint32) {
	c.accel.machine.WriteIO(c, port, size, v)
	if c.accel.machine.Stopping() {
		c.gate.Request(gate.Pause) // which Resume ends
	}
	c.afterDevice()
	c.ioBreak(port, size)
}
