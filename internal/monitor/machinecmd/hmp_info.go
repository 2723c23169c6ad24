package machinecmd

import (
	"fmt"
	"strings"

	"goemu/internal/monitor/hmp"
	"goemu/qapi"
)

func (s *Service) infoCPUs(m *hmp.Monitor, _ *hmp.Args) error {
	list, err := s.QueryCpusFast(m.Context())
	for _, c := range list {
		active := ' '
		if c.CpuIndex == int64(m.CPU) {
			active = '*'
		}
		m.Printf("%c CPU #%d: thread_id=%d\n", active, c.CpuIndex, c.ThreadId)
	}
	return err
}

func (s *Service) infoHotpluggable(m *hmp.Monitor, _ *hmp.Args) error {
	list, err := s.QueryHotpluggableCpus(m.Context())
	if err != nil {
		return err
	}
	m.Printf("Hotpluggable CPUs:\n")
	for _, c := range list {
		m.Printf("  type: %q\n  vcpus_count: \"%d\"\n", c.Type, c.VcpusCount)
		if c.QomPath != nil {
			m.Printf("  qom_path: %q\n", *c.QomPath)
		}
		m.Printf("  CPUInstance Properties:\n")
		p := c.Props
		for _, row := range []struct {
			name string
			id   *int64
		}{{"node", p.NodeId}, {"socket", p.SocketId}, {"die", p.DieId}, {"core", p.CoreId}, {"thread", p.ThreadId}} {
			if row.id != nil {
				m.Printf("    %s-id: \"%d\"\n", row.name, *row.id)
			}
		}
	}
	return nil
}

func (s *Service) infoIOThreads(m *hmp.Monitor, _ *hmp.Args) error {
	list, err := s.QueryIothreads(m.Context())
	for _, t := range list {
		m.Printf("%s:\n  thread_id=%d\n  poll-max-ns=%d\n  poll-grow=%d\n  poll-shrink=%d\n  aio-max-batch=%d\n", t.Id, t.ThreadId, t.PollMaxNs, t.PollGrow, t.PollShrink, t.AioMaxBatch)
	}
	return err
}

func (s *Service) infoMemdev(m *hmp.Monitor, _ *hmp.Args) error {
	list, err := s.QueryMemdev(m.Context())
	for _, d := range list {
		m.Printf("memory backend: %s\n  size:  %d\n  merge: %v\n  dump: %v\n  prealloc: %v\n  share: %v\n", *d.Id, d.Size, d.Merge, d.Dump, d.Prealloc, d.Share)
		if d.Reserve != nil {
			m.Printf("  reserve: %v\n", *d.Reserve)
		}
		m.Printf("  policy: %s\n  host nodes: %s\n", d.Policy, rangesText(d.HostNodes))
	}
	m.Printf("\n")
	return err
}

// rangesText is a list of ascending numbers as "0-2,5".
func rangesText(list []uint16) string {
	var parts []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		if i == j {
			parts = append(parts, fmt.Sprint(list[i]))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", list[i], list[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, ",")
}

func (s *Service) infoMemorySize(m *hmp.Monitor, _ *hmp.Args) error {
	i, err := s.QueryMemorySizeSummary(m.Context())
	if err != nil {
		return err
	}
	m.Printf("base memory: %d\n", i.BaseMemory)
	if i.PluggedMemory != nil {
		m.Printf("plugged memory: %d\n", *i.PluggedMemory)
	}
	return nil
}

// infoPCI lists the functions of all PCI buses.
func (s *Service) infoPCI(m *hmp.Monitor, _ *hmp.Args) error {
	list, err := s.QueryPci(m.Context())
	if err != nil {
		return err
	}
	for _, bus := range list {
		for _, d := range bus.Devices {
			printPCI(m, d)
		}
	}
	return nil
}

func printPCI(m *hmp.Monitor, d *qapi.PciDeviceInfo) {
	m.Printf("  Bus %2d, device %3d, function %d:\n    ", d.Bus, d.Slot, d.Function)
	if d.ClassInfo.Desc != nil {
		m.Printf("%s", *d.ClassInfo.Desc)
	} else {
		m.Printf("Class %04d", d.ClassInfo.Class)
	}
	m.Printf(": PCI device %04x:%04x\n", d.Id.Vendor, d.Id.Device)
	if d.Id.SubsystemVendor != nil && d.Id.Subsystem != nil {
		m.Printf("      PCI subsystem %04x:%04x\n", *d.Id.SubsystemVendor, *d.Id.Subsystem)
	}
	if d.Irq != nil {
		m.Printf("      IRQ %d, pin %c\n", *d.Irq, 'A'+byte(d.IrqPin)-1)
	}
	if d.PciBridge != nil {
		b := d.PciBridge.Bus
		m.Printf("      BUS %d.\n      secondary bus %d.\n      subordinate bus %d.\n", b.Number, b.Secondary, b.Subordinate)
		m.Printf("      IO range [0x%04x, 0x%04x]\n      memory range [0x%08x, 0x%08x]\n      prefetchable memory range [0x%08x, 0x%08x]\n",
			b.IoRange.Base, b.IoRange.Limit, b.MemoryRange.Base, b.MemoryRange.Limit, b.PrefetchableRange.Base, b.PrefetchableRange.Limit)
	}
	for _, r := range d.Regions {
		at, end := uint64(r.Address), uint64(r.Address+r.Size-1)
		if r.Type == "io" {
			m.Printf("      BAR%d: I/O at 0x%04x [0x%04x].\n", r.Bar, at, end)
			continue
		}
		width, prefetch := 32, ""
		if r.MemType64 != nil && *r.MemType64 {
			width = 64
		}
		if r.Prefetch != nil && *r.Prefetch {
			prefetch = " prefetchable"
		}
		m.Printf("      BAR%d: %d bit%s memory at 0x%08x [0x%08x].\n", r.Bar, width, prefetch, at, end)
	}
	m.Printf("      id %q\n", d.QdevId)
	if d.PciBridge != nil {
		for _, c := range d.PciBridge.Devices {
			printPCI(m, c)
		}
	}
}
