package cli

import (
	"errors"
	"fmt"
	"strings"

	"goemu/internal/config"
)

func (p *parser) help(string) error {
	p.Usage = usage(p.prog)
	return p.query(QueryHelp, "")
}

func (p *parser) version(string) error { return p.query(QueryVersion, "") }

// kvmProperties are properties of the accelerator KVM that -machine takes; other accelerators do without them.
var kvmProperties = []string{"kernel-irqchip", "kvm-shadow-mem"}

// bootProperties are properties of the machine that have options of their own, too; of both the last counts.
var bootProperties = map[string]func(*parser, string) error{"kernel": (*parser).kernel, "initrd": (*parser).initrd, "append": (*parser).append, "firmware": (*parser).bios}

func (p *parser) machine(v string) error {
	o := config.Options{Origin: p.origin, Pairs: config.ParseOpts(v, "type")}
	typ, _ := o.Get("type")
	if isHelp(typ) {
		return p.query(QueryMachines, "")
	}
	if wantsHelp(o) {
		return p.query(QueryMachine, typ)
	}
	if list, ok := o.Get("accel"); ok {
		p.accels(list)
		o = o.Without("accel")
	}
	for _, name := range kvmProperties {
		for _, spelling := range []string{name, strings.ReplaceAll(name, "-", "_")} {
			if v, ok := o.Get(spelling); ok {
				p.VM.KVM.Pairs = append(p.VM.KVM.Pairs, config.Pair{Key: name, Value: v})
				o = o.Without(spelling)
			}
		}
	}
	p.VM.Machine.Origin = p.origin
	var smp []string
	for _, pr := range o.Pairs { // the machine has what -smp says as a property, smp
		if name, ok := strings.CutPrefix(pr.Key, "smp."); ok {
			smp = append(smp, name+"="+pr.Value.(string))
			continue
		}
		if set := bootProperties[pr.Key]; set != nil {
			if err := set(p, pr.Value.(string)); err != nil {
				return err
			}
			continue
		}
		p.VM.Machine.Pairs = append(p.VM.Machine.Pairs, pr)
	}
	if smp == nil {
		return nil
	}
	return p.smp(strings.Join(smp, ","))
}

func (p *parser) cpu(v string) error {
	if isHelp(v) {
		return p.query(QueryCPUs, "")
	}
	if v == "" {
		return errors.New("-cpu option cannot be empty")
	}
	p.VM.CPU = v
	return nil
}

func (p *parser) accel(v string) error {
	o := config.Options{Origin: p.origin, Pairs: config.ParseOpts(v, "accel")}
	if name, _ := o.Get("accel"); isHelp(name) {
		return p.query(QueryAccels, "")
	}
	switch name, _ := o.Get("accel"); {
	case !strings.Contains(name, ":"):
		p.VM.Accels = append(p.VM.Accels, o)
	case len(o.Pairs) > 1:
		return errors.New("a list of accelerators takes no options; give -accel once for each of them")
	default:
		p.accels(name)
	}
	return nil
}

// accels takes a list of accelerators of which the first that works is used: a:b.
func (p *parser) accels(list string) {
	for _, name := range strings.Split(list, ":") {
		p.VM.Accels = append(p.VM.Accels, config.Options{Pairs: []config.Pair{{Key: "accel", Value: name}}})
	}
}

func (p *parser) memory(v string) (err error) {
	o := config.Options{Pairs: config.ParseOpts(v, "size")}
	m := &p.VM.Memory
	for _, pr := range o.Pairs {
		s := pr.Value.(string)
		switch pr.Key {
		case "size":
			m.Size, err = ParseSize("size", s, 1<<20)
		case "maxmem":
			m.Max, err = ParseSize("maxmem", s, 1)
		case "slots":
			m.Slots, err = parseNumber("slots", s)
		default:
			err = fmt.Errorf("Invalid parameter '%s'", pr.Key)
		}
		if err != nil {
			return p.errorf("%w", err)
		}
	}
	m.Size = (m.Size + 8191) &^ 8191
	switch {
	case m.Max != 0 && m.Max < m.Size:
		return fmt.Errorf("invalid value of maxmem: maximum memory size (%#x) must be at least the initial memory size (%#x)", m.Max, m.Size)
	case m.Slots != 0 && m.Max == m.Size:
		return fmt.Errorf("invalid value of maxmem: memory slots were specified but maximum memory size (%#x) is equal to the initial memory size (%#x)", m.Max, m.Size)
	case m.Slots > maxMemorySlots:
		return fmt.Errorf("unsupported amount of memory slots: %d", m.Slots)
	case m.Slots != 0 && m.Max == 0:
		return fmt.Errorf("slots specified but no max-size")
	}
	return nil
}

