package tcg

import (
	"slices"

	"goemu/accel"
	"goemu/accel/gate"
	"goemu/tcg/ir"
)

// breaks is what a debugger asked for: immutable, replaced as a whole.
type breaks struct {
	at     map[uint64]bool // linear addresses
	watch  []accel.Watchpoint
	onStop func(accel.DebugStop)
}

// noBreaks is what no debugger asked for.
var noBreaks breaks

func (a *Accel) changeBreaks(f func(b *breaks)) {
	b := *a.breaks.Load()
	f(&b)
	a.breaks.Store(&b)
}

// SetBreakpoints implements accel.Debugger. Blocks that hold one of the addresses go; new ones end before it.
func (a *Accel) SetBreakpoints(addrs []uint64) {
	at := map[uint64]bool{}
	for _, addr := range addrs {
		at[addr] = true
	}
	old := a.breaks.Load().at
	a.changeBreaks(func(b *breaks) { b.at = at })
	for addr := range at {
		if !old[addr] {
			a.killAt(addr)
		}
	}
}

// killAt drops all blocks with code at a linear address.
func (a *Accel) killAt(addr uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, b := range a.table.byID {
		if b != nil && !b.dead.Load() && (addr-b.key.linear())&b.key.mask() < uint64(b.bytes) {
			a.kill(b)
			b.page.drop(b)
			b.page2.drop(b)
		}
	}
}

// drop takes a dead block out of the list of its page, which stays known as code.
func (p *codePage) drop(b *block) {
	if p != nil {
		p.blocks = slices.DeleteFunc(p.blocks, func(x *block) bool { return x == b })
	}
}

// SetWatchpoints implements accel.Debugger.
func (a *Accel) SetWatchpoints(list []accel.Watchpoint) {
	list = slices.Clone(list)
	a.changeBreaks(func(b *breaks) { b.watch = list })
	for _, c := range a.list() {
		c.updateWatch()
	}
}

// SetStep implements accel.Debugger.
func (a *Accel) SetStep(cpu int, on bool) {
	for _, c := range a.list() {
		if c.index == cpu {
			c.stepping.Store(on)
		}
	}
}

// OnStop implements accel.Debugger.
func (a *Accel) OnStop(f func(accel.DebugStop)) { a.changeBreaks(func(b *breaks) { b.onStop = f }) }

// watchPagesOf adds the pages that a debugger watches.
func (c *CPU) watchPagesOf(list []accel.Watchpoint) {
	for _, w := range list {
		for page := w.Addr & pageMask; page <= (w.Addr+w.Len-1)&pageMask; page += 1 << ir.PageBits {
			c.watchPages[page] = true
		}
	}
}

// debugWatch looks whether an access meets a debugger's watchpoint; like a guest's own, it is reported after the instruction.
func (c *CPU) debugWatch(addr uint64, n int, acc access) bool {
	list := c.accel.breaks.Load().watch
	for i := range list {
		w := &list[i]
		if (acc == accWrite && w.Write || acc != accWrite && w.Read) && addr < w.Addr+w.Len && w.Addr < addr+uint64(n) {
			if !c.once {
				return false
			}
			c.watchHits = &accel.DebugStop{CPU: c.index, Watch: w, Addr: max(addr, w.Addr)}
		}
	}
	return true
}

// stopFor stops this CPU and tells the debugger why.
func (c *CPU) stopFor(b *breaks, s accel.DebugStop) {
	c.last.id, c.watchHits = 0, nil
	c.gate.Request(gate.Pause)
	if b.onStop != nil {
		b.onStop(s)
	}
}
