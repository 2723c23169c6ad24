package main

import (
	"strings"

	"goemu/hw/hotplug"
	"goemu/hw/misc"
	"goemu/hw/pc"
	"goemu/hw/qdev"
	"goemu/hw/usb"
	"goemu/hw/virtio/balloon"
	"goemu/internal/chardev"
	"goemu/internal/monitor/devicecmd"
	"goemu/internal/monitor/machinecmd"
	"goemu/internal/monitor/qomcmd"
	"goemu/internal/qom"
	"goemu/internal/userobj"
	"goemu/qapi"
	"goemu/target/x86"
)

// objectServices are the services about objects, devices and the machine.
type objectServices struct {
	qom     *qomcmd.Service
	device  *devicecmd.Service
	machine *machinecmd.Service
	target  *machinecmd.Target // nil before the machine is made
}

// makeObjectServices makes the services.
func (s *session) makeObjectServices() {
	o := &s.mon.objects
	r := registry(new(misc.Hooks))
	types := objectTypeTree(r)
	o.device = &devicecmd.Service{Registry: r, Types: types, Tree: func() *qdev.Tree { return s.machine.Tree },
		Running: func() bool { return s.machine.VM.Running() }, Describe: describeType}
	o.qom = &qomcmd.Service{Types: types, Root: func() *qom.Node {
		if s.machine == nil {
			return nil
		}
		return s.machine.Tree.QOM
	}, Properties: func(typ string) ([]*qapi.ObjectPropertyInfo, error) {
		return append([]*qapi.ObjectPropertyInfo{{Name: "type", Type: "string"}}, o.device.Properties(typ)...), nil
	}, Objects: func() *userobj.Set { return s.host.objects }}
	o.machine = &machinecmd.Service{Host: s.processor, Emit: s.mon.server.Emit, Machine: func() *machinecmd.Target { return o.target }, Objects: func() *userobj.Set { return s.host.objects },
		SetNUMA: func(o *qapi.NumaOptions) error { return s.numa.set(o) }}
	for _, t := range pc.Types() {
		o.machine.Types = append(o.machine.Types, machinecmd.MachineType{Name: t.Name, Alias: t.Alias, DefaultCPU: t.DefaultCPU, DefaultRAMID: t.RAMID,
			Default: t.Default, NUMAMem: t.NUMAMem, HotCPUs: t.HasSlots, MaxCPUs: t.MaxCPUs})
	}
}

// announceMachine tells the services of the machine. Preconditions: the machine lock is held.
func (s *session) announceMachine() {
	m := s.machine
	t := &machinecmd.Target{VM: m.VM, CPU: s.config.CPU, Nodes: m.Node, Memory: m.Memory(), Ports: m.Ports(), SetBoot: m.SetBoot, LAPIC: m.PrintLAPIC, Interrupts: m.PrintInterrupts, Space: m.Space, RAM: s.config.RAM, Blocks: m.PrintRAM, PCI: m.PCI(),
		NMI: m.NMI, CanWake: m.Suspends, ResetReinjection: m.ResetReinjection}
	t.USB = func() (string, bool) { return usb.Text(m.Tree) }
	t.Stats, t.Translator, t.ROMs, t.InterruptCounts = s.stats, s.translator, m.PrintROMs, m.PrintInterruptCounts
	t.Modules = func() (list []machinecmd.MemoryModule) {
		for _, d := range m.MemoryModules() {
			list = append(list, machinecmd.MemoryModule(d))
		}
		return list
	}
	t.Generation = func() string {
		if g := misc.FindGenerationID(m.Tree); g != nil {
			return g.GUID.String()
		}
		return ""
	}
	for _, n := range s.config.NUMA {
		t.NodeMemory = append(t.NodeMemory, n.Memory)
	}
	t.HotCPUs, t.Status = m.PCI() != nil, m.OSPMStatus
	m.CPUsChanged = func() {
		t.CPUs, t.Paths = nil, nil
		for _, c := range m.CPUs() {
			t.CPUs = append(t.CPUs, c)
			t.Paths = append(t.Paths, m.CPUPath(c.Index()))
		}
		if s.gdb != nil {
			s.gdb.SetCPUs(gdbCPUs(m))
		}
	}
	m.CPUsChanged()
	m.OST = func(o hotplug.OST) { s.mon.server.Emit(machinecmd.OSTEvent(o)) }
	balloon.RAM, balloon.Changed = s.config.RAM, func(actual uint64) { s.mon.server.Emit(&qapi.BalloonChangeEvent{Actual: int64(actual)}) }
	t.Balloon = func() machinecmd.Balloon {
		if b := balloon.Active(); b != nil {
			return b
		}
		return nil
	}
	s.mon.objects.target = t
	s.mon.objects.device.Forward(s.mon.server.Emit)
}

// objectTypeTree lists the types of objects there are.
func objectTypeTree(r *qdev.Registry) *qom.Types {
	t := r.Types()
	for _, m := range pc.Types() {
		parents := []string{"x86-machine", "machine", "object"}
		if strings.HasPrefix(m.Name, "pc-") {
			parents = append([]string{"generic-pc-machine"}, parents...)
		} else if m.Empty {
			parents = parents[1:]
		}
		t.AddChain(m.Name+"-machine", parents...)
	}
	for _, a := range accelerators {
		t.AddChain(a.name+"-accel", "accel", "object")
	}
	for _, o := range knownObjectTypes() {
		t.AddChain(o.Name, o.Ancestors()...)
	}
	for _, k := range chardev.Kinds() {
		t.AddChain("chardev-"+k, "chardev", "object")
	}
	t.AddChain("container", "object")
	return t
}

// describeType lists the properties of a type that is not a device's.
func describeType(typ string) (list []*qapi.ObjectPropertyInfo) {
	name, isCPU := strings.CutSuffix(typ, x86.TypeSuffix)
	if isCPU && x86.FindModel(name) != nil {
		cfg, _ := x86.NewConfig(x86.FindModel(name), &x86.TCGFeatures)
		for _, f := range x86.FeatureNames() {
			list = append(list, &qapi.ObjectPropertyInfo{Name: f, Type: "bool"})
		}
		for _, p := range cfg.Properties() {
			list = append(list, &qapi.ObjectPropertyInfo{Name: p.Name, Type: p.Type})
		}
		return append(list, &qapi.ObjectPropertyInfo{Name: "unavailable-features", Type: "strList"})
	}
	if name, ok := strings.CutSuffix(typ, "-machine"); ok {
		if t := pc.Find(name); t != nil && t.Name == name {
			for _, p := range t.Properties() {
				list = append(list, &qapi.ObjectPropertyInfo{Name: p[0], Type: p[1]})
			}
		}
	}
	for _, t := range knownObjectTypes() {
		if t.Name == typ {
			for _, p := range t.Props {
				list = append(list, &qapi.ObjectPropertyInfo{Name: p.Name, Type: p.Type})
			}
		}
	}
	return list
}