// maxMemorySlots is the number of memory slots that ACPI's tables have room for.
const maxMemorySlots = 256

func (p *parser) numa(v string) error {
	p.VM.NUMA = append(p.VM.NUMA, config.Options{Origin: p.origin, Pairs: config.ParseOpts(v, "type")})
	return nil
}

func (p *parser) global(v string) error {
	g := config.Global{Origin: p.origin}
	if dp, val, ok := strings.Cut(v, "="); ok && strings.Contains(dp, ".") && !strings.Contains(dp, ",") {
		g.Driver, g.Property, _ = strings.Cut(dp, ".")
		g.Value = val
	} else {
		for _, pr := range config.ParseOpts(v, "") {
			switch s := pr.Value.(string); pr.Key {
			case "driver":
				g.Driver = s
			case "property":
				g.Property = s
			case "value":
				g.Value = s
			default:
				return p.errorf("Invalid parameter '%s'", pr.Key)
			}
		}
		if g.Driver == "" || g.Property == "" {
			return p.errorf("options 'driver', 'property', and 'value' are required")
		}
	}
	p.VM.Globals = append(p.VM.Globals, g)
	return nil
}

func (p *parser) vmName(v string) error {
	for _, pr := range config.ParseOpts(v, "guest") {
		switch s := pr.Value.(string); pr.Key {
		case "guest":
			p.VM.Name = s
		case "debug-threads":
			if _, err := parseBool(pr.Key, s); err != nil {
				return p.errorf("%w", err)
			}
		case "process":
			p.VM.Process = s
		default:
			return p.errorf("Invalid parameter '%s'", pr.Key)
		}
	}
	return nil
}

func (p *parser) uuid(v string) error {
	if len(v) != 36 {
		return p.errorf("failed to parse UUID string: wrong format")
	}
	for i, c := range strings.ToLower(v) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && !strings.ContainsRune("0123456789abcdef", c) {
			return p.errorf("failed to parse UUID string: wrong format")
		}
	}
	p.VM.UUID = strings.ToLower(v)
	return nil
}

func (p *parser) device(v string) error {
	o, err := parseStructured(p.origin, v, "driver")
	if err != nil {
		return err
	}
	driver, ok := o.Get("driver")
	switch {
	case isHelp(driver):
		return p.query(QueryDevices, "")
	case wantsHelp(o):
		return p.query(QueryDevice, driver)
	case !ok:
		return p.errorf("Parameter 'driver' is missing")
	}
	p.VM.Devices = append(p.VM.Devices, o)
	return nil
}

func (p *parser) object(v string) error {
	o, err := parseStructured(p.origin, v, "qom-type")
	if err != nil {
		return err
	}
	typ, ok := o.Get("qom-type")
	switch {
	case isHelp(typ):
		return p.query(QueryObjects, "")
	case wantsHelp(o):
		return p.query(QueryObject, typ)
	case !ok:
		return p.errorf("Parameter 'qom-type' is missing")
	}
	p.VM.Objects = append(p.VM.Objects, o)
	return nil
}

func (p *parser) blockdev(v string) error {
	p.VM.Blockdevs = append(p.VM.Blockdevs, config.Source{Value: v, Origin: p.origin})
	return nil
}

func (p *parser) drive(v string) error {
	o := config.Options{Pairs: config.ParseOpts(v, "")}
	if f, _ := o.Get("format"); isHelp(f) {
		return p.query(QueryFormats, "")
	}
	p.VM.Drives = append(p.VM.Drives, config.Source{Value: v, Origin: p.origin})
	return nil
}

func (p *parser) snapshot(string) error {
	p.VM.Snapshot = true
	return nil
}

func (p *parser) chardev(v string) error {
	if kind, _, _ := config.CutElement(v); isHelp(kind) {
		return p.query(QueryChardevs, "")
	}
	p.VM.Chardevs = append(p.VM.Chardevs, config.Source{Value: v, Origin: p.origin})
	return nil
}

func (p *parser) serial(v string) error {
	p.VM.Serials = append(p.VM.Serials, config.Source{Value: v, Origin: p.origin})
	return nil
}

