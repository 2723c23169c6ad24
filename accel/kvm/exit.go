package kvm

import (
	"fmt"
	"strings"

	"goemu/accel"
	"goemu/accel/gate"
	"goemu/internal/strerror"
	"goemu/target/x86"
)

func requestErrno(err error) string { return strerror.Of(err) }

// exit is an access that the guest has made, or why it does not go on; decoded from the shared page.
type exit struct {
	reason uint32
	// exitIO: count accesses of size bytes to a port, whose data are at offset in the page.
	write  bool
	size   int
	port   uint16
	count  int
	offset int
	// exitMMIO: size bytes at addr; the data are at offset.
	addr uint64
	// exitInternalError, exitFailEntry, exitSystemEvent
	code  uint64
	extra []uint64
}

// Places of an exit's fields in the shared page.
const (
	ioDirection, ioSize, ioPort, ioCount, ioOffset = runExit, runExit + 1, runExit + 2, runExit + 4, runExit + 8
	mmioAddr, mmioData, mmioLen, mmioWrite         = runExit, runExit + 8, runExit + 16, runExit + 20
	errSuberror, errCount, errData                 = runExit, runExit + 4, runExit + 8
	maxErrData                                     = 16
	msrError, msrData                              = runExit, runExit + 16
	hypercallRet                                   = runExit + 56
)

// decode reads the exit from the shared page. Whatever the kernel wrote, what it describes lies within the page; ok is false for what
// cannot be.
func decode(run []byte) (e exit, ok bool) {
	e.reason = le.Uint32(run[runReason:])
	switch e.reason {
	case exitIO:
		e.write, e.size = run[ioDirection] != 0, int(run[ioSize])
		e.port, e.count = le.Uint16(run[ioPort:]), int(le.Uint32(run[ioCount:]))
		at := le.Uint64(run[ioOffset:])
		if e.size != 1 && e.size != 2 && e.size != 4 || at > uint64(len(run)) || uint64(e.count)*uint64(e.size) > uint64(len(run))-at {
			return e, false
		}
		e.offset = int(at)
	case exitMMIO:
		e.addr, e.size, e.write, e.offset = le.Uint64(run[mmioAddr:]), int(le.Uint32(run[mmioLen:])), run[mmioWrite] != 0, mmioData
		if e.size < 1 || e.size > 8 {
			return e, false
		}
	case exitInternalError:
		e.code = uint64(le.Uint32(run[errSuberror:]))
		for i := range min(int(le.Uint32(run[errCount:])), maxErrData) {
			e.extra = append(e.extra, le.Uint64(run[errData+8*i:]))
		}
	case exitFailEntry:
		e.code = le.Uint64(run[runExit:])
	case exitSystemEvent:
		e.code = uint64(le.Uint32(run[runExit:]))
	case exitMemoryFault:
		e.code, e.addr = le.Uint64(run[runExit:]), le.Uint64(run[runExit+8:])
	}
	return e, true
}

// Kinds of system events.
const (
	eventShutdown = 1
	eventReset    = 2
	eventCrash    = 3
)

// handle acts on an exit.
func (c *CPU) handle() {
	e, ok := decode(c.run)
	if !ok {
		c.internalError(fmt.Sprintf("KVM: exit %d makes no sense", e.reason))
		return
	}
	switch e.reason {
	case exitIO:
		c.unfinished = true
		c.accessPort(&e)
	case exitMMIO:
		c.unfinished = true
		c.accessMemory(e.addr, c.run[e.offset:e.offset+e.size], e.write)
	case exitHLT:
		c.halted.Store(true)
	case exitIRQWindow, exitIntr, exitSetTPR, exitNMI, exitBusLock:
	case exitNotify:
		c.notified()
	case exitRingFull:
		c.accel.ringFull()
	case exitIOAPICEOI:
		if f := c.accel.eoi; f != nil {
			f(c.run[runExit])
		}
	case exitDebug:
		c.debugged()
	case exitShutdown:
		c.stop(accel.ShutdownTripleFault, "")
	case exitSystemEvent:
		c.systemEvent(e.code)
	case exitHypercall: // one that this host knows and nobody asked for
		c.unfinished = true
		le.PutUint64(c.run[hypercallRet:], ^uint64(999)) // -KVM_ENOSYS
	case exitReadMSR, exitWriteMSR: // a register that the guest cannot have
		c.unfinished = true
		c.run[msrError] = 1
	case exitFailEntry:
		c.internalError(fmt.Sprintf("KVM: entry failed, hardware error 0x%x", e.code))
	case exitInternalError:
		c.internalError(internalText(&e))
	case exitMemoryFault:
		c.internalError(fmt.Sprintf("KVM: memory fault at 0x%x, flags 0x%x", e.addr, e.code))
	case exitHyperV:
		c.hyperV()
	case exitException:
		c.internalError("KVM: exception exit")
	default:
		c.internalError(fmt.Sprintf("KVM: unknown exit, hardware reason %x", le.Uint64(c.run[runExit:])))
	}
}

