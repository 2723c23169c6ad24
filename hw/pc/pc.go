// Package pc puts PC machines together: memory map, chips, interrupt wiring, CPUs and the direct boot of a kernel. It is the only
// package of hw that names concrete devices. The accelerator comes from outside.
package pc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"goemu/accel"
	"goemu/hw/disk"
	"goemu/hw/firmware"
	"goemu/hw/firmware/acpi"
	"goemu/hw/firmware/fwcfg"
	"goemu/hw/firmware/loader"
	"goemu/hw/hotplug"
	"goemu/hw/ide"
	"goemu/hw/intc/apic"
	"goemu/hw/intc/i8259"
	"goemu/hw/intc/ioapic"
	"goemu/hw/isa"
	"goemu/hw/nic"
	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/hw/timer/i8254"
	"goemu/hw/timer/mc146818"
	"goemu/hw/virtio"
	"goemu/hw/virtio/transport"
	"goemu/hw/vmport"
	"goemu/internal/chardev"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/target/x86"
)

// CPU is a virtual CPU as the machine needs it.
type CPU interface {
	accel.CPU
	// Env is the architectural state; touched only while the CPU is paused or not started.
	Env() *x86.Env
	// Reset puts the CPU in its power-on state; only while paused or not started.
	Reset()
	SetInterruptController(accel.InterruptController)
	SetA20(on bool)
	// SetMSR sets a model-specific register; only while paused or not started.
	SetMSR(index uint32, value uint64)
	// Thread is the host's number of the thread that the CPU executes on.
	Thread() int
	// State and SetState get and replace the whole state; only while paused or not started.
	State() *x86.State
	SetState(*x86.State)
	// ChangeMC lets f change the machine check registers of a state, and raises the exception if it says so; only while paused or not started.
	ChangeMC(f func(s *x86.State) (raise bool))
}

// Accelerator runs the machine's CPUs.
type Accelerator interface {
	// NewCPU adds a CPU, which Start lets execute. Remove takes one out, at any time; it may be the one that executes the call.
	NewCPU(index int, apicID uint32) (CPU, error)
	Remove(CPU)
	// Start begins to execute the CPUs that do not yet, unless they are paused.
	Start()
	Pause()
	Resume()
	Close() error
}

// Config is what a machine is made of.
type Config struct {
	Type  *Type
	Props Props
	RAM   uint64 // bytes
	// MaxRAM is how much memory there may be with that of modules, 0 for no more than RAM, and MemorySlots the number of slots for those.
	MaxRAM      uint64
	MemorySlots int
	// Backend is where the RAM comes from; nil: memory of the machine's own.
	Backend MemoryBackend
	CPUs    int
	// Topology and features of the CPUs; the accelerator got the same.
	CPU *x86.Config
	// NewAccel makes the accelerator for the machine's memory.
	NewAccel func(mem, smm *memory.AddressSpace, m accel.Machine) (Accelerator, error)
	Registry *qdev.Registry
	Globals  []qdev.Global
	// Links registers backends that device properties name.
	Links func(*qdev.Links)

	VGA       string             // device type of the display adapter on board, "" for none
	Serials   []*chardev.Backend // by port, nil for none
	Parallels []*chardev.Backend // so, too
	Floppies  []string           // drives of the floppy controller, by unit, "" for none
	Boot      loader.Config      // Kernel empty: start the firmware
	UUID      string
	BIOS      []byte // firmware image, mapped below 4 GiB; it gets the kernel, too
	BIOSName  string // of its file
	BootROM   string // file of FWCfg that firmware starts before everything else, "" for none
	RTC       RTC
	BootOrder BootOrder
	FWCfg     []FWCfgItem
	SMBIOS    []FirmwareOption
	ACPI      [][]byte // tables of the user's
	NUMA      []NUMANode
	HMAT      *acpi.HMAT // nil for none
}

// RTC says what time the guest's clock shows.
type RTC struct {
	Start time.Time
	Clock *clock.Clock
}

// FirmwareOption is a -smbios option: its text and its members.
type FirmwareOption struct {
	Origin  string
	Members [][2]string
}

// FWCfgItem is a user's -fw_cfg file.
type FWCfgItem struct {
	Name string
	Data []byte
}

// NUMANode is a node of -numa: its memory in bytes, where that comes from (nil: the machine's RAM), its CPUs, and its distance to each
// node, nil if the user gave none.
type NUMANode struct {
	Memory   uint64
	Backend  MemoryBackend
	CPUs     []int
	Distance []uint8
}

// LocalDistance is the distance from a node to itself, the shortest there is (ACPI 5.2.17).
const LocalDistance = 10

