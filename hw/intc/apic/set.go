package apic

import (
	"slices"
	"sync"
	"sync/atomic"

	"goemu/accel"
	"goemu/hw/qdev"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
)

// Message is an interrupt on its way to local APICs.
type Message struct {
	Dest    uint32
	Logical bool
	Mode    DeliveryMode
	Vector  uint8
	Level   bool // level triggered
}

// EOIListener hears that a level-triggered interrupt has ended; called on a CPU's goroutine without locks.
type EOIListener interface{ EndOfInterrupt(vector uint8) }

// Set is all local APICs of a machine.
type Set struct {
	// Direct, if not nil, is accel.KernelChips.Direct.
	Direct func(event int, m accel.MSIRoute) (stop func(), err error)

	apics     atomic.Pointer[[]*APIC]
	listeners []EOIListener
	timers    *clock.List
	bootID    uint32
	ext       ExtIntController

	kernelMu sync.RWMutex
	signal   func(addr uint64, data uint32) // not nil: who does the APICs' work
}

// NewSet returns a set without APICs whose timers hang on the list timers (of the virtual clock), served without the machine lock.
func NewSet(timers *clock.List) *Set {
	s := &Set{timers: timers}
	s.apics.Store(new([]*APIC))
	return s
}

// Listen registers an I/O APIC. Call it before any CPU runs.
func (s *Set) Listen(l EOIListener) { s.listeners = append(s.listeners, l) }

// SetExtInt says which controller is behind LINT0 of all APICs; the returned line is for its output.
func (s *Set) SetExtInt(c ExtIntController) { s.ext = c }

// ExtIntLine returns the line that the 8259 pair drives.
func (s *Set) ExtIntLine() *qdev.IRQ {
	return qdev.NewIRQ(func(_ int, level bool) {
		s.kernelMu.RLock()
		defer s.kernelMu.RUnlock()
		for i, a := range *s.apics.Load() {
			if s.signal != nil {
				a.notePIC(level, i == 0)
			} else {
				a.setPIC(level)
			}
		}
	}, 0)
}

// ackExtInt makes the acknowledge cycle of the 8259 pair. It takes the machine lock.
func (s *Set) ackExtInt() (uint8, bool) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	if s.ext == nil || !s.ext.Level() {
		return 0, false
	}
	return s.ext.Ack(), true
}

// New adds the local APIC of a CPU; the first one is that of the boot processor. x2APIC says whether the CPU has that mode.
func (s *Set) New(tree *qdev.Tree, cpu accel.CPU, x2APIC bool) (*APIC, error) {
	d, err := tree.New(&Class)
	if err != nil {
		return nil, err
	}
	a := d.(*APIC)
	a.set, a.cpu, a.initialID, a.x2APIC = s, cpu, cpu.APICID(), x2APIC
	list := append([]*APIC(nil), *s.apics.Load()...)
	if len(list) == 0 {
		s.bootID = a.initialID
	}
	list = append(list, a)
	s.apics.Store(&list)
	if err := qdev.Realize(a, tree.Root()); err != nil {
		return nil, err
	}
	a.Reset()
	return a, nil
}

// Remove takes the local APIC of a CPU that goes out of the set.
func (s *Set) Remove(a *APIC) {
	list := slices.DeleteFunc(slices.Clone(*s.apics.Load()), func(x *APIC) bool { return x == a })
	s.apics.Store(&list)
}

// StateInstance implements qdev.Instanced: the states are told apart by the CPUs' identifiers.
func (a *APIC) StateInstance() int { return int(a.initialID) }

// logicalX2 is the logical identifier in x2APIC mode.
func (a *APIC) logicalX2() uint32 { return a.initialID>>4<<16 | 1<<(a.initialID&0xf) }

// addressed tells whether a message is for a. Preconditions: mu is held.
func (a *APIC) addressed(m *Message) bool {
	if m.Dest == broadcast || m.Dest == broadcast8 && !a.inX2APIC() {
		return true
	}
	if a.inX2APIC() {
		if !m.Logical {
			return m.Dest == a.initialID || m.Dest == broadcast8
		}
		id := a.logicalX2()
		return m.Dest>>16 == id>>16 && m.Dest&id&0xffff != 0
	}
	switch {
	case m.Dest > 0xff:
		return false
	case !m.Logical:
		return uint32(a.id) == m.Dest
	case a.destMode == dfrFlat:
		return uint32(a.logicalDest)&m.Dest != 0
	}
	return m.Dest&0xf0 == uint32(a.logicalDest&0xf0) && m.Dest&uint32(a.logicalDest)&0xf != 0
}

