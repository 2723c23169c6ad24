package acpi

// Machine describes a machine as far as its tables need it.
type Machine struct {
	CPUs            []CPU
	PCI             *PCI   // nil: no PCI (microvm)
	PM              *PM    // nil: hardware-reduced, with a GED
	MCFG            *Range // the extended configuration space, nil while it has no place
	GED             *GED
	HPET            bool
	IOAPICs         []IOAPIC
	Serials         []Serial
	Keyboard, Mouse bool
	RTC             bool
	FWCfg           bool
	PVPanic         uint16 // port, 0 for none
	VirtioMMIO      []VirtioMMIO
	Nodes           []Node // NUMA nodes, none if NUMA is not asked for
	OEMID           string // up to 6 characters, default BOCHS
	OEMTableID      string // up to 8 characters, default BXPC
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
}

// PM is the fixed hardware of PIIX4 or ICH9.
type PM struct {
	ICH9     bool
	Base     uint16 // PM1 event block; control is at +4, the timer at +8
	GPE      uint16
	GPEBytes uint8
	SCI      uint8
	SMICmd   uint16
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

// Serial is a 16550A on the ISA bus.
type Serial struct {
	Port uint16
	IRQ  uint8
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
