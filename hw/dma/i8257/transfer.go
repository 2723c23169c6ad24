package i8257

import (
	"slices"

	"goemu/hw/isa"
	"goemu/internal/clock"
)

// run lets the devices at requested channels move data. Those that have not moved all are asked again after a while.
func (c *Chip) run() {
	if c.running { // a device has changed its request while it moves data
		return
	}
	c.running = true
	for n := range c.regs {
		if c.active(n) {
			c.move(n)
		}
	}
	c.running = false
	for n := range c.regs {
		if c.active(n) {
			c.poll.Mod(clock.Virtual.Now() + pollNS)
			return
		}
	}
	c.poll.Del()
}

// active tells whether a channel is requested and not masked.
func (c *Chip) active(n int) bool { return c.mask>>n&1 == 0 && c.status>>(n+statusRequests)&1 != 0 }

func (c *Chip) move(n int) {
	ch := &c.regs[n]
	if ch.handler == nil {
		return
	}
	total := (int(ch.base[count]) + 1) << c.Shift
	ch.now[count] = int32(ch.handler(int(ch.now[count]), total))
	if int(ch.now[count]) == total {
		c.status |= 1 << n
	}
}

// port is a channel as devices see it.
type port struct {
	chip *Chip
	n    int
}

var _ isa.DMAChannel = port{}

// Connect implements isa.DMAChannel.
func (p port) Connect(h isa.DMAHandler) { p.chip.regs[p.n].handler = h }

// Request implements isa.DMAChannel.
func (p port) Request(on bool) {
	p.chip.setRequest(p.n, on)
	p.chip.run()
}

// place is where n bytes at distance moved lie. Downwards the first byte of a piece is its last one in memory. ok is false if nothing is
// moved at all.
func (p port) place(moved, n int) (at uint64, down, ok bool) {
	ch := &p.chip.regs[p.n]
	page := int64(ch.high&highPageMask)<<24 | int64(ch.page)<<16
	off := int64(ch.now[addr]) + int64(moved)
	if down = ch.mode&modeDecrement != 0; down {
		off = int64(ch.now[addr]) - int64(moved) - int64(n) + 1
	}
	return uint64(uint32(page + off)), down, ch.mode&modeTransfer != 0
}

// FromMemory implements isa.DMAChannel.
func (p port) FromMemory(b []byte, moved int) {
	at, down, ok := p.place(moved, len(b))
	if !ok {
		return
	}
	p.chip.memory.Read(at, b)
	if down {
		slices.Reverse(b)
	}
}

// ToMemory implements isa.DMAChannel.
func (p port) ToMemory(b []byte, moved int) {
	at, down, ok := p.place(moved, len(b))
	if !ok {
		return
	}
	if down {
		b = slices.Clone(b)
		slices.Reverse(b)
	}
	p.chip.memory.Write(at, b)
}