// MemoryBackend is memory of the host that one user can take.
type MemoryBackend interface {
	Take() (*memory.RAMBlock, error)
}

// Machine is a PC.
type Machine struct {
	cfg  Config
	VM   *mainloop.VM
	Tree *qdev.Tree
	// OST hears what the guest says about slots of CPUs and memory, CPUsChanged of CPUs that have come or gone; nil for nobody. They are called
	// under the machine lock.
	OST         func(hotplug.OST)
	CPUsChanged func()

	mem, io       *memory.Region // system memory and ports
	memory, ports *memory.AddressSpace
	smm           *memory.AddressSpace // as CPUs in system management mode see it
	smmRoot       *memory.Region
	map_          memoryMap

	accel      Accelerator
	units      []*cpuDevice  // by number
	dimms      []*dimm       // by address
	cpus       []CPU         // theirs
	timers     *clock.Server // of the local APICs
	apics      *apic.Set
	pics       *i8259.Pair
	ioapic     *ioapic.IOAPIC
	pit        *i8254.PIT
	gsi        []*qdev.IRQ // inputs of interrupt controllers by global number
	offloaded  bool        // the interrupt controllers work in the kernel
	isa        *isa.Bus
	vmport     *vmport.Port // nil without
	pci        *pci.Bus
	ide        []*ide.Bus
	setupIDE   func() // makes the channels answer, as firmware does
	rtc        *mc146818.RTC
	chips      chipset
	image      *loader.Image
	handed     *loader.Handover // the kernel that firmware is to start, nil if there is none
	fw         *fwcfg.FWCfg
	tablesRead bool            // by firmware, since the last reset
	setup      *firmware.Setup // what firmware would leave behind
	loaded     []x86.State     // of the CPUs, until LoadDone
	fromKVM    bool            // … and the stream has the state of KVM's clock, as streams of such machines do
	kept       []*kept         // by keptLayouts
	blocks     *memory.BlockList
}

// chipset is the part in which machine types differ.
type chipset interface {
	// afterReset finishes a reset once all devices have had theirs.
	afterReset(m *Machine)
	// describe completes what the firmware tables tell about the machine.
	describe(m *Machine, f *firmware.Machine)
	// commandLine is what the machine adds to the kernel's.
	commandLine(m *Machine) string
	// raise reports general purpose events of ACPI; pm names them.
	raise(events uint8)
	// slots are the registers for CPUs and memory modules that come and go; nil without ACPI.
	slots() (*hotplug.CPUs, *hotplug.DIMMs)
	// mayPlugCPU and mayUnplugCPU tell whether the firmware can cope.
	mayPlugCPU() error
	mayUnplugCPU() error
	// pciMemory is PCI's memory space, nil without PCI.
	pciMemory() *memory.Region
}

// New builds a machine. Its devices are in their reset state and nothing runs. Preconditions: the machine lock is held.
func New(cfg Config) (*Machine, error) {
	m := &Machine{blocks: memory.NewBlockList(), cfg: cfg, VM: mainloop.NewVM(mainloop.Main), Tree: qdev.NewTree(cfg.Registry), map_: layout(cfg.RAM, cfg.Type, &cfg.Props)}
	m.map_.reserve(&cfg)
	if cfg.CPUs > cfg.Type.MaxCPUs {
		return nil, fmt.Errorf("Invalid SMP CPUs %d. The max CPUs supported by machine '%s' is %d", cfg.CPUs, cfg.Type.Name, cfg.Type.MaxCPUs)
	}
	if err := m.cfg.BootOrder.check(); err != nil {
		return nil, err
	}
	transport.CPUs = cfg.CPUs
	m.Tree.Machine.SetType(cfg.Type.Name + "-machine")
	for _, g := range append(slices.Clone(cfg.Type.Compat), cfg.Globals...) {
		if !isCPUType(g.Driver) { // those are in the CPUs' configuration
			m.Tree.Globals = append(m.Tree.Globals, g)
		}
	}
	m.Tree.Loose = (*plugs)(m)
	if cfg.Links != nil {
		cfg.Links(&m.Tree.Links)
	}
	memory.Begin()
	err := m.build()
	memory.Commit()
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	m.VM.Pause, m.VM.Resume, m.VM.Reset, m.VM.Wake = m.pause, m.resume, m.reset, m.wake
	m.VM.OnEvent(m.suspended)
	m.VM.OnChange(func(running bool, _ mainloop.RunState) {
		virtio.SetMachineRunning(running)
		nic.SetMachineRunning(running)
		m.runChanged(running)
	})
	disk.StopMachine = func() { m.VM.RequestStop(mainloop.StateIOError) }
	return m, nil
}

