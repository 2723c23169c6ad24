// Package config is the parsed description of a virtual machine: plain structs, no behaviour. The command line fills it, the machine
// builder reads it.
package config

// VM describes one virtual machine as asked for by the user.
type VM struct {
	Name    string
	UUID    string
	Machine Options // implied key: type
	Accels  []Options
	KVM     Options // properties of the accelerator kvm that -machine gave
	CPU     string  // model[,feature…] as given; empty: the machine's default
	Memory  Memory

	MemPath     string // -mem-path: the file or folder that the RAM is in
	MemPrealloc bool   // -mem-prealloc

	SMP        SMP
	Boot       Boot
	BootOrder  BootOrder
	Firmware   string
	DataDirs   []string
	Chardevs   []Source
	AddFDs     []Options
	Traces     []Options
	Serials    []Source
	Parallels  []Source
	Debugcon   Source // -debugcon: what the device of that name, which Devices has, prints to
	Monitors   []Monitor
	NoMonitor  bool // -monitor none
	Drives     []Source
	Blockdevs  []Source
	Netdevs    []Source
	NICs       []Source // -nic
	Nets       []Source // -net
	Devices    []Options
	Objects    []Options
	Globals    []Global
	FWCfg      []Options
	ACPITables []Options // -acpitable
	SMBIOS     []Options
	NUMA       []Options
	RTC        Options
	QTest      Source // -qtest: what the protocol is spoken on
	QTestLog   string
	GDB        Source // -gdb: what gdb's remote protocol is spoken on
	Display    string // none, curses, or empty when not given
	Keyboard   string // -k: the layout of the viewers' keyboard, empty when not given
	Charset    string // that curses takes the guest's characters for, empty when not given
	Nographic  bool
	VNC        []Source // -vnc and -display vnc=
	VGA        string   // -vga: the type of adapter, empty when not given
	Snapshot   bool     // -snapshot: every drive is temporary
	NoDefaults bool
	NoReboot   bool
	NoShutdown bool
	SingleStep bool // -singlestep: each instruction is translated on its own
	NoACPI     bool
	NoHPET     bool
	USBDevices []Source  // -usbdevice
	FSDevs     []Options // -fsdev, and what -virtfs means besides its device
	Paused     bool      // -S
	Preconfig  bool
	OnPanic    string // -action panic=, empty if not given
	OnWatchdog string // -action watchdog= or -watchdog-action
	Daemonize  bool
	PIDFile    string
	Log        Log
	Audiodevs  []string // identifiers
	Messages   Messages
	Sandbox    Options // -sandbox, without pairs when not given
	Compat     string  // -compat, empty if not given
	Escape     byte    // -echr; 0 if not given
	OptionROMs []Source
	RunAs      Source // -runas
	Chroot     Source
	Process    string // -name process=
	MemLock    bool   // -overcommit mem-lock=on: memory is never swapped out
	Migration
}

// Messages is -msg: what precedes each message.
type Messages struct{ Timestamp, GuestName bool }

// Migration is about where the machine's state comes from.
type Migration struct {
	LoadVM         string // -loadvm
	DumpVMState    string // -dump-vmstate: a file
	Incoming       string // -incoming
	OnlyMigratable bool
}

// Source is an option's value together with the text that an error message starts with ("-serial foo").
type Source struct {
	Value  string
	Origin string
}

// Monitor is one of -mon, -monitor, -qmp and -qmp-pretty.
type Monitor struct {
	Device  Source // what -monitor or -qmp opens; its origin serves messages about -mon, too
	Chardev string // of -mon: the character device
	Control bool   // QMP
	Pretty  bool
}

// Options is one structured option ("-device virtio-rng-pci,max-bytes=5"): keys in the order given.
type Options struct {
	Origin string // "-device virtio-rng-pci,max-bytes=5", for error messages
	JSON   bool   // given as JSON: Value holds typed members
	Text   string // the value as given; of options that take JSON
	Pairs  []Pair
}

// Pair is one member of Options. Value is a string, or for JSON any of string, bool, json.Number, map[string]any, []any, nil.
type Pair struct {
	Key   string
	Value any
}

// Get returns the last value given for key.
func (o Options) Get(key string) (string, bool) {
	for i := len(o.Pairs) - 1; i >= 0; i-- {
		if o.Pairs[i].Key == key {
			s, ok := o.Pairs[i].Value.(string)
			return s, ok
		}
	}
	return "", false
}

// Without returns o less the members named.
func (o Options) Without(keys ...string) Options {
	out := Options{Origin: o.Origin, JSON: o.JSON}
next:
	for _, p := range o.Pairs {
		for _, k := range keys {
			if p.Key == k {
				continue next
			}
		}
		out.Pairs = append(out.Pairs, p)
	}
	return out
}

// Memory is -m; sizes in bytes.
type Memory struct {
	Size, Max uint64
	Slots     uint64
}

// SMP is the CPU topology, resolved: Sockets*Dies*Cores*Threads = MaxCPUs.
type SMP struct {
	CPUs, MaxCPUs                 int
	Sockets, Dies, Cores, Threads int
}

// Boot names what is booted directly.
type Boot struct {
	Kernel, Initrd, Append string
	HasAppend, HasInitrd   bool
}

// BootOrder is -boot: what firmware starts from. Times are in milliseconds, -1 where none is given.
type BootOrder struct {
	Order, Once   string // letters of devices; Once until the first reset
	Menu, Strict  bool
	Wait, Restart int
	NoCheck       bool   // the BIOS does not check a floppy disk's signature
	Splash        string // a picture's file
}

// Global is -global driver.property=value.
type Global struct {
	Driver, Property, Value, Origin string
}

// Log is -d and -D.
type Log struct {
	Items string
	File  string
}
