package virtiotest

import (
	"sync"
	"testing"

	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/hw/qdev/qtest"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
)

// Where a Machine maps things.
const (
	msiBase   = 0xfee00000
	legacyAt  = 0xc000
	msixAt    = 0xfe000000
	modernAt  = 0xfd000000
	configBit = 1 << 31
)

// Machine is just enough of one for PCI devices: RAM at zero, a PCI bus with configuration ports and a place for messages.
type Machine struct {
	T    testing.TB
	Mem  *memory.AddressSpace
	IO   *memory.AddressSpace
	Tree *qdev.Tree
	Bus  *pci.Bus
	// Mirror, if set, is whose configuration space answers instead of the bus's.
	Mirror *qtest.QEMU

	mu    sync.Mutex
	msgs  map[uint32]int // guarded by mu: messages by data
	news  chan struct{}
	lines [4]bool
}

// NewMachine builds a machine that knows the classes.
func NewMachine(t testing.TB, classes ...[]*qdev.Class) *Machine {
	t.Helper()
	m := &Machine{T: t, Mem: NewMemory(t), msgs: map[uint32]int{}, news: make(chan struct{}, 1), Tree: qdev.NewTree(qdev.NewRegistry(classes...))}
	io := memory.NewContainer("io", 0x10000)
	m.IO = memory.NewAddressSpace("I/O", io)
	sink := memory.NewIO("msi", 0x100000, (*msiSink)(m))
	sink.Unlocked = true
	m.Mem.Root().Add(sink, msiBase, 0)
	host, err := m.Tree.Create(&qdev.Class{Name: "host", New: func() qdev.Device { return new(qdev.Base) }}, nil)
	if err != nil {
		t.Fatal(err)
	}
	m.Bus = pci.NewBus(host, "pci.0", m.Mem.Root(), m.Mem.Root(), io, 0)
	new(pci.ConfigPorts).Connect(m.Bus, io)
	m.Bus.SetIRQs(qdev.NewIRQs(func(n int, l bool) { m.lines[n] = l; m.signal() }, 4), func(devfn uint8, pin int) int { return (int(devfn>>3) + pin) & 3 })
	return m
}

// Add creates a device from name=value pairs, the first being the driver.
func (m *Machine) Add(driver string, pairs ...string) (qdev.Device, error) {
	s := []qdev.Setting{{Name: "driver", Value: driver}}
	for i := 0; i < len(pairs); i += 2 {
		s = append(s, qdev.Setting{Name: pairs[i], Value: pairs[i+1]})
	}
	return m.Tree.Add(s)
}

type msiSink Machine

// Read implements memory.Ops.
func (s *msiSink) Read(uint64, int) uint64 { return 0 }

// Write implements memory.Ops.
func (s *msiSink) Write(_ uint64, _ int, v uint64) {
	m := (*Machine)(s)
	m.mu.Lock()
	m.msgs[uint32(v)]++
	m.mu.Unlock()
	m.signal()
}

func (m *Machine) signal() {
	select {
	case m.news <- struct{}{}:
	default:
	}
}

// Interrupts is a channel that gets a value after every interrupt.
func (m *Machine) Interrupts() <-chan struct{} { return m.news }

// Messages is the number of messages with the data so far.
func (m *Machine) Messages(data uint32) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.msgs[data]
}

// Line is the level of a bus interrupt line.
func (m *Machine) Line(n int) (level bool) {
	Locked(func() { level = m.lines[n] })
	return level
}

// Close removes all devices.
func (m *Machine) Close() { Locked(m.Tree.Close) }

// Locked runs f under the machine lock.
func Locked(f func()) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	f()
}

// Config reads from the configuration space of a function.
func (m *Machine) Config(devfn uint8, reg uint32, size int) uint32 {
	if m.Mirror != nil {
		return m.Mirror.Config(devfn, reg, size)
	}
	m.IO.Store(pci.PortConfigAddress, 4, uint64(configBit|uint32(devfn)<<8|reg&^3))
	v, _ := m.IO.Load(pci.PortConfigData+uint64(reg&3), size)
	return uint32(v)
}

