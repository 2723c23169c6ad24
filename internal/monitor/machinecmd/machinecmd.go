// Package machinecmd has the commands about the machine, its CPUs, its memory and its PCI buses.
package machinecmd

import (
	"context"
	"io"
	"os"
	"slices"
	"strconv"

	"goemu/accel"
	"goemu/accel/linear"
	"goemu/hw/hotplug"
	"goemu/hw/pci"
	"goemu/internal/hostmem"
	"goemu/internal/iothread"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/internal/strerror"
	"goemu/internal/userobj"
	"goemu/qapi"
	"goemu/target/x86"
)

// CPU is a virtual CPU as commands see it.
type CPU interface {
	accel.CPU
	State() *x86.State
	// ChangeMC lets f change the machine check registers of a state, and raises the exception if it says so. The CPU is paused.
	ChangeMC(f func(s *x86.State) (raise bool))
	// Thread is the host's number of the thread that it executes on.
	Thread() int
}

// Target is the machine.
type Target struct {
	VM *mainloop.VM
	// CPUs are those there are, by number, and Paths their places in the tree of objects. Both lists are replaced when CPUs come or go.
	CPUs  []CPU
	Paths []string
	// HotCPUs tells whether CPUs may come and go, Status what the guest has said about them and about memory modules; ok is false if it cannot.
	HotCPUs bool
	Status  func() (list []hotplug.OST, ok bool)
	// CPU is what all CPUs have in common; nil if there are none.
	CPU   *x86.Config
	Nodes func(cpu int) (node int, ok bool)
	// Memory is physical memory, Space what a CPU in a state sees of it.
	Memory *memory.AddressSpace
	Space  func(s *x86.State) *memory.AddressSpace
	Ports  *memory.AddressSpace
	RAM    uint64
	// Blocks shows the blocks of RAM; called under the machine lock.
	Blocks func(w io.Writer)
	// ROMs shows the images that firmware is or finds. It is called under the machine lock.
	ROMs func(w io.Writer)
	// Translator shows what a translator has made of the guest's code; nil if none executes it.
	Translator func(w io.Writer)
	// Modules are the memory modules by their addresses. It is called under the machine lock.
	Modules func() []MemoryModule
	// LAPIC shows a CPU's local APIC, Interrupts the other interrupt controllers. They are called under the machine lock.
	LAPIC      func(w io.Writer, cpu int)
	Interrupts func(w io.Writer)
	// InterruptCounts shows how often these controllers' inputs were raised. It is called under the machine lock.
	InterruptCounts func(w io.Writer)
	// NodeMemory are the sizes of the NUMA nodes, none without any.
	NodeMemory []uint64
	// SetBoot changes what the BIOS starts from.
	SetBoot func(order string) error
	PCI     *pci.Bus
	NMI     func()
	// CanWake tells whether the machine can be woken up.
	CanWake func() bool
	// ResetReinjection forgets the interrupts of the clock that the guest has missed; nil without a clock.
	ResetReinjection func()
	// Balloon is the machine's balloon, nil without one. It is called under the machine lock.
	Balloon func() Balloon
	// Generation is the machine's generation identifier, "" without a device for it.
	Generation func() string
	// USB lists the devices on USB buses; ok is false without such buses. It is called under the machine lock.
	USB func() (text string, ok bool)
	// Stats are an accelerator's statistics of a CPU, or of the machine (-1); nil if it keeps none. They are read while no CPU executes.
	Stats func(cpu int) ([]accel.Stat, error)
}

// cpu finds a CPU in the list by its number, -1 if it is not there.
func (t *Target) cpu(index int) int {
	return slices.IndexFunc(t.CPUs, func(c CPU) bool { return c.Index() == index })
}

// HasCPU tells whether there is a CPU of a number.
func (t *Target) HasCPU(index int64) bool {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	return t.cpu(int(index)) >= 0
}

// MachineType is a type of machine.
type MachineType struct {
	Name, Alias, DefaultCPU, DefaultRAMID string
	Default, NUMAMem, HotCPUs             bool
	MaxCPUs                               int
}

// Service carries the commands out.
type Service struct {
	Types []MachineType
	// Host is the processor that executes guests, nil if a translator does.
	Host *x86.Host
	// Machine is nil before the machine is made.
	Machine func() *Target
	// SetNUMA takes what set-numa-node says, as long as there is no machine.
	SetNUMA func(*qapi.NumaOptions) error
	// Emit tells clients of an event.
	Emit func(qapi.Event)
	// Objects are the user's objects.
	Objects func() *userobj.Set
}