// parallel reads -parallel.
func (p *parser) parallel(v string) error {
	p.VM.Parallels = append(p.VM.Parallels, config.Source{Value: v, Origin: p.origin})
	return nil
}

// debugcon reads -debugcon: a character device and the debug console that prints to it, both of that name.
func (p *parser) debugcon(v string) error {
	if p.VM.Debugcon.Origin != "" {
		return p.errorf("already have a debugcon device")
	}
	p.VM.Debugcon = config.Source{Value: v, Origin: p.origin}
	p.VM.Devices = append(p.VM.Devices, config.Options{Origin: p.origin,
		Pairs: []config.Pair{{Key: "driver", Value: "isa-debugcon"}, {Key: "chardev", Value: "debugcon"}, {Key: "id", Value: "debugcon"}}})
	return nil
}

func (p *parser) gdb(v string) error {
	p.VM.GDB = config.Source{Value: v, Origin: p.origin}
	return nil
}

func (p *parser) qtest(v string) error {
	p.VM.QTest = config.Source{Value: v, Origin: p.origin}
	return nil
}

func (p *parser) qtestLog(v string) error { p.VM.QTestLog = v; return nil }

func (p *parser) display(v string) error {
	switch {
	case isHelp(v):
		return p.query(QueryDisplays, "")
	case strings.HasPrefix(v, "vnc="):
		return p.vnc(v[len("vnc="):])
	case v == "vnc":
		return p.errorf("VNC requires a display argument vnc=<display>")
	}
	o := config.Options{Pairs: config.ParseOpts(v, "type")}
	typ, _ := o.Get("type")
	charset, hasCharset := o.Get("charset")
	for _, pair := range o.Without("type").Pairs {
		if pair.Key != "charset" || typ != "curses" {
			return p.errorf("Parameter '%s' is unexpected", pair.Key)
		}
	}
	if typ != "none" && typ != "curses" {
		return p.errorf("Parameter 'type' does not accept value '%s'", typ)
	}
	if p.VM.Display = typ; hasCharset {
		p.VM.Charset = charset
	}
	return nil
}

func (p *parser) curses(string) error { return p.display("curses") }

func (p *parser) fwCfg(v string) error {
	p.VM.FWCfg = append(p.VM.FWCfg, config.Options{Origin: p.origin, Pairs: config.ParseOpts(v, "name")})
	return nil
}

func (p *parser) smbios(v string) error {
	o := config.Options{Origin: p.origin, Pairs: config.ParseOpts(v, "")}
	p.VM.SMBIOS = append(p.VM.SMBIOS, o)
	if uuid, ok := o.Get("uuid"); ok && p.uuid(uuid) != nil { // it is the machine's, too
		return p.errorf("Invalid UUID")
	}
	return nil
}

func (p *parser) acpiTable(v string) error {
	p.VM.ACPITables = append(p.VM.ACPITables, config.Options{Origin: p.origin, Pairs: config.ParseOpts(v, "sig")})
	return nil
}

func (p *parser) rtc(v string) error {
	o := config.Options{Origin: p.origin, Pairs: config.ParseOpts(v, "")}
	for _, pr := range o.Pairs {
		s := pr.Value.(string)
		switch pr.Key {
		case "base":
		case "clock":
			if s != "host" && s != "rt" && s != "vm" {
				return fmt.Errorf("invalid option value '%s'", s)
			}
		case "driftfix":
			if s != "slew" && s != "none" {
				return fmt.Errorf("invalid option value '%s'", s)
			}
		default:
			return p.errorf("Invalid parameter '%s'", pr.Key)
		}
	}
	p.VM.RTC = o
	return nil
}

func (p *parser) logItems(v string) error {
	if isHelp(v) {
		return p.query(QueryLogItems, "")
	}
	if p.VM.Log.Items != "" {
		p.VM.Log.Items += ","
	}
	p.VM.Log.Items += v
	return nil
}