// Deliver sends a message. It may be called from any goroutine, with or without the machine lock.
func (s *Set) Deliver(m Message) {
	s.kernelMu.RLock()
	defer s.kernelMu.RUnlock()
	if s.signal != nil {
		s.signal(m.compose())
		return
	}
	s.deliver(m)
}

// deliver is Deliver where the APICs work here.
func (s *Set) deliver(m Message) {
	for _, a := range *s.apics.Load() {
		a.mu.Lock()
		hit := a.addressed(&m)
		if hit {
			a.take(&m)
		}
		a.mu.Unlock()
		if hit && m.Mode == LowestPriority { // the first one, as QEMU
			return
		}
	}
}

// take acts on a message for a. Preconditions: mu is held.
func (a *APIC) take(m *Message) {
	switch m.Mode {
	case Fixed, LowestPriority:
		a.accept(m.Vector, m.Level)
	case SMI:
		a.cpu.Raise(accel.IRQSMI)
	case NMI:
		a.cpu.Raise(accel.IRQNMI)
	case INIT:
		a.cpu.Raise(accel.IRQInit)
	case StartUp:
		a.sipiVector = int32(m.Vector)
		a.cpu.Raise(accel.IRQSIPI)
	}
}

// send acts on a write of the interrupt command register.
func (a *APIC) send(icr, dest uint32) {
	m := Message{Dest: dest, Logical: icr&icrLogical != 0, Mode: DeliveryMode(icr >> 8 & 7), Vector: uint8(icr), Level: icr&icrLevel != 0}
	if m.Mode == INIT && m.Level && icr&icrAssert == 0 {
		return // de-assertion only synchronises arbitration identifiers
	}
	shorthand := icr >> icrShorthand & 3
	if shorthand == 0 {
		a.set.deliver(m)
		return
	}
	for _, t := range *a.set.apics.Load() {
		if shorthand == shorthandSelf && t != a || shorthand == shorthandRest && t == a {
			continue
		}
		t.mu.Lock()
		t.take(&m)
		t.mu.Unlock()
	}
}

func (s *Set) broadcastEOI(vector uint8) {
	for _, l := range s.listeners {
		l.EndOfInterrupt(vector)
	}
}

// Fields of a message-signalled interrupt (Intel SDM volume 3, §10.11).
const (
	msiDestShift  = 12
	msiLogical    = 1 << 2
	msiModeShift  = 8
	msiLevel      = 1 << 15
	msiAssert     = 1 << 14
	messageWindow = 0x100000
)

// DeliverMSI sends a message-signalled interrupt. It may be called from any goroutine, with or without the machine lock.
func (s *Set) DeliverMSI(addr uint64, data uint32) {
	s.kernelMu.RLock()
	defer s.kernelMu.RUnlock()
	if s.signal != nil {
		s.signal(addr, data)
		return
	}
	s.deliver(Message{Dest: uint32(addr >> msiDestShift & 0xff), Logical: addr&msiLogical != 0,
		Mode: DeliveryMode(data >> msiModeShift & 7), Vector: uint8(data), Level: data&msiLevel != 0})
}

// Region returns the memory that takes message-signalled interrupts, to be mapped at DefaultAddress.
func (s *Set) Region() *memory.Region {
	r := memory.NewIO("apic-msi", messageWindow, (*window)(s))
	r.Unlocked = true
	return r
}

type window Set

// Read implements memory.Ops.
func (w *window) Read(uint64, int) uint64 { return 0xffffffff }

// Write implements memory.Ops.
func (w *window) Write(offset uint64, size int, v uint64) {
	if size == 4 {
		(*Set)(w).DeliverMSI(DefaultAddress|offset, uint32(v))
	}
}

// SendEvent implements pci.EventSender.
func (w *window) SendEvent(event int, offset uint64, data uint32) (stop func(), ok bool) {
	if w.Direct == nil {
		return nil, false
	}
	stop, err := w.Direct(event, accel.MSIRoute{Addr: DefaultAddress | offset, Data: data})
	return stop, err == nil
}
