package acpi

// PCI interrupt routing of the i440FX board: slot and pin add up to one of four links; the link numbers are the PIRQ registers of PIIX3.
const (
	pciSlots, pciPins = 32, 4
	piix3Slot         = 1
	pirqRegs          = 0x60 // in PIIX3's configuration space
	pirqDisabled      = 0x80
	sciIRQ            = 9
)

// linkIRQs are the interrupts a link can use.
var linkIRQs = []uint32{5, 10, 11}

// routing is _PRT, a loop over all pins. The first pin of PIIX3's slot is the power management function, hard-wired to the SCI.
func routing() []byte {
	const routes = pciSlots * pciPins
	all, pin, slot, link, route := local(0), local(1), local(2), local(3), local(4)
	to := func(n string) []byte { return store(packageOf(num(0), num(0), path(n), num(0)), route) }
	is := func(v []byte, n uint64) []byte { return compare(opLEqual, v, num(n)) }
	return method("_PRT", 0, notSerialized,
		store(emptyPackage(routes), all),
		store(num(0), pin),
		while(compare(opLLess, pin, num(routes)),
			store(operator(opShiftRight, pin, num(2), nil), slot),
			store(operator(opAnd, operator(opAdd, pin, slot, nil), num(pciPins-1), nil), link),
			ifThen(is(link, 0), to("LNKD")),
			ifThen(is(link, 1), ifThen(is(pin, piix3Slot*pciPins), to("LNKS")), orElse(to("LNKA"))),
			ifThen(is(link, 2), to("LNKB")),
			ifThen(is(link, 3), to("LNKC")),
			store(operator(opOr, shiftLeft(slot, num(16)), num(0xffff), nil), index(route, num(0))),
			store(operator(opAnd, pin, num(pciPins-1), nil), index(route, num(1))),
			store(route, index(all, pin)),
			increment(pin)),
		ret(all))
}

// pciRoot is the host bridge, with its interrupts and the registers for hot-plugging.
func (m *Machine) pciRoot() []byte {
	p := m.PCI
	var b []byte
	if p.Express {
		b = scope("_SB", device("PCI0", name("_HID", eisaID("PNP0A08")), name("_CID", eisaID("PNP0A03")), name("_ADR", num(0)), name("_UID", num(uint64(p.UID))),
			operatingControl(p.Hotplug == 0)), m.reserved(), m.smiResources())
	} else {
		b = scope("_SB", device("PCI0", name("_HID", eisaID("PNP0A03")), name("_ADR", num(0)), name("_UID", num(uint64(p.UID)))))
	}
	if p.Hotplug != 0 {
		b = cat(b, pciHotplugRegisters(uint64(p.Hotplug)))
	}
	if p.Express {
		return cat(b, pictureMode(), scope("_SB", scope("PCI0", expressRouting()), linkStatus(), linkResources(operator(opAnd, arg(0), num(0x0f), nil)), expressLinks()))
	}
	return cat(b, scope("_SB", scope("PCI0", routing()), linkStatus(), linkResources(nil), pciLinks()))
}

// pciResources is the host bridge's windows and the ports that belong to the board.
func (m *Machine) pciResources() []byte {
	p := m.PCI
	windows := [][]byte{
		wordSpace(spaceTypeBus, 0, 0, 0xff),
		ioPorts(0xcf8, 1, 8),
		wordSpace(spaceTypeIO, ioEntireRange, 0, 0xcf7),
		wordSpace(spaceTypeIO, ioEntireRange, 0xd00, 0xffff),
		dwordMemory(memCacheable|memReadWrite, 0xa0000, 0xbffff),
	}
	windows = append(windows, m.window32()...)
	if p.Hole64End != 0 {
		windows = append(windows, qwordMemory(memCacheable|memReadWrite, p.Hole64Start, p.Hole64End))
	}
	ports := func(n, uid string, at uint16, size byte) []byte {
		return device(n, name("_HID", str("PNP0A06")), name("_UID", str(uid)), name("_STA", num(staHidden)), name("_CRS", resources(ioPorts(at, 1, size))))
	}
	b := cat(name("_CRS", resources(windows...)), ports("GPE0", "GPE0 resources", m.PM.GPE, m.PM.GPEBytes))
	if p.Hotplug != 0 {
		b = cat(b, ports("PHPR", "PCI Hotplug resources", p.Hotplug, pciHotplugPorts))
	}
	return scope("\\_SB.PCI0", b)
}

// linkStatus is the method for a link's _STA, linkResources that for its _CRS; number is how its interrupt follows from the register.
func linkStatus() []byte {
	return method("IQST", 1, notSerialized,
		ifThen(operator(opAnd, num(pirqDisabled), arg(0), nil), ret(num(9))),
		ret(num(staHidden)))
}

// linkResources is described with linkStatus. Without a number, the register counts unless its link is off.
func linkResources(number []byte) []byte {
	set := ifThen(compare(opLLess, arg(0), num(pirqDisabled)), store(arg(0), path("PRRI")))
	if number != nil {
		set = store(number, path("PRRI"))
	}
	return method("IQCR", 1, serialized,
		name("PRR0", resources(interrupts(irqShared, 0))),
		createDWordField(path("PRR0"), num(extIRQNumber), "PRRI"),
		set,
		ret(path("PRR0")))
}

// pciLinks are the interrupt links: four that PIIX3 routes and the fixed one of the SCI.
func pciLinks() []byte {
	var b []byte
	for i, n := range []string{"LNKA", "LNKB", "LNKC", "LNKD"} {
		b = cat(b, link(n, uint64(i), "PRQ"+string(rune('0'+i))))
	}
	return cat(b, device("LNKS",
		name("_HID", eisaID("PNP0C0F")),
		name("_UID", num(4)),
		name("_PRS", resources(interrupts(irqShared, sciIRQ))),
		method("_STA", 0, notSerialized, ret(num(staHidden))),
		method("_DIS", 0, notSerialized),
		method("_CRS", 0, notSerialized, ret(path("_PRS"))),
		method("_SRS", 1, notSerialized)))
}

// link is an interrupt link behind the PIRQ register reg.
func link(n string, uid uint64, reg string) []byte {
	return device(n,
		name("_HID", eisaID("PNP0C0F")),
		name("_UID", num(uid)),
		name("_PRS", resources(interrupts(irqShared, linkIRQs...))),
		method("_STA", 0, notSerialized, ret(cat(path("IQST"), path(reg)))),
		method("_DIS", 0, notSerialized, operator(opOr, path(reg), num(pirqDisabled), path(reg))),
		method("_CRS", 0, notSerialized, ret(cat(path("IQCR"), path(reg)))),
		method("_SRS", 1, notSerialized,
			createDWordField(arg(0), num(extIRQNumber), "PRRI"),
			store(path("PRRI"), path(reg))),
	)
}