func (p *parser) kernel(v string) error { p.VM.Boot.Kernel = v; return nil }
func (p *parser) append(v string) error {
	p.VM.Boot.Append, p.VM.Boot.HasAppend = v, true
	return nil
}
func (p *parser) initrd(v string) error {
	p.VM.Boot.Initrd, p.VM.Boot.HasInitrd = v, true
	return nil
}
func (p *parser) bios(v string) error    { p.VM.Firmware = v; return nil }
func (p *parser) pidfile(v string) error { p.VM.PIDFile = v; return nil }
func (p *parser) logFile(v string) error { p.VM.Log.File = v; return nil }
func (p *parser) dataDir(v string) error {
	if isHelp(v) {
		return p.query(QueryDataDirs, "")
	}
	p.VM.DataDirs = append(p.VM.DataDirs, v)
	return nil
}

// optionROM reads -option-rom [romfile=]FILE.
func (p *parser) optionROM(v string) error {
	for _, pr := range config.ParseOpts(v, "romfile") {
		if pr.Key != "romfile" {
			return p.errorf("Invalid parameter '%s'", pr.Key)
		}
		p.VM.OptionROMs = append(p.VM.OptionROMs, config.Source{Origin: p.origin, Value: pr.Value.(string)})
	}
	return nil
}
func (p *parser) nographic(string) error { p.VM.Nographic = true; return nil }
func (p *parser) noACPI(string) error    { p.VM.NoACPI = true; return nil }
func (p *parser) noHPET(string) error    { p.VM.NoHPET = true; return nil }

// usb is -usb, and what -usbdevice means besides.
func (p *parser) usb(string) error {
	p.VM.Machine.Pairs = append(p.VM.Machine.Pairs, config.Pair{Key: "usb", Value: "on"})
	return nil
}

// fsdev is -fsdev: the driver, which comes first, and its options.
func (p *parser) fsdev(v string) error {
	p.VM.FSDevs = append(p.VM.FSDevs, config.Options{Origin: p.origin, Pairs: config.ParseOpts(v, "fsdriver")})
	return nil
}

// virtfs is -virtfs: a file system and its device in one.
func (p *parser) virtfs(v string) error {
	o := config.Options{Origin: p.origin, Pairs: config.ParseOpts(v, "fsdriver")}
	driver, hasDriver := o.Get("fsdriver")
	tag, hasTag := o.Get("mount_tag")
	if !hasDriver || !hasTag || driver == "" {
		return p.errorf("Usage: -virtfs fsdriver,mount_tag=tag")
	}
	id, ok := o.Get("id")
	if !ok {
		id = tag
		o.Pairs = append(o.Pairs, config.Pair{Key: "id", Value: id})
	}
	p.VM.FSDevs = append(p.VM.FSDevs, o.Without("mount_tag"))
	p.VM.Devices = append(p.VM.Devices, config.Options{Origin: p.origin, Pairs: []config.Pair{{Key: "driver", Value: "virtio-9p-pci"}, {Key: "fsdev", Value: id}, {Key: "mount_tag", Value: tag}}})
	return nil
}

func (p *parser) usbDevice(v string) error {
	p.VM.USBDevices = append(p.VM.USBDevices, config.Source{Origin: p.origin, Value: v})
	return p.usb("")
}

func (p *parser) paused(string) error     { p.VM.Paused = true; return nil }
func (p *parser) noReboot(string) error   { p.VM.NoReboot = true; return nil }
func (p *parser) singleStep(string) error { p.VM.SingleStep = true; return nil }

func (p *parser) noShutdown(string) error { p.VM.NoShutdown = true; return nil }
func (p *parser) daemonize(string) error  { p.VM.Daemonize = true; return nil }
func (p *parser) nodefaults(string) error { p.VM.NoDefaults = true; return nil }

func (p *parser) vnc(v string) error {
	p.VM.VNC = append(p.VM.VNC, config.Source{Origin: p.origin, Value: v})
	return nil
}

// VGATypes are the adapters that -vga knows, with a name for people; those without one are not there.
var VGATypes = []struct{ Name, Desc string }{{"none", "no graphic card"}, {"std", "standard VGA"}, {"cirrus", "Cirrus VGA"}, {"vmware", ""}, {"xenfb", ""}, {"qxl", ""}, {"virtio", "Virtio VGA"}, {"tcx", ""}, {"cg3", ""}}

func (p *parser) vga(v string) error {
	if isHelp(v) {
		return p.query(QueryVGA, "")
	}
	for _, t := range VGATypes {
		switch {
		case t.Name != v:
		case t.Desc == "":
			return fmt.Errorf("%s not available", v)
		default:
			p.VM.VGA = v
			return nil
		}
	}
	return fmt.Errorf("unknown vga type: %s", v)
}
