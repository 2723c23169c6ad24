package acpi

// The registers for CPU hot-plug (QEMU's docs/specs/acpi_cpu_hotplug.rst) and the commands the methods use.
const (
	cpuHotplugPorts = 12
	cpuNextEvent    = 0
	cpuOSTEvent     = 1
	cpuOSTStatus    = 2
	cpuPerPass      = 255 // elements of a package of ACPI 1.0

	// What the firmware is asked for by a system management interrupt.
	smiCommand     = "\\_SB.PCI0.SMI0.SMIC"
	smiCPUHotplug  = 4
	smiCommandPort = 0xb2
)

// processors are the registers for CPUs and one object per CPU that there is or may be, with the methods that use the registers.
func (m *Machine) processors() []byte {
	if len(m.CPUs) == 0 {
		return nil
	}
	const res = "\\_SB.PCI0.PRES"
	reg := func(n string) []byte { return path(res + "." + n) }
	one, zero := num(1), num(0)
	is := func(v []byte, n uint64) []byte { return compare(opLEqual, v, num(n)) }
	locked := func(body ...[]byte) []byte { return cat(acquire(res+".CPLK"), cat(body...), release(res+".CPLK")) }

	control := device(res,
		name("_HID", eisaID("PNP0A06")),
		name("_UID", str("CPU Hotplug resources")),
		mutex("CPLK"),
		name("_CRS", resources(ioPorts(m.CPUHotplug, 1, cpuHotplugPorts))),
		opRegion("PRST", spaceIO, uint64(m.CPUHotplug), cpuHotplugPorts),
		field("PRST", fieldByteAcc|fieldWriteZeroes, fieldUnit{"", 32}, fieldUnit{"CPEN", 1}, fieldUnit{"CINS", 1}, fieldUnit{"CRMV", 1},
			fieldUnit{"CEJ0", 1}, fieldUnit{"CEJF", 1}, fieldUnit{"", 3}, fieldUnit{"CCMD", 8}),
		field("PRST", fieldDWordAcc, fieldUnit{"CSEL", 32}, fieldUnit{"", 32}, fieldUnit{"CDAT", 32}),
		method("_INI", 0, serialized, store(zero, path("CSEL")))) // leaves the registers' old form

	var notifyAll, cpus []byte
	for i, c := range m.CPUs {
		notifyAll = cat(notifyAll, ifThen(is(arg(0), uint64(i)), notifyDevice(cpuName(i))))
		cpus = cat(cpus, m.cpuObject(i, c))
	}
	more, added, at, id, again := local(0), local(1), local(2), local(3), local(4)
	scan := while(is(again, 1),
		store(zero, again),
		store(one, more),
		store(zero, added),
		while(compare(opLAnd, is(more, 1), compare(opLLess, id, num(uint64(len(m.CPUs))))),
			store(zero, more),
			store(id, reg("CSEL")),
			store(num(cpuNextEvent), reg("CCMD")),
			ifThen(compare(opLLess, reg("CDAT"), id), []byte{opBreak}),
			ifThen(is(added, cpuPerPass), store(one, again), []byte{opBreak}),
			store(reg("CDAT"), id),
			ifThen(is(reg("CINS"), 1), store(id, index(path("CNEW"), added)), increment(added), store(one, more)),
			orElse(ifThen(is(reg("CRMV"), 1), call("CTFY", id, num(notifyEject)), store(one, reg("CRMV")), store(one, more))),
			increment(id)),
		m.cpuUpcall(added),
		store(zero, at),
		while(compare(opLLess, at, added),
			store(derefOf(index(path("CNEW"), at)), id),
			call("CTFY", id, num(notifyCheck)),
			store(id, []byte{opExt, extDebug}),
			store(id, reg("CSEL")),
			store(one, reg("CINS")),
			increment(at)))
	list := device("\\_SB.CPUS",
		name("_HID", str("ACPI0010")),
		name("_CID", eisaID("PNP0A05")),
		method("CTFY", 2, notSerialized, notifyAll),
		method("CSTA", 1, serialized,
			locked(store(arg(0), reg("CSEL")), store(zero, local(0)), ifThen(is(reg("CPEN"), 1), store(num(staPresent), local(0)))), ret(local(0))),
		method("CEJ0", 1, serialized, locked(store(arg(0), reg("CSEL")), m.cpuEject(reg))),
		method("CSCN", 0, serialized, locked(name("CNEW", emptyPackage(cpuPerPass)), store(zero, id), store(one, again), scan)),
		method("COST", 4, serialized, locked(store(arg(0), reg("CSEL")), store(num(cpuOSTEvent), reg("CCMD")), store(arg(1), reg("CDAT")),
			store(num(cpuOSTStatus), reg("CCMD")), store(arg(2), reg("CDAT")))),
		cpus)
	return cat(scope("_SB", control, list), method("\\_GPE._E02", 0, notSerialized, call("\\_SB.CPUS.CSCN")))
}

// cpuObject is a processor that may come and go; the first one stays.
func (m *Machine) cpuObject(i int, c CPU) []byte {
	id := num(uint64(i))
	body := cat(method("_STA", 0, serialized, ret(call("CSTA", id))), name("_MAT", buffer(c.interruptController(i, true))))
	if i != 0 {
		body = cat(body, method("_EJ0", 1, notSerialized, call("CEJ0", id)))
	}
	body = cat(body, method("_OST", 3, serialized, call("COST", id, arg(0), arg(1), arg(2))))
	if len(m.Nodes) > 0 {
		body = cat(body, name("_PXM", num(uint64(c.Node))))
	}
	if c.old() {
		return processor(cpuName(i), uint8(i), body)
	}
	return device(cpuName(i), name("_HID", str("ACPI0007")), name("_UID", id), body)
}

// cpuUpcall lets the firmware take in the CPUs that have come before the operating system hears of them.
func (m *Machine) cpuUpcall(added []byte) []byte {
	if !m.CPUHotplugSMI {
		return nil
	}
	return ifThen(compare(opLGreater, added, num(0)), store(num(smiCPUHotplug), path(smiCommand)))
}

// cpuEject lets the selected CPU go, with the firmware's help if it has offered that.
func (m *Machine) cpuEject(reg func(string) []byte) []byte {
	if !m.CPUUnplugSMI {
		return store(num(1), reg("CEJ0"))
	}
	return cat(store(num(1), reg("CEJF")), store(num(smiCPUHotplug), path(smiCommand)))
}

// smiResources is the command port for system management interrupts.
func (m *Machine) smiResources() []byte {
	if !m.CPUHotplugSMI {
		return nil
	}
	return device("PCI0.SMI0",
		name("_HID", eisaID("PNP0A06")),
		name("_UID", str("SMI resources")),
		name("_CRS", resources(ioPorts(smiCommandPort, 1, 2))),
		opRegion("SMIR", spaceIO, smiCommandPort, 2),
		field("SMIR", fieldByteAcc|fieldWriteZeroes, fieldUnit{"SMIC", 8}, fieldUnit{"", 8}))
}
