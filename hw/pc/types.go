package pc

import (
	"fmt"
	"slices"
	"strings"

	"goemu/hw/qdev"
)

// Type is a machine type.
type Type struct {
	Name, Alias, Desc string
	Default           bool
	Empty             bool // no part unless asked for: no CPU, no memory, nothing to boot
	MaxCPUs           int
	DefaultRAM        uint64
	DefaultCPU        string
	RAMID             string // name of a memory backend that the machine makes for itself
	NUMAMem           bool   // -numa node,mem is possible
	BlockBus          string // device type for -drive if=virtio
	DriveIF           string // bus of drives for which none is named
	Firmware          string // image that it starts without a kernel, "" for the PC's
	HasVGA            bool   // has a display adapter by default
	HasSlots          bool   // can have slots for memory modules, and CPUs that come and go
	Floppies          int    // how many floppy drives -drive can add
	HasParallel       bool   // has a parallel port by default
	HasSD             bool   // has an SD card by default, which no device reads
	HasFloppy         bool   // has a floppy controller with a drive by default
	NIC               string // model of NICs for which none is named, "" if the machine makes none of -nic and -net nic
	DefaultCD         int    // position of the CD-ROM drive that a machine has by default, 0 if none
	Compat            []qdev.Global
	props             []string // which rows of the property table it has
	split             uint64   // RAM that stays below 4 GiB when there is more, 0 for the PC's rule
	limit             uint64   // how much RAM fits whole below 4 GiB, 0 for as much as split says
	version           string
	build             func(*Machine) error
}

// rootUID is the number of the root bus in the ACPI tables.
func (t *Type) rootUID() uint8 {
	if t.version <= "5.1" {
		return 1
	}
	return 0
}

// Versions of the i440fx and q35 machines, newest first.
var versions = [...]string{"7.2", "7.1", "7.0", "6.2", "6.1", "6.0", "5.2", "5.1", "5.0", "4.2", "4.1"}

// Types lists the machine types in the order of -machine help.
func Types() []*Type {
	var out []*Type
	for i, v := range versions {
		t := i440fxType(v)
		if i == 0 {
			t.Alias, t.Default = "pc", true
		}
		out = append(out, t)
	}
	for i, v := range versions {
		t := q35Type(v)
		if i == 0 {
			t.Alias = "q35"
		}
		out = append(out, t)
	}
	return append(append([]*Type{microvmType()}, out...), noneType())
}

// Find looks a type up by name or alias; an empty name is the default type.
func Find(name string) *Type {
	for _, t := range Types() {
		if t.Name == name || t.Alias == name && name != "" || name == "" && t.Default {
			return t
		}
	}
	return nil
}

// Help is the answer to -machine help.
func Help() string {
	var b strings.Builder
	b.WriteString("Supported machines are:\n")
	for _, t := range Types() {
		if t.Alias != "" {
			fmt.Fprintf(&b, "%-20s %s (alias of %s)\n", t.Alias, t.Desc, t.Name)
		}
		def := ""
		if t.Default {
			def = " (default)"
		}
		fmt.Fprintf(&b, "%-20s %s%s\n", t.Name, t.Desc, def)
	}
	return b.String()
}

// Props are the machine's properties (-machine type,prop=value).
type Props struct {
	ACPI, PIC, PIT, RTC, SMM, IOAPIC2, VMPort qdev.OnOffAuto
	HPET, ISASerial, AutoCmdline              bool
	I8042, SATA, SMBus, USB                   bool
	Graphics, MemMerge, DumpGuestCore         bool
	HMAT                                      bool
	RelaxedResume                             bool // see block.Graph.Relaxed
	UserOffloads                              bool // see netdev.Set.ShowVnetHdr
	MaxRAMBelow4G                             uint64
	MemoryBackend                             string // identifier of the object that stands for the main memory
	OEMID, OEMTableID                         string
	SMBIOS64                                  bool      // the entry point of SMBIOS is that of version 3.0
	SpeakerAudiodev                           string    // identifier of where the speaker's sound goes
	Flash                                     [2]string // disks with the firmware, "" for none
}

// property is a row of the table of machine properties.
type property struct {
	name, typ, help string
	set             func(p *Props, v string) error
}