func (m *Machine) build() error {
	m.mem, m.io = memory.NewContainer("system", memory.Whole), memory.NewPortSpace("io")
	m.memory, m.ports = memory.NewAddressSpace("memory", m.mem), memory.NewAddressSpace("I/O", m.io)
	if m.cfg.Props.SMM != qdev.Off {
		m.smmRoot = memory.NewContainer("memory-smm", memory.Whole)
		m.smmRoot.Add(memory.NewAlias("memory", m.mem, 0, memory.Whole), 0, 0)
		m.smm = memory.NewAddressSpace("memory-smm", m.smmRoot)
	}
	if err := m.map_.place(m.mem, &m.cfg); err != nil {
		return err
	}
	if err := m.createCPUs(); err != nil {
		return err
	}
	if err := m.cfg.Type.build(m); err != nil {
		return err
	}
	for _, u := range m.units {
		m.pluggedCPU(u)
	}
	return m.mapBIOS()
}

// createCPUs makes the accelerator, the CPUs and their local APICs.
func (m *Machine) createCPUs() (err error) {
	if m.accel, err = m.cfg.NewAccel(m.memory, m.smm, m); err != nil {
		return err
	}
	if m.timers, err = clock.NewServer(clock.Virtual); err != nil {
		return err
	}
	m.apics = apic.NewSet(m.timers.List(clock.Virtual))
	if k, _ := m.kernelChips(); k != nil {
		m.apics.Direct = k.Direct
	}
	for i := range m.cfg.CPUs {
		if err := m.newCPU(i); err != nil {
			return err
		}
	}
	m.mem.Add(m.apics.Region(), apic.DefaultAddress, 4096)
	return nil
}

// AddDevice adds a device as -device does.
func (m *Machine) AddDevice(s []qdev.Setting) (qdev.Device, error) { return m.Tree.Add(s) }

// Ready prepares the boot: call it when all devices are there. It resets the machine; VM.Start then lets it run.
func (m *Machine) Ready(ctx context.Context) error {
	if err := m.describeBoot(); err != nil {
		return err
	}
	if !m.cfg.Type.Empty {
		if err := m.loadBoot(); err != nil {
			return err
		}
	}
	if m.rtc != nil && m.pci != nil {
		m.describeFloppies()
		if len(m.ide) > 0 {
			m.describeDisks()
		}
	}
	if !clock.Virtual.Manual() { // else whoever moves the clock runs the timers
		m.timers.Start(ctx)
	}
	m.reset(mainloop.CauseNone)
	m.Tree.Hot = true
	return nil
}

// Start begins to execute the CPUs, which wait until VM.Start.
func (m *Machine) Start() {
	m.accel.Pause()
	m.accel.Start()
}

// pause stops the CPUs and calls stopped when none executes. Preconditions: the machine lock is held; it is dropped meanwhile, since a CPU may
// be waiting for it.
func (m *Machine) pause(stopped func()) {
	mainloop.Lock.Unlock()
	m.accel.Pause()
	stopped()
	mainloop.Lock.Lock()
	m.reclaim()
}

// reset puts devices and CPUs in their power-on state and the boot images in place. A machine whose state is going to be loaded stays as it
// is then, as what is not in a stream has its power-on value.
func (m *Machine) reset(cause mainloop.ShutdownCause) {
	if cause != mainloop.CauseNone && m.rtc != nil {
		m.rtc.SetBoot(m.cfg.BootOrder.Order, m.cfg.BootOrder.NoCheck)
	}
	m.tablesRead = false
	m.Tree.Reset()
	_ = m.describeBoot() // fails if a device that was added has the index of another; the order stays then
	if cause == mainloop.CauseSnapshotLoad || m.VM.State() == mainloop.StateInMigrate {
		return
	}
	m.chips.afterReset(m)
	m.placeBoot()
}

// What CMOS says about the reset that ends a suspension.
const (
	cmosShutdown = 0x0f
	shutdownS3   = 0xfe
)

// Suspends tells whether the guest can be put to sleep and woken up.
func (m *Machine) Suspends() bool { return m.rtc != nil && m.cfg.Props.ACPI != qdev.Off }

// suspended notes for the firmware that the next start is a resumption.
func (m *Machine) suspended(e mainloop.Event) {
	if e.Name == "SUSPEND" && m.rtc != nil {
		m.rtc.SetCMOS(cmosShutdown, shutdownS3)
	}
}