// QueryMachines implements qapi.MachineCommands.
func (s *Service) QueryMachines(context.Context) (list []*qapi.MachineInfo, err error) {
	for i := range s.Types {
		t := &s.Types[i]
		m := &qapi.MachineInfo{Name: t.Name, CpuMax: int64(t.MaxCPUs), NumaMemSupported: t.NUMAMem, HotpluggableCpus: t.HotCPUs}
		if t.Alias != "" {
			m.Alias = &t.Alias
		}
		if t.Default {
			m.IsDefault = &t.Default
		}
		if t.DefaultCPU != "" {
			typ := t.DefaultCPU + x86.TypeSuffix
			m.DefaultCpuType = &typ
		}
		if t.DefaultRAMID != "" {
			m.DefaultRamId = &t.DefaultRAMID
		}
		list = append(list, m)
	}
	return list, nil
}

// QueryCurrentMachine implements qapi.MachineCommands.
func (s *Service) QueryCurrentMachine(context.Context) (*qapi.CurrentMachineParams, error) {
	return &qapi.CurrentMachineParams{WakeupSuspendSupport: s.Machine().CanWake()}, nil
}

// QueryTarget implements qapi.MachineCommands.
func (s *Service) QueryTarget(context.Context) (*qapi.TargetInfo, error) {
	return &qapi.TargetInfo{Arch: qapi.SysEmuTargetX8664}, nil
}

// place is the place of a CPU in the topology.
func (t *Target) place(cpu int) *qapi.CpuInstanceProperties {
	at := t.CPU.Topology.Place(cpu)
	socket, core, thread := int64(at.Socket), int64(at.Core), int64(at.Thread)
	p := &qapi.CpuInstanceProperties{SocketId: &socket, CoreId: &core, ThreadId: &thread}
	if t.CPU.Topology.Dies > 1 {
		die := int64(at.Die)
		p.DieId = &die
	}
	if n, ok := t.Nodes(cpu); ok {
		node := int64(n)
		p.NodeId = &node
	}
	return p
}

// SetNumaNode implements qapi.MachineCommands.
func (s *Service) SetNumaNode(_ context.Context, o *qapi.NumaOptions) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	if s.Machine() != nil {
		return qapi.Errorf("The command is permitted only before the machine has been created")
	}
	return s.SetNUMA(o)
}

// QueryCpusFast implements qapi.MachineCommands.
func (s *Service) QueryCpusFast(context.Context) (list []*qapi.CpuInfoFast, err error) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	t := s.Machine()
	for i, c := range t.CPUs {
		list = append(list, &qapi.CpuInfoFast{CpuIndex: int64(c.Index()), QomPath: t.Paths[i], ThreadId: int64(c.Thread()), Props: t.place(c.Index()), Target: qapi.SysEmuTargetX8664})
	}
	return list, nil
}

// QueryHotpluggableCpus implements qapi.MachineCommands: the places of CPUs, the last one first.
func (s *Service) QueryHotpluggableCpus(context.Context) (list []*qapi.HotpluggableCPU, err error) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	t := s.Machine()
	if t == nil || !t.HotCPUs {
		return nil, qapi.Errorf("machine does not support hot-plugging CPUs")
	}
	for i := t.CPU.Topology.CPUs() - 1; i >= 0; i-- {
		h := &qapi.HotpluggableCPU{Type: t.CPU.TypeName(), VcpusCount: 1, Props: t.place(i)}
		if at := t.cpu(i); at >= 0 {
			h.QomPath = &t.Paths[at]
		}
		list = append(list, h)
	}
	return list, nil
}

// QueryAcpiOspmStatus implements qapi.AcpiCommands.
func (s *Service) QueryAcpiOspmStatus(context.Context) (list []*qapi.ACPIOSTInfo, err error) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	status, ok := s.Machine().Status()
	if !ok {
		return nil, qapi.Errorf("command is not supported, missing ACPI device")
	}
	for _, o := range status {
		list = append(list, ostInfo(o))
	}
	return list, nil
}

// OSTEvent tells clients what the guest says about a slot.
func OSTEvent(o hotplug.OST) qapi.Event { return &qapi.AcpiDeviceOstEvent{Info: ostInfo(o)} }

func ostInfo(o hotplug.OST) *qapi.ACPIOSTInfo {
	i := &qapi.ACPIOSTInfo{Slot: strconv.Itoa(o.Slot), SlotType: qapi.ACPISlotType(o.Kind), Source: int64(o.Source), Status: int64(o.Status)}
	if o.Device != "" {
		i.Device = &o.Device
	}
	return i
}

