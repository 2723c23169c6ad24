package acpi

import "slices"

// Machine describes a machine as far as its tables need it.
type Machine struct {
	CPUs []CPU
	// CPUHotplug is the port of the registers for CPUs that come and go. The firmware may have agreed to take CPUs in, and to let them go.
	CPUHotplug                  uint16
	CPUHotplugSMI, CPUUnplugSMI bool

	// MemorySlots is the number of slots for memory modules, MemoryHotplug the port of their registers, and DeviceMemory where they lie.
	MemorySlots   int
	MemoryHotplug uint16
	DeviceMemory  Range

	PCI        *PCI   // nil: no PCI (microvm)
	PM         *PM    // nil: hardware-reduced, with a GED
	MCFG       *Range // the extended configuration space, nil while it has no place
	GED        *GED
	HPET       bool
	IOAPICs    []IOAPIC
	ISA        []ISADevice // in the order of the tables
	FWCfg      bool
	VirtioMMIO []VirtioMMIO
	Generation *[16]byte // the machine's generation identifier as the guest reads it, nil for none
	Nodes      []Node    // NUMA nodes, none if NUMA is not asked for
	HMAT       *HMAT     // nil unless asked for
	User       [][]byte  // tables of the user's
	OEMID      string    // up to 6 characters, default BOCHS
	OEMTableID string    // up to 8 characters, default BXPC
}

// CPU is a processor, present or not yet.
type CPU struct {
	APICID  uint32
	Enabled bool
	Node    uint32
}

// PCI is the host bridge's view of memory.
type PCI struct {
	Hole32Start, Hole32End uint64 // for BARs below 4 GiB, the end inclusive
	Hole64Start, Hole64End uint64 // none if the end is zero
	Express                bool   // the root complex of a q35
	UID                    uint8  // of the root bus
	Root                   Bus
	Hotplug                uint16 // port of the registers for hot-plugging with ACPI, 0 for none
	HotplugBridges         bool   // they serve the buses behind bridges, too
}

// NoSelector is the selector of a bus that the hot-plug registers do not serve.
const NoSelector = -1

// Bus is a PCI bus with what is on it when the tables are made.
type Bus struct {
	Selector int // by which the hot-plug registers know it
	Express  bool
	Devices  []PCIDevice // by address
	Behind   []uint8     // addresses of the bridges that have a bus behind them, in the order in which the tables ask those
}

// PCIDevice is a function on a bus.
type PCIDevice struct {
	DevFn     uint8
	Removable bool // may be hot-plugged at all
	Bridge    *Bus // behind a bridge that was there from the start
	Kind      PCIKind
}

// PCIKind tells what else the tables say about a function.
type PCIKind uint8

// The kinds of functions.
const (
	PCIPlain PCIKind = iota
	PCIVGA
	PCISMBus
	PCIISABridge
)

// PM is the fixed hardware of PIIX4 or ICH9.
type PM struct {
	ICH9     bool
	Base     uint16 // PM1 event block; control is at +4, the timer at +8
	GPE      uint16
	GPEBytes uint8
	SCI      uint8
	SMICmd   uint16 // port of the command that leaves and enters ACPI mode; 0: it cannot be left
	S3, S4   bool
	S4Value  uint8
	CMOSCent uint8
}

// GED is the generic event device of a hardware-reduced machine.
type GED struct {
	Base     uint64 // event selector register; sleep control and status follow in the register block
	IRQ      uint32
	Register uint64 // sleep control register; status is the next byte, reset the one after that
}

// IOAPIC is an I/O interrupt controller.
type IOAPIC struct {
	ID   uint8
	Addr uint32
	Base uint32 // first global interrupt
}

// ISADevice is a device at fixed ports. Keyboard, mouse and clock are always at their own.
type ISADevice struct {
	Kind  ISAKind
	Index int // of serial and parallel ports, from zero
	Port  uint16
	IRQ   uint8
	// Of floppy controllers: the DMA channel and the drives, by number.
	DMA    uint8
	Drives []FloppyDrive
}

// FloppyDrive is a drive at a floppy controller, with its highest cylinder, head and sector. Type is its number in CMOS memory, 0 if there is none.
type FloppyDrive struct{ Type, Cylinder, Head, Sector uint8 }

// ISAKind tells what a device is.
type ISAKind uint8

// The kinds of devices at fixed ports.
const (
	ISAKeyboard ISAKind = iota
	ISAMouse
	ISASerial
	ISAClock
	ISAPanic
	ISAFloppy
	ISAParallel
)

// has tells whether there is a device of a kind.
func (m *Machine) has(k ISAKind) bool {
	return slices.ContainsFunc(m.ISA, func(d ISADevice) bool { return d.Kind == k })
}

// VirtioMMIO is a virtio device behind memory-mapped registers.
type VirtioMMIO struct {
	UID        uint64
	Addr, Size uint32
	IRQ        uint32
}

// Range is a range of guest memory.
type Range struct{ Addr, Size uint64 }

// Node is a NUMA node: its memory and its distance to every node.
type Node struct {
	Memory   []Range
	Distance []uint8
}