// wake ends a suspension: devices and CPUs are reset, memory keeps its contents. A kernel that was booted directly is resumed at the
// waking vector that it left in the ACPI tables.
func (m *Machine) wake() {
	m.Tree.Reset()
	m.chips.afterReset(m)
	if m.image == nil || m.setup.Waking == 0 {
		return
	}
	for _, c := range m.cpus {
		for _, r := range m.setup.MSRs {
			c.SetMSR(r.Index, r.Value)
		}
	}
	v, _ := m.memory.Load(m.setup.Waking, 4)
	e := m.cpus[0].Env()
	e.Seg[x86.CS].Selector, e.Seg[x86.CS].Base = uint16(v>>4), v>>4<<4&0xfffff
	e.PC = v & 15
	e.UpdateHFlags()
}

// NMI drives the non-maskable interrupt of all CPUs.
func (m *Machine) NMI() {
	for _, c := range m.cpus {
		c.Raise(accel.IRQNMI)
	}
}

// Close ends the CPUs and takes the devices out of operation. Preconditions: the machine lock is held.
func (m *Machine) Close() error {
	var err error
	if m.accel != nil {
		m.pause(func() {})
	}
	if m.timers != nil {
		m.timers.Close()
	}
	m.Tree.Close()
	if m.accel != nil {
		mainloop.Lock.Unlock()
		err = m.accel.Close()
		mainloop.Lock.Lock()
	}
	m.memory.Close()
	if m.smm != nil {
		m.smm.Close()
	}
	m.ports.Close()
	if m.image != nil {
		err = errors.Join(err, m.image.Close())
	}
	if m.handed != nil {
		err = errors.Join(err, m.handed.Close())
	}
	return err
}

// ReadIO implements accel.Bus.
func (m *Machine) ReadIO(by accel.Registers, port uint16, size int) uint32 {
	if m.vmport != nil && vmport.In(port, size) {
		var v uint64
		m.callVMware(by, func() { v, _ = m.ports.Load(uint64(port), size) })
		return uint32(v)
	}
	v, _ := m.ports.BusLoad(uint64(port), size)
	return uint32(v)
}

// WriteIO implements accel.Bus.
func (m *Machine) WriteIO(by accel.Registers, port uint16, size int, value uint32) {
	if m.vmport != nil && vmport.In(port, size) {
		m.callVMware(by, func() { m.ports.Store(uint64(port), size, uint64(value)) })
		return
	}
	m.ports.BusStore(uint64(port), size, uint64(value))
}

// callVMware makes an access to the port whose device sees the CPU's registers.
func (m *Machine) callVMware(by accel.Registers, access func()) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	m.vmport.By(by, access)
}

// Stopping implements accel.Machine.
func (m *Machine) Stopping() bool { return m.VM.Stopping() }

// Request implements accel.Machine.
func (m *Machine) Request(why accel.Shutdown, text string) {
	switch why {
	case accel.ShutdownTripleFault:
		m.VM.RequestReset(mainloop.CauseGuestReset)
	case accel.ShutdownInternal:
		internalError(text)
		m.VM.RequestStop(mainloop.StateInternalError)
	}
}

// Memory is what the CPUs and bus masters see.
func (m *Machine) Memory() *memory.AddressSpace { return m.memory }

// Ports is the I/O port space.
func (m *Machine) Ports() *memory.AddressSpace { return m.ports }

// CPUs returns the virtual CPUs that there are in the order of their numbers.
func (m *Machine) CPUs() []CPU { return m.cpus }

// Accelerator returns what runs the CPUs.
func (m *Machine) Accelerator() Accelerator { return m.accel }

// Space is what a CPU in a state sees of memory.
func (m *Machine) Space(s *x86.State) *memory.AddressSpace {
	if m.smm != nil && s.Mode&x86.ModeSMM != 0 {
		return m.smm
	}
	return m.memory
}

// TPR is the task priority of the local APIC of a CPU that is there.
func (m *Machine) TPR(cpu int) uint64 { return uint64(m.unit(cpu).apic.TPR()) }

// HasFeature tells whether the CPUs have a feature.
func (m *Machine) HasFeature(f x86.Feature) bool {
	return m.cfg.CPU != nil && m.cfg.CPU.Features.Has(f)
}

// PCI is the bus behind the host bridge, nil if there is none.
func (m *Machine) PCI() *pci.Bus { return m.pci }

// CPUPath is the place in the tree of objects of a CPU that is there.
func (m *Machine) CPUPath(cpu int) string { return m.unit(cpu).QOM().Path() }

// ResetReinjection forgets the interrupts of the real-time clock that the guest has missed.
func (m *Machine) ResetReinjection() {
	if m.rtc != nil {
		m.rtc.ForgetMissed()
	}
}