func onOffAuto(name string, f func(*Props) *qdev.OnOffAuto) func(*Props, string) error {
	return func(p *Props, v string) error {
		switch v {
		case "on":
			*f(p) = qdev.On
		case "off":
			*f(p) = qdev.Off
		case "auto":
			*f(p) = qdev.Auto
		default:
			return fmt.Errorf("Parameter '%s' does not accept value '%s'", name, v)
		}
		return nil
	}
}

func boolean(name string, f func(*Props) *bool) func(*Props, string) error {
	return func(p *Props, v string) error {
		switch v {
		case "on", "yes", "true", "y":
			*f(p) = true
		case "off", "no", "false", "n":
			*f(p) = false
		default:
			return fmt.Errorf("Parameter '%s' expects 'on' or 'off'", name)
		}
		return nil
	}
}

func text(f func(*Props) *string, name string, limit int) func(*Props, string) error {
	return func(p *Props, v string) error {
		if len(v) > limit {
			return fmt.Errorf("User specified %s value is bigger than %d bytes in size", name, limit)
		}
		*f(p) = v
		return nil
	}
}

// properties are all machine properties in alphabetical order.
func properties() []property {
	return []property{
		{"acpi", "OnOffAuto", "Enable ACPI", onOffAuto("acpi", func(p *Props) *qdev.OnOffAuto { return &p.ACPI })},
		{"append", "string", "Linux kernel command line", viaOption},
		{"auto-kernel-cmdline", "bool", "Set off to disable adding virtio-mmio devices to the kernel cmdline", boolean("auto-kernel-cmdline", func(p *Props) *bool { return &p.AutoCmdline })},
		{"dump-guest-core", "bool", "Include guest memory in a core dump", boolean("dump-guest-core", func(p *Props) *bool { return &p.DumpGuestCore })},
		{"firmware", "string", "Firmware image", viaOption},
		{"graphics", "bool", "Set on/off to enable/disable graphics emulation", boolean("graphics", func(p *Props) *bool { return &p.Graphics })},
		{"hmat", "bool", "Set on/off to enable/disable ACPI Heterogeneous Memory Attribute Table (HMAT)", boolean("hmat", func(p *Props) *bool { return &p.HMAT })},
		{"hpet", "bool", "Enable/disable high precision event timer emulation", boolean("hpet", func(p *Props) *bool { return &p.HPET })},
		{"i8042", "bool", "", boolean("i8042", func(p *Props) *bool { return &p.I8042 })},
		{"initrd", "string", "Linux initial ramdisk file", viaOption},
		{"ioapic2", "OnOffAuto", "Enable second IO-APIC", onOffAuto("ioapic2", func(p *Props) *qdev.OnOffAuto { return &p.IOAPIC2 })},
		{"isa-serial", "bool", "Set off to disable the instantiation an ISA serial port", boolean("isa-serial", func(p *Props) *bool { return &p.ISASerial })},
		{"kernel", "string", "Linux kernel image file", viaOption},
		{"max-ram-below-4g", "size", "Maximum ram below the 4G boundary (32bit boundary)", maxRAM},
		{"mem-merge", "bool", "Enable/disable memory merge support", boolean("mem-merge", func(p *Props) *bool { return &p.MemMerge })},
		{"memory-backend", "string", "Set RAM backendValid value is ID of hostmem based backend", text(func(p *Props) *string { return &p.MemoryBackend }, "memory-backend", 255)},
		{"pcspk-audiodev", "str", "ID of an audiodev to use as a backend", text(func(p *Props) *string { return &p.SpeakerAudiodev }, "pcspk-audiodev", 255)},
		{"pflash0", "str", "Node name or ID of a block device to use as a backend", text(func(p *Props) *string { return &p.Flash[0] }, "pflash0", 255)},
		{"pflash1", "str", "Node name or ID of a block device to use as a backend", text(func(p *Props) *string { return &p.Flash[1] }, "pflash1", 255)},
		{"pic", "OnOffAuto", "Enable i8259 PIC", onOffAuto("pic", func(p *Props) *qdev.OnOffAuto { return &p.PIC })},
		{"pit", "OnOffAuto", "Enable i8254 PIT", onOffAuto("pit", func(p *Props) *qdev.OnOffAuto { return &p.PIT })},
		{"rtc", "OnOffAuto", "Enable MC146818 RTC", onOffAuto("rtc", func(p *Props) *qdev.OnOffAuto { return &p.RTC })},
		{"sata", "bool", "Enable/disable Serial ATA bus", boolean("sata", func(p *Props) *bool { return &p.SATA })},
		{"smbios-entry-point-type", "str", "SMBIOS Entry Point type [32, 64]", entryPoint},
		{"smbus", "bool", "Enable/disable system management bus", boolean("smbus", func(p *Props) *bool { return &p.SMBus })},
		{"smm", "OnOffAuto", "Enable SMM", onOffAuto("smm", func(p *Props) *qdev.OnOffAuto { return &p.SMM })},
		{"usb", "bool", "Set on/off to enable/disable usb", boolean("usb", func(p *Props) *bool { return &p.USB })},
		{"vmport", "OnOffAuto", "Enable vmport (pc & q35)", onOffAuto("vmport", func(p *Props) *qdev.OnOffAuto { return &p.VMPort })},
		{"x-oem-id", "string", "Override the default value of field OEMID in ACPI table header.The string may be up to 6 bytes in size", text(func(p *Props) *string { return &p.OEMID }, "oem-id", 6)},
		{"x-oem-table-id", "string", "Override the default value of field OEM Table ID in ACPI table header.The string may be up to 8 bytes in size", text(func(p *Props) *string { return &p.OEMTableID }, "oem-table-id", 8)},
		{"x-relaxed-resume", "bool", "Let a machine that has come in run although others still write to its disks, as QEMU 7.2 does", boolean("x-relaxed-resume", func(p *Props) *bool { return &p.RelaxedResume })},
		{"x-user-offloads", "bool", "Let guests leave checksums and segmentation to -netdev user, which QEMU 7.2 cannot: they do not migrate to it", boolean("x-user-offloads", func(p *Props) *bool { return &p.UserOffloads })},
	}
}

