package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"goemu/hw/firmware/loader"
	"goemu/hw/misc"
	"goemu/hw/pc"
	"goemu/hw/qdev"
	"goemu/internal/clock"
	"goemu/internal/config"
	"goemu/target/x86"
)

// machineConfig turns the user's options into what the machine is made of.
func (s *session) machineConfig() (*pc.Config, error) {
	vm := s.vm
	name, _ := vm.Machine.Get("type")
	s.typ = pc.Find(name)
	if s.typ == nil {
		return nil, errNoMachine
	}
	c := &pc.Config{Type: s.typ, Props: s.typ.DefaultProps(), RAM: vm.Memory.Size, CPUs: vm.SMP.CPUs, Registry: registry(s.hooks()), UUID: vm.UUID, Links: s.host.links}
	for _, p := range vm.Machine.Without("type").Pairs {
		if err := s.typ.SetProp(&c.Props, p.Key, p.Value.(string)); err != nil {
			return nil, err
		}
	}
	b := &vm.BootOrder
	c.BootOrder = pc.BootOrder{Order: b.Order, Once: b.Once, Menu: b.Menu, Strict: b.Strict, Wait: b.Wait, Restart: b.Restart, NoCheck: b.NoCheck}
	s.prepareDisplay()
	c.VGA = vgaDevices[s.vgaName()]
	if vm.Nographic {
		c.Props.Graphics = false
	}
	if vm.NoACPI {
		c.Props.ACPI = qdev.Off
	}
	if vm.NoHPET {
		c.Props.HPET = false
	}
	if c.RAM == 0 {
		c.RAM = s.typ.DefaultRAM
	}
	if s.typ.Empty && vm.CPU == "" {
		c.CPUs = 0
	}
	if vm.SMP.MaxCPUs > s.typ.MaxCPUs {
		return nil, fmt.Errorf("Invalid SMP CPUs %d. The max CPUs supported by machine '%s' is %d", vm.SMP.MaxCPUs, s.typ.Name, s.typ.MaxCPUs)
	}
	for _, g := range vm.Globals {
		c.Globals = append(c.Globals, qdev.Global{Driver: g.Driver, Property: g.Property, Value: g.Value})
	}
	var err error
	if c.RTC, err = rtc(vm.RTC); err != nil {
		return nil, err
	}
	if c.FWCfg, err = fwcfgItems(vm.FWCfg); err != nil {
		return nil, err
	}
	items, err := firmwareFiles(vm)
	if err != nil {
		return nil, err
	}
	c.FWCfg = append(c.FWCfg, items...)
	c.SMBIOS = smbiosFields(vm.SMBIOS)
	if c.ACPI, err = acpiTables(vm.ACPITables); err != nil {
		return nil, err
	}
	c.Boot = loader.Config{Kernel: vm.Boot.Kernel, Initrd: vm.Boot.Initrd, Cmdline: vm.Boot.Append}
	return c, s.chooseAccel(c)
}

// hooks are what devices do to the emulator as a whole.
func (s *session) hooks() *misc.Hooks {
	return &misc.Hooks{Exit: s.requestExit, Panicked: func() { s.machine.VM.RequestPanic() }, CrashLoaded: func() { s.machine.VM.CrashLoaded() }, Watchdog: func() { s.machine.VM.Watchdog() }}
}

// cpuConfig reads -cpu against what the accelerator implements: host's processor, or, where that is nil, the translator.
func (s *session) cpuConfig(c *pc.Config, host *x86.Host) (*x86.Config, error) {
	model := s.vm.CPU
	if model == "" {
		model = cmp.Or(s.typ.DefaultCPU, "qemu64")
	}
	if name, _, _ := strings.Cut(model, ","); name == x86.HostModel && host == nil {
		return nil, fmt.Errorf("CPU model 'host' requires KVM or HVF")
	}
	var defaults []x86.Default
	for _, g := range append(slices.Clone(s.typ.Compat), c.Globals...) {
		defaults = append(defaults, x86.Default{Type: g.Driver, Property: g.Property, Value: g.Value, Optional: g.Optional})
	}
	var cfg *x86.Config
	var warnings []string
	var err error
	if host != nil {
		cfg, warnings, err = x86.ParseHostOption(model, host, defaults...)
	} else {
		cfg, warnings, err = x86.ParseOption(model, &x86.TCGFeatures, "TCG", defaults...)
	}
	for _, w := range warnings {
		if c.CPUs > 0 {
			warn(w)
		}
	}
	if err != nil {
		return nil, err
	}
	smp := s.vm.SMP
	cfg.Topology = x86.Topology{Sockets: smp.Sockets, Dies: smp.Dies, Cores: smp.Cores, Threads: smp.Threads}
	return cfg, nil
}

// rtc reads -rtc.
func rtc(o config.Options) (r pc.RTC, err error) {
	r.Clock = clock.Host
	if c, _ := o.Get("clock"); c == "vm" {
		r.Clock = clock.Virtual
	} else if c == "rt" {
		r.Clock = clock.Realtime
	}
	switch base, ok := o.Get("base"); {
	case !ok || base == "utc":
		r.Start = time.Now().UTC()
	case base == "localtime":
		r.Start = time.Now()
	default:
		if r.Start, err = time.Parse("2006-01-02T15:04:05", base); err != nil {
			if r.Start, err = time.Parse("2006-01-02", base); err != nil {
				return r, fmt.Errorf("invalid datetime format\nvalid formats: '2006-06-17T16:01:21' or '2006-06-17'")
			}
		}
	}
	return r, nil
}
