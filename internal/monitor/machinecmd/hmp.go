package machinecmd

import (
	"goemu/internal/mainloop"
	"goemu/internal/monitor/hmp"
	"goemu/qapi"
	"goemu/target/x86"
)

// HMP returns the commands for people, and those of info.
func (s *Service) HMP() (commands, info []*hmp.Command) {
	commands = []*hmp.Command{
		{Name: "balloon", Args: "value:M", Params: "target", Help: "request VM to change its memory allocation (in MB)",
			Run: func(m *hmp.Monitor, a *hmp.Args) error {
				return s.Balloon(m.Context(), &qapi.BalloonArg{Value: a.Int("value")})
			}},
		{Name: "boot_set", Args: "bootdevice:s", Params: "bootdevice", Help: "define new values for the boot device list", Run: s.hmpBootSet},
		{Name: "cpu", Args: "index:i", Params: "index", Help: "set the default CPU", Run: s.hmpCPU},
		{Name: "gpa2hpa", Args: "addr:l", Params: "addr", Help: "print the host physical address corresponding to a guest physical address", Run: s.hmpHostPhysical},
		{Name: "gpa2hva", Args: "addr:l", Params: "addr", Help: "print the host virtual address corresponding to a guest physical address", Run: s.hmpHostAddress},
		{Name: "gva2gpa", Args: "addr:l", Params: "addr", Help: "print the guest physical address corresponding to a guest virtual address", Run: s.hmpTranslate},
		{Name: "i", Args: "fmt:/,addr:i,index:i.", Params: "/fmt addr", Help: "I/O port read", Run: s.hmpIn},
		{Name: "mce", Args: "broadcast:-b,cpu_index:i,bank:i,status:l,mcg_status:l,addr:l,misc:l", Params: "[-b] cpu bank status mcgstatus addr misc",
			Help: "inject a MCE on the given CPU [and broadcast to other CPUs with -b option]", Run: s.hmpMCE},
		{Name: "memsave", Args: "val:l,size:i,filename:s", Params: "addr size file", Help: "save to disk virtual memory dump starting at 'addr' of size 'size'",
			Run: func(m *hmp.Monitor, a *hmp.Args) error {
				cpu := int64(m.CPU)
				return s.Memsave(m.Context(), &qapi.MemsaveArg{Val: a.Int("val"), Size: a.Int("size"), Filename: a.Text("filename"), CpuIndex: &cpu})
			}},
		{Name: "nmi", Help: "inject an NMI", Run: func(m *hmp.Monitor, _ *hmp.Args) error { return s.InjectNmi(m.Context()) }},
		{Name: "o", Args: "fmt:/,addr:i,val:i", Params: "/fmt addr value", Help: "I/O port write", Run: s.hmpOut},
		{Name: "pmemsave", Args: "val:l,size:i,filename:s", Params: "addr size file", Help: "save to disk physical memory dump starting at 'addr' of size 'size'",
			Run: func(m *hmp.Monitor, a *hmp.Args) error {
				return s.Pmemsave(m.Context(), &qapi.PmemsaveArg{Val: a.Int("val"), Size: a.Int("size"), Filename: a.Text("filename")})
			}},
		{Name: "sum", Args: "start:i,size:i", Params: "addr size", Help: "compute the checksum of a memory region", Run: s.hmpSum},
		{Name: "x", Args: "fmt:/,addr:l", Params: "/fmt addr", Help: "virtual memory dump starting at 'addr'",
			Run: func(m *hmp.Monitor, a *hmp.Args) error { return s.hmpDump(m, a, false) }},
		{Name: "xp", Args: "fmt:/,addr:l", Params: "/fmt addr", Help: "physical memory dump starting at 'addr'",
			Run: func(m *hmp.Monitor, a *hmp.Args) error { return s.hmpDump(m, a, true) }},
	}
	info = []*hmp.Command{
		{Name: "balloon", Help: "show balloon information", Run: s.infoBalloon},
		{Name: "vm-generation-id", Help: "Show Virtual Machine Generation ID", Run: s.infoGeneration},
		{Name: "cpus", Help: "show infos for each CPU", Run: s.infoCPUs},
		{Name: "hotpluggable-cpus", Help: "Show information about hotpluggable CPUs", Run: s.infoHotpluggable},
		{Name: "iothreads", Help: "show iothreads", Run: s.infoIOThreads},
		{Name: "irq", Help: "show the interrupts statistics (if available)", Run: s.show((*Target).interruptCounts)},
		{Name: "jit", Help: "show dynamic compiler info", Run: s.show((*Target).translator)},
		{Name: "lapic", Args: "apic-id:i?", Params: "[apic-id]", Help: "show local apic state (apic-id: local apic to read, default is which of current CPU)", Run: s.infoLAPIC},
		{Name: "mem", Help: "show the active virtual memory mappings", Run: s.infoMem},
		{Name: "memdev", Help: "show memory backends", Run: s.infoMemdev},
		{Name: "memory-devices", Help: "show memory devices", Run: s.infoMemoryDevices},
		{Name: "memory_size_summary", Help: "show the amount of initially allocated and present hotpluggable (if enabled) memory in bytes.", Run: s.infoMemorySize},
		{Name: "mtree", Args: "flatview:-f,disabled:-D", Params: "[-f][-D]", Help: "show memory tree (-f: dump flat view for address spaces; -D: dump disabled regions)", Run: s.infoTree},
		{Name: "numa", Help: "show NUMA information", Run: s.show((*Target).nodes)},
		{Name: "pci", Help: "show PCI info", Run: s.infoPCI},
		{Name: "pic", Help: "show PIC state", Run: s.infoPIC},
		{Name: "ramblock", Help: "Display system ramblock information", Run: s.show((*Target).blocks)},
		{Name: "registers", Args: "cpustate_all:-a,vcpu:i?", Params: "[-a|vcpu]",
			Help: "show the cpu registers (-a: show register info for all cpus; vcpu: specific vCPU to query; show the current CPU's registers if no argument is specified)",
			Run:  s.infoRegisters},
		{Name: "roms", Help: "show roms", Run: s.show((*Target).roms)},
		{Name: "stats", Args: "target:s,names:s?,provider:s?", Params: "target [names] [provider]",
			Help: "show statistics for the given target (vm or vcpu); optionally filter by name (comma-separated list, or * for all) and provider", Run: s.infoStats},
		{Name: "tlb", Help: "show virtual to physical memory mappings", Run: s.infoTLB},
		{Name: "usb", Help: "show guest USB devices", Run: s.show((*Target).usb)},
	}
	return commands, info
}