// SetConfig writes to the configuration space of a function.
func (m *Machine) SetConfig(devfn uint8, reg uint32, size int, v uint32) {
	if m.Mirror != nil {
		m.Mirror.SetConfig(devfn, reg, size, v)
		return
	}
	m.IO.Store(pci.PortConfigAddress, 4, uint64(configBit|uint32(devfn)<<8|reg&^3))
	m.IO.Store(pci.PortConfigData+uint64(reg&3), size, uint64(v))
}

// Function is a driver's view of a virtio PCI function with its BARs mapped and bus mastering on.
type Function struct {
	*Machine
	DevFn  uint8
	Modern uint64 // address of the modern BAR
	Legacy uint64 // port of the legacy BAR
	MSIX   uint64 // address of the MSI-X BAR
}

// Map sets the BARs of a function up.
func (m *Machine) Map(devfn uint8) *Function {
	m.SetConfig(devfn, pci.RegBAR0, 4, legacyAt)
	m.SetConfig(devfn, pci.RegBAR0+4, 4, msixAt)
	m.SetConfig(devfn, pci.RegBAR0+16, 4, modernAt)
	m.SetConfig(devfn, pci.RegBAR0+20, 4, 0)
	m.SetConfig(devfn, pci.RegCommand, 2, pci.CommandIO|pci.CommandMemory|pci.CommandMaster)
	return &Function{Machine: m, DevFn: devfn, Modern: modernAt, Legacy: legacyAt, MSIX: msixAt}
}

// Com reads a register of the common configuration structure.
func (f *Function) Com(off uint64, size int) uint64 {
	v, _ := f.Mem.Load(f.Modern+off, size)
	return v
}

// SetCom writes a register of the common configuration structure.
func (f *Function) SetCom(off uint64, size int, v uint64) { f.Mem.Store(f.Modern+off, size, v) }

// EnableMSIX switches MSI-X on with vector i sending data 0x40+i.
func (f *Function) EnableMSIX(vectors int) {
	for i := range uint64(vectors) {
		f.Mem.Store(f.MSIX+16*i, 4, msiBase)
		f.Mem.Store(f.MSIX+16*i+4, 4, 0)
		f.Mem.Store(f.MSIX+16*i+8, 4, 0x40+i)
		f.Mem.Store(f.MSIX+16*i+12, 4, 0)
	}
	at := uint32(f.Config(f.DevFn, pci.RegCapabilities, 1))
	for at != 0 && f.Config(f.DevFn, at, 1) != pci.CapMSIX {
		at = f.Config(f.DevFn, at+1, 1)
	}
	f.SetConfig(f.DevFn, at+2, 2, 0x8000)
}

// Registers of the common configuration structure and status bits, as a driver spells them.
const (
	ComStatus = 20
	ComQSel   = 22
	ComQSize  = 24
	ComQMSIX  = 26
	ComQOn    = 28
	ComQDesc  = 32
	Notify    = 0x3000
	DeviceCfg = 0x2000

	StatusReady = 15 // acknowledge, driver, features OK, driver OK
)

// Negotiate accepts the wanted features that are offered and returns them.
func (f *Function) Negotiate(want uint64) uint64 {
	f.SetCom(ComStatus, 1, 0)
	f.SetCom(ComStatus, 1, 3)
	var got uint64
	for i := range uint64(2) {
		f.SetCom(0, 4, i)
		f.SetCom(8, 4, i)
		g := f.Com(4, 4) & (want >> (32 * i))
		f.SetCom(12, 4, g)
		got |= g << (32 * i)
	}
	f.SetCom(ComStatus, 1, 11)
	return got
}

// SetupQueue gives the device a queue with MSI-X vector v.
func (f *Function) SetupQueue(n int, d *Driver, v uint16) {
	f.SetCom(ComQSel, 2, uint64(n))
	f.SetCom(ComQSize, 2, uint64(d.Cfg.Num))
	f.SetCom(ComQMSIX, 2, uint64(v))
	for i, a := range []uint64{d.Cfg.Desc, d.Cfg.Avail, d.Cfg.Used} {
		f.SetCom(ComQDesc+8*uint64(i), 4, a&0xffffffff)
		f.SetCom(ComQDesc+8*uint64(i)+4, 4, a>>32)
	}
	f.SetCom(ComQOn, 2, 1)
}

// Kick notifies a queue.
func (f *Function) Kick(n int) { f.Mem.Store(f.Modern+Notify+4*uint64(n), 2, uint64(n)) }
