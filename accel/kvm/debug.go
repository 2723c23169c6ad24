package kvm

import (
	"slices"

	"goemu/accel"
	"goemu/accel/gate"
	"goemu/accel/linear"
	"goemu/target/x86"
)

// debugger is what a debugger asked for. It changes while all CPUs are paused.
type debugger struct {
	breaks []uint64
	watch  []accel.Watchpoint
	onStop func(accel.DebugStop)

	hard [hardBreaks]hardBreak // by debug register
	soft map[uint64]uint8      // breakpoint instructions by linear address, with the byte that was there
}

// hardBreaks is the number of debug registers with addresses.
const hardBreaks = 4

// hardBreak is one of them; kind as in DR7.
type hardBreak struct {
	used bool
	addr uint64
	kind uint64
	size uint64
	of   *accel.Watchpoint // nil: a breakpoint
}

// Kinds and sizes of a debug register's breakpoint, and the place of their fields in DR7 (Intel SDM volume 3, §17.2.4).
const (
	kindExec, kindWrite, kindAccess = 0, 1, 3
	dr7Fixed                        = 0x600 // exact breakpoints, and the bit that is always set
	dr7Field                        = 16
	dr6Step                         = 1 << 14
	breakInsn                       = 0xcc
)

var sizeField = map[uint64]uint64{1: 0, 2: 1, 8: 2, 4: 3}

// Place of the exit's fields in the shared page (struct kvm_debug_exit_arch).
const debugException, debugPC, debugDR6 = runExit, runExit + 8, runExit + 16

// split makes a watchpoint one or more ranges that a debug register can watch.
func split(w *accel.Watchpoint) (out []hardBreak) {
	kind := uint64(kindAccess)
	if !w.Read {
		kind = kindWrite
	}
	for addr, n := w.Addr, w.Len; n > 0; {
		size := uint64(8)
		for size > n || addr%size != 0 {
			size /= 2
		}
		out = append(out, hardBreak{used: true, addr: addr, kind: kind, size: size, of: w})
		if len(out) > hardBreaks {
			return out
		}
		addr, n = addr+size, n-size
	}
	return out
}

// CanWatch implements accel.WatchLimiter.
func (a *Accel) CanWatch(list []accel.Watchpoint) bool {
	n := 0
	for i := range list {
		n += len(split(&list[i]))
	}
	return n <= hardBreaks
}

// SetBreakpoints implements accel.Debugger.
func (a *Accel) SetBreakpoints(addrs []uint64) {
	a.debug.breaks = slices.Sorted(slices.Values(addrs))
	a.placeBreaks()
}

// SetWatchpoints implements accel.Debugger.
func (a *Accel) SetWatchpoints(list []accel.Watchpoint) {
	a.debug.watch = slices.Clone(list)
	a.placeBreaks()
}

// SetStep implements accel.Debugger.
func (a *Accel) SetStep(cpu int, on bool) {
	if l := a.list(); cpu < len(l) {
		c := l[cpu]
		if c.stepping != on {
			c.stepping, c.debugging, c.retold = on, true, true
		}
	}
}

// OnStop implements accel.Debugger.
func (a *Accel) OnStop(f func(accel.DebugStop)) { a.debug.onStop = f }

// placeBreaks gives the debug registers to watchpoints, then to breakpoints; breakpoints that are left over become instructions in the
// guest's memory.
func (a *Accel) placeBreaks() {
	d := &a.debug
	d.hard = [hardBreaks]hardBreak{}
	n := 0
	for i := range d.watch {
		for _, h := range split(&d.watch[i]) {
			if n < hardBreaks {
				d.hard[n] = h
				n++
			}
		}
	}
	soft := map[uint64]bool{}
	for _, addr := range d.breaks {
		if n < hardBreaks {
			d.hard[n] = hardBreak{used: true, addr: addr, kind: kindExec, size: 1}
			n++
			continue
		}
		soft[addr] = true
	}
	a.placeSoft(soft)
	for _, c := range a.list() {
		c.debugging, c.retold = true, true
	}
}

// placeSoft puts breakpoint instructions where they are wanted and takes the others away.
func (a *Accel) placeSoft(want map[uint64]bool) {
	d := &a.debug
	if d.soft == nil {
		d.soft = map[uint64]uint8{}
	}
	access := func(addr uint64, b *[1]byte, write bool) bool {
		for _, c := range a.list() { // whichever CPU has the page mapped
			if linear.Access(a.opt.Memory, c.State(), addr, b[:], write) {
				return true
			}
		}
		return false
	}
	for addr, old := range d.soft {
		if want[addr] {
			continue
		}
		var now [1]byte
		if access(addr, &now, false) && now[0] == breakInsn {
			access(addr, &[1]byte{old}, true)
		}
		delete(d.soft, addr)
	}
	for addr := range want {
		if _, there := d.soft[addr]; there {
			continue
		}
		var old [1]byte
		if access(addr, &old, false) && access(addr, &[1]byte{breakInsn}, true) {
			d.soft[addr] = old[0]
		}
	}
}

// tellDebug tells the kernel what a debugger wants of the CPU. The kernel notes where the CPU is, so its registers must be there already.
func (c *CPU) tellDebug() {
	d := &c.accel.debug
	var g guestDebug
	if c.stepping {
		g.Control |= debugEnable | debugStep
		if c.accel.h.caps[capSetGuestDebug2]&debugBlockIRQ != 0 {
			g.Control |= debugBlockIRQ
		}
	}
	if len(d.soft) > 0 {
		g.Control |= debugEnable | debugSoft
	}
	for i, h := range d.hard {
		if h.used {
			g.Control |= debugEnable | debugHard
			g.DebugReg[i] = h.addr
			g.DebugReg[7] |= dr7Fixed | 2<<(2*i) | (h.kind|sizeField[h.size]<<2)<<(dr7Field+4*i)
		}
	}
	if err := set(c, reqSetGuestDebug, g); err != nil {
		c.internalError(err.Error())
	}
	c.retold = false
	c.debugging = g.Control != 0
}

// debugged acts on a debug exit: it is the debugger's, or the guest's own.
func (c *CPU) debugged() {
	d := &c.accel.debug
	exception, pc, dr6 := le.Uint32(c.run[debugException:]), le.Uint64(c.run[debugPC:]), le.Uint64(c.run[debugDR6:])
	stop := accel.DebugStop{CPU: c.index}
	ours := false
	switch exception {
	case x86.ExcDB:
		ours = dr6&dr6Step != 0 && c.stepping
		for i, h := range d.hard {
			if dr6>>i&1 != 0 && h.used {
				ours = true
				if h.of != nil {
					stop.Watch, stop.Addr = h.of, h.addr
				}
			}
		}
	case x86.ExcBP:
		_, ours = d.soft[pc]
	}
	if !ours {
		c.ownException(exception, dr6)
		return
	}
	c.gate.Request(gate.Pause) // which Resume ends
	if d.onStop != nil {
		d.onStop(stop)
	}
}

// ownException gives the guest a debug exception that it has met itself.
func (c *CPU) ownException(vector uint32, dr6 uint64) {
	c.mustPull()
	c.rest.ExceptionNr, c.rest.HasErrorCode = int32(vector), 0
	if vector == x86.ExcDB {
		c.env.DR[6] = dr6
	}
	c.dirty = true
}