// internalText describes an internal error of the kernel.
func internalText(e *exit) string {
	var b strings.Builder
	fmt.Fprintf(&b, "KVM internal error. Suberror: %d", e.code)
	for i, x := range e.extra {
		fmt.Fprintf(&b, "\nextra data[%d]: 0x%016x", i, x)
	}
	const emulation = 1
	if e.code == emulation {
		b.WriteString("\nemulation failure")
	}
	return b.String()
}

// stop asks the machine for something that ends this CPU's execution until it is resumed.
func (c *CPU) stop(why accel.Shutdown, text string) {
	c.gate.Request(gate.Pause)
	c.accel.machine.Request(why, text)
}

// internalError stops the machine with the state of this CPU.
func (c *CPU) internalError(text string) {
	c.stop(accel.ShutdownInternal, text+"\n"+c.Dump())
}

// Dump formats the registers in the way of QEMU's "info registers".
func (c *CPU) Dump() string {
	var b text
	if err := c.pull(); err != nil {
		return err.Error()
	}
	c.State().Print(&b, false)
	return strings.TrimSuffix(b.String(), "\n")
}

// text collects formatted text.
type text struct{ strings.Builder }

// Printf implements x86.Printer.
func (t *text) Printf(format string, args ...any) { fmt.Fprintf(t, format, args...) }

func (c *CPU) systemEvent(code uint64) {
	switch code {
	case eventReset, eventShutdown:
		c.stop(accel.ShutdownTripleFault, "")
	default:
		c.internalError(fmt.Sprintf("KVM: system event %d", code))
	}
}

// accessPort makes the accesses of an exitIO.
func (c *CPU) accessPort(e *exit) {
	m := c.accel.machine
	for i := range e.count {
		p := c.run[e.offset+i*e.size:][:e.size]
		if !e.write {
			putN(p, uint64(m.ReadIO(c, e.port, e.size)))
			continue
		}
		m.WriteIO(c, e.port, e.size, uint32(getN(p)))
	}
	if e.write && m.Stopping() {
		c.gate.Request(gate.Pause) // which Resume ends
	}
}

// Registers implements accel.Registers.
func (c *CPU) Registers(f func(*[16]uint64)) {
	err := c.pullRegs()
	if err == nil {
		f(&c.rest.Regs)
		err = c.pushRegs()
	}
	c.synced = false
	if err != nil {
		c.internalError(err.Error())
	}
}

// Rates implements accel.Registers.
func (c *CPU) Rates() (tsc, bus uint64) {
	const busHz = 1_000_000_000
	khz, err := c.k.ioctl(c.fd, reqGetTSCKHz, 0)
	if err != nil {
		return 0, 0
	}
	return uint64(khz) * 1000, busHz
}

// accessMemory makes an access outside RAM, or to RAM that the guest cannot reach at the moment.
func (c *CPU) accessMemory(addr uint64, p []byte, write bool) {
	space := c.accel.opt.Memory
	if c.run[runFlags]&runSMM != 0 && c.accel.smm {
		space = c.accel.opt.SMM
	}
	for len(p) > 0 {
		n := pieces(addr, len(p))
		switch {
		case c.isAPICPage(addr) && write:
			c.ic.WritePage(uint32(addr&pageOffset), n, uint32(getN(p[:n])))
		case c.isAPICPage(addr):
			putN(p[:n], uint64(c.ic.ReadPage(uint32(addr&pageOffset), n)))
		case write:
			space.BusStore(addr, n, getN(p[:n]))
		default:
			v, _ := space.BusLoad(addr, n)
			putN(p[:n], v)
		}
		p, addr = p[n:], addr+uint64(n)
	}
	if write && c.accel.machine.Stopping() {
		c.gate.Request(gate.Pause)
	}
}

const pageOffset = 0xfff

// isAPICPage tells whether an address is that of this CPU's own interrupt controller.
func (c *CPU) isAPICPage(addr uint64) bool {
	if c.ic == nil {
		return false
	}
	b := c.ic.Base()
	return b&x86.APICBaseEnable != 0 && b&x86.APICBaseX2 == 0 && addr&^pageOffset == b&^uint64(pageOffset)
}

// pieces is the size of the naturally aligned access with which n bytes at an address begin.
func pieces(addr uint64, n int) int {
	for _, s := range [3]int{8, 4, 2} {
		if n >= s && addr&uint64(s-1) == 0 {
			return s
		}
	}
	return 1
}

// getN and putN convert little-endian numbers of up to eight bytes.
func getN(p []byte) (v uint64) {
	for i, b := range p {
		v |= uint64(b) << (8 * i)
	}
	return v
}

func putN(p []byte, v uint64) {
	for i := range p {
		p[i] = byte(v >> (8 * i))
	}
}
