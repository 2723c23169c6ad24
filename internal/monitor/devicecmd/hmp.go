package devicecmd

import (
	"fmt"
	"slices"
	"strings"

	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/internal/config"
	"goemu/internal/mainloop"
	"goemu/internal/monitor/hmp"
	"goemu/qapi"
)

// HMP lists the commands for people, and those of info.
func (s *Service) HMP() (commands, info []*hmp.Command) {
	commands = []*hmp.Command{
		{Name: "device_add", Args: "device:O", Params: "driver[,prop=value][,...]", Help: "add device, like -device on the command line", Run: s.hmpAdd,
			Complete: s.completeDriver},
		{Name: "device_del", Args: "id:s", Params: "device", Help: "remove device", Complete: s.completeID, Run: func(m *hmp.Monitor, a *hmp.Args) error {
			return s.DeviceDel(m.Context(), &qapi.DeviceDelArg{Id: a.Text("id")})
		}},
	}
	info = []*hmp.Command{
		{Name: "virtio", Help: "List all available virtio devices", Run: s.hmpVirtio},
		{Name: "virtio-status", Args: "path:s", Params: "path", Help: "Display status of a given virtio device", Run: s.hmpVirtioStatus},
		{Name: "virtio-queue-status", Args: "path:s,queue:i", Params: "path queue", Help: "Display status of a given virtio queue", Run: s.hmpVirtioQueueStatus},
		{Name: "virtio-queue-element", Args: "path:s,queue:i,index:i?", Params: "path queue [index]", Help: "Display element of a given virtio queue",
			Run: s.hmpVirtioQueueElement},
		{Name: "qtree", Help: "show device tree", Run: s.hmpTree},
		{Name: "qdm", Help: "show qdev device model list", Run: func(m *hmp.Monitor, _ *hmp.Args) error { m.Printf("%s", s.List()); return nil }},
	}
	return commands, info
}

func (s *Service) completeDriver(_ *hmp.Monitor, words []string) (list []string) {
	if len(words) == 2 {
		for _, n := range s.Registry.Names() {
			if !s.Registry.Lookup(n).Internal {
				list = append(list, n)
			}
		}
	}
	return list
}

func (s *Service) completeID(_ *hmp.Monitor, words []string) (list []string) {
	if len(words) != 2 {
		return nil
	}
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	for _, n := range s.Tree().Peripheral.Children() {
		list = append(list, n.Name())
	}
	return list
}

// hmpAdd is the command device_add.
func (s *Service) hmpAdd(m *hmp.Monitor, a *hmp.Args) error {
	var set []qdev.Setting
	driver := ""
	for _, p := range config.ParseOpts(a.Text("device"), "driver") {
		v, _ := p.Value.(string)
		if p.Key == "help" || p.Key == "?" {
			return s.hmpHelp(m, driver)
		}
		if p.Key == "driver" {
			driver = v
		}
		set = append(set, qdev.Setting{Name: p.Key, Value: v})
	}
	if driver == "help" || driver == "?" {
		m.Printf("%s", s.List())
		return nil
	}
	return s.add(set)
}

func (s *Service) hmpHelp(m *hmp.Monitor, driver string) error {
	c := s.Registry.Lookup(driver)
	if c == nil || c.Internal {
		return fmt.Errorf("Device '%s' not found", driver)
	}
	m.Printf("%s", qdev.Help(c))
	return nil
}

// List is the list of types that can be added, by category.
func (s *Service) List() string { return List(s.Registry) }

// List is the list of a registry's types that can be added, by category.
func List(r *qdev.Registry) string {
	groups := map[qdev.Category][]string{}
	for _, n := range r.Names() {
		c := r.Lookup(n)
		if c.Internal {
			continue
		}
		line := fmt.Sprintf("name %q", c.Name)
		if c.Bus != "" {
			line += ", bus " + c.Bus
		}
		if c.Alias != "" {
			line += fmt.Sprintf(", alias %q", c.Alias)
		}
		if c.Desc != "" {
			line += fmt.Sprintf(", desc %q", c.Desc)
		}
		groups[c.Category] = append(groups[c.Category], line)
	}
	var b strings.Builder
	for _, cat := range qdev.Categories {
		if lines := groups[cat]; len(lines) > 0 {
			slices.Sort(lines)
			if b.Len() > 0 {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "%s devices:\n%s\n", cat, strings.Join(lines, "\n"))
		}
	}
	return b.String()
}

// hmpTree is the command info qtree.
func (s *Service) hmpTree(m *hmp.Monitor, _ *hmp.Args) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	printBus(m, s.Tree().Root(), 0)
	return nil
}

// indentStep is how much further in what is below something begins.
const indentStep = 2

func printBus(m *hmp.Monitor, b *qdev.Bus, indent int) {
	pad := strings.Repeat(" ", indent)
	m.Printf("%sbus: %s\n%s  type %s\n", pad, b.Name(), pad, b.Type())
	for _, d := range slices.Backward(b.Devices()) {
		printDevice(m, d, indent+indentStep)
	}
}

func printDevice(m *hmp.Monitor, d qdev.Device, indent int) {
	b := d.Dev()
	pad := strings.Repeat(" ", indent)
	m.Printf("%sdev: %s, id %q\n", pad, b.Class().Name, b.ID())
	pad += strings.Repeat(" ", indentStep)
	for _, p := range b.Settings() {
		m.Printf("%s%s = %s\n", pad, p.Name, p.Value)
	}
	if f, ok := d.(pci.Function); ok {
		printFunction(m, f.PCI(), pad)
	}
	for _, bus := range slices.Backward(b.Buses()) {
		printBus(m, bus, indent+indentStep)
	}
}

// numBARs is the number of base address registers, that of the ROM included.
const numBARs = 7

// printFunction shows what a PCI device looks like to the guest.
func printFunction(m *hmp.Monitor, d *pci.Device, pad string) {
	class, ok := pci.ClassName(d.Get16(pci.RegClass))
	if !ok {
		class = fmt.Sprintf("Class %04x", d.Get16(pci.RegClass))
	}
	m.Printf("%sclass %s, addr %02x:%02x.%x, pci id %04x:%04x (sub %04x:%04x)\n", pad, class, d.Bus().Number(), d.DevFn()>>3, d.DevFn()&7,
		d.Get16(pci.RegVendorID), d.Get16(pci.RegDeviceID), d.Get16(pci.RegSubVendorID), d.Get16(pci.RegSubDeviceID))
	for n := range numBARs {
		r, addr, mapped := d.BAR(n)
		if r == nil {
			continue
		}
		space, end := "mem", addr+r.Size()-1
		if d.BARType(n)&pci.BARIO != 0 {
			space = "i/o"
		}
		if !mapped {
			addr = ^uint64(0)
			end = r.Size() - 2
		}
		m.Printf("%sbar %d: %s at %#x [%#x]\n", pad, n, space, addr, end)
	}
}