// viaOption is for what the options of the same names set: the command line has taken it out of the properties.
func viaOption(*Props, string) error { return nil }

func maxRAM(p *Props, v string) error {
	n, ok := qdev.ParseSize(v)
	switch {
	case !ok:
		return fmt.Errorf("Parameter 'max-ram-below-4g' expects a size")
	case n > fourGiB:
		return fmt.Errorf("Machine option 'max-ram-below-4g=%d' expects size less than or equal to 4G", n)
	case n < romTop:
		return fmt.Errorf("Machine option 'max-ram-below-4g=%d' expects size greater than or equal to 1M", n)
	}
	p.MaxRAMBelow4G = n
	return nil
}

// entryPoint reads which entry point SMBIOS has.
func entryPoint(p *Props, v string) error {
	if p.SMBIOS64 = v == "64"; v != "32" && v != "64" {
		return fmt.Errorf("Parameter 'smbios-entry-point-type' does not accept value '%s'", v)
	}
	return nil
}

// DefaultProps are the properties of a machine for which nothing was said.
func (t *Type) DefaultProps() Props {
	return Props{HPET: true, ISASerial: true, AutoCmdline: true, I8042: true, SATA: true, SMBus: true, MemMerge: true, DumpGuestCore: true, Graphics: true}
}

// SetProp sets a property by name.
func (t *Type) SetProp(p *Props, name, value string) error {
	for _, r := range properties() {
		if r.name == name && slices.Contains(t.props, name) {
			return r.set(p, value)
		}
	}
	return fmt.Errorf("Property '%s-machine.%s' not found", t.Name, name)
}

// HasProp tells whether the machine has a property.
func (t *Type) HasProp(name string) bool { return slices.Contains(t.props, name) }

// HelpProps is the answer to -machine TYPE,help.
func (t *Type) HelpProps() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s-machine options:\n", t.Name)
	for _, r := range properties() {
		if !slices.Contains(t.props, r.name) {
			continue
		}
		head := fmt.Sprintf("  %s=<%s>", r.name, r.typ)
		if r.help == "" {
			fmt.Fprintln(&b, head)
		} else {
			fmt.Fprintf(&b, "%-24s - %s\n", head, r.help)
		}
	}
	return b.String()
}

// Properties lists the properties that the machine has, each with its type.
func (t *Type) Properties() (list [][2]string) {
	for _, r := range properties() {
		if slices.Contains(t.props, r.name) {
			list = append(list, [2]string{r.name, r.typ})
		}
	}
	return list
}