// hmpBootSet is the command boot_set.
func (s *Service) hmpBootSet(m *hmp.Monitor, a *hmp.Args) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	list := a.Text("bootdevice")
	if err := s.Machine().SetBoot(list); err != nil {
		m.Printf("%v\n", err)
		return nil
	}
	m.Printf("boot device list now set to %s\n", list)
	return nil
}

func (s *Service) hmpCPU(m *hmp.Monitor, a *hmp.Args) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	n := a.Int("index")
	if s.Machine().cpu(int(n)) < 0 {
		m.Printf("invalid CPU index\n")
		return nil
	}
	m.CPU = int(n)
	return nil
}

// infoLAPIC shows the local APIC of the monitor's CPU or of the one with an APIC's number.
func (s *Service) infoLAPIC(m *hmp.Monitor, a *hmp.Args) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	t, cpu := s.Machine(), m.CPU
	if a.Has("apic-id") {
		cpu = -1
		for _, c := range t.CPUs {
			if int64(c.APICID()) == a.Int("apic-id") {
				cpu = c.Index()
			}
		}
	}
	if t.cpu(cpu) < 0 {
		m.Printf("No CPU available\n")
		return nil
	}
	t.Stopped(func() { t.LAPIC(m, cpu) }) // a kernel may do its work meanwhile
	return nil
}

func (s *Service) infoPIC(m *hmp.Monitor, _ *hmp.Args) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	t := s.Machine()
	t.Stopped(func() { t.Interrupts(m) })
	return nil
}

// cpuState is the state of the CPU that a monitor's commands are about, nil if there is none. Preconditions: the machine lock is held.
func (s *Service) cpuState(m *hmp.Monitor) *x86.State {
	return s.Machine().CPUState(m.CPU)
}