// InjectNmi implements qapi.MachineCommands.
func (s *Service) InjectNmi(context.Context) error {
	t := s.Machine()
	if len(t.CPUs) == 0 {
		return qapi.Errorf("this feature or command is not currently supported")
	}
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	t.NMI()
	return nil
}

// dumpChunk is how much memory is written to a file at once.
const dumpChunk = 1 << 20

// save writes memory to a file piece by piece; read fills in the next one.
func save(name string, size int64, read func(p []byte, off int64) error) error {
	f, err := os.Create(name)
	if err != nil {
		return qapi.Errorf("Could not open '%s': %s", name, strerror.Of(err))
	}
	defer f.Close()
	buf := make([]byte, dumpChunk)
	for off := int64(0); off < size; {
		p := buf[:min(size-off, dumpChunk)]
		if err := read(p, off); err != nil {
			return err
		}
		if _, err := f.Write(p); err != nil {
			return qapi.Errorf("An IO error has occurred")
		}
		off += int64(len(p))
	}
	if err := f.Close(); err != nil {
		return qapi.Errorf("An IO error has occurred")
	}
	return nil
}

// Stopped runs f while no CPU executes. Preconditions: the machine lock is held.
func (t *Target) Stopped(f func()) {
	t.VM.PauseCPUs()
	f()
	t.VM.ResumeCPUs()
}

// CPUState is the state of a CPU, nil if it is not there; the machine stops for a moment. Preconditions: the machine lock is held.
func (t *Target) CPUState(cpu int) (st *x86.State) {
	at := t.cpu(cpu)
	if at < 0 {
		return nil
	}
	c := t.CPUs[at]
	t.Stopped(func() { st = c.State() })
	return st
}

// Memsave implements qapi.MachineCommands.
func (s *Service) Memsave(_ context.Context, arg *qapi.MemsaveArg) error {
	t := s.Machine()
	cpu := int64(0)
	if arg.CpuIndex != nil {
		cpu = *arg.CpuIndex
	}
	mainloop.Lock.Lock()
	st := t.CPUState(int(cpu))
	mainloop.Lock.Unlock()
	if st == nil {
		return qapi.Errorf("Parameter 'cpu-index' expects a CPU number")
	}
	return save(arg.Filename, arg.Size, func(p []byte, off int64) error {
		mainloop.Lock.Lock()
		defer mainloop.Lock.Unlock()
		if !linear.Access(t.Space(st), st, uint64(arg.Val+off), p, false) {
			return qapi.Errorf("Invalid addr 0x%016x/size %d specified", uint64(arg.Val+off), arg.Size)
		}
		return nil
	})
}

// Pmemsave implements qapi.MachineCommands.
func (s *Service) Pmemsave(_ context.Context, arg *qapi.PmemsaveArg) error {
	t := s.Machine()
	return save(arg.Filename, arg.Size, func(p []byte, off int64) error {
		mainloop.Lock.Lock()
		defer mainloop.Lock.Unlock()
		t.Memory.Read(uint64(arg.Val+off), p)
		return nil
	})
}

// QueryMemdev implements qapi.MachineCommands.
func (s *Service) QueryMemdev(context.Context) (list []*qapi.Memdev, err error) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	userobj.All(s.Objects(), func(id string, b *hostmem.Backend) {
		f := b.Flags()
		list = append(list, &qapi.Memdev{Id: &id, Size: b.Size(), Merge: f.Merge, Dump: f.Dump, Prealloc: f.Prealloc, Share: f.Share, Reserve: &f.Reserve,
			HostNodes: b.Nodes(), Policy: qapi.HostMemPolicy(b.Policy())})
	})
	return list, nil
}

// QueryMemorySizeSummary implements qapi.MachineCommands.
func (s *Service) QueryMemorySizeSummary(context.Context) (*qapi.MemoryInfo, error) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	plugged := s.Machine().plugged(allNodes)
	return &qapi.MemoryInfo{BaseMemory: s.Machine().RAM, PluggedMemory: &plugged}, nil
}

// QueryIothreads implements qapi.MiscCommands.
func (s *Service) QueryIothreads(context.Context) (list []*qapi.IOThreadInfo, err error) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	userobj.All(s.Objects(), func(id string, t *iothread.Thread) {
		p := t.Parameters()
		list = append(list, &qapi.IOThreadInfo{Id: id, ThreadId: int64(p.Thread), PollMaxNs: p.PollMax, PollGrow: p.PollGrow, PollShrink: p.PollShrink, AioMaxBatch: p.Batch})
	})
	return list, nil
}

// RtcResetReinjection implements qapi.MiscTargetCommands.
func (s *Service) RtcResetReinjection(context.Context) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	if f := s.Machine().ResetReinjection; f != nil {
		f()
	}
	return nil
}
