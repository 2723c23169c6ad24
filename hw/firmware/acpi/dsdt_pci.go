package acpi

// PCI interrupt routing of the i440FX board: slot and pin add up to one of four links; the link numbers are the PIRQ registers of PIIX3.
const (
	pciSlots, pciPins = 32, 4
	piix3Slot         = 1
	pirqRegs          = 0x60 // in PIIX3's configuration space
	pirqDisabled      = 0x80
	sciIRQ            = 9
)

// linkOf gives the link of (slot + pin) modulo 4.
var linkOf = [pciPins]string{"LNKD", "LNKA", "LNKB", "LNKC"}

// linkIRQs are the interrupts a link can use.
var linkIRQs = []uint32{5, 10, 11}

// routing is _PRT. The first pin of PIIX3's slot is the power management function, hard-wired to the SCI.
func routing() []byte {
	var entries [][]byte
	for slot := range pciSlots {
		for pin := range pciPins {
			link := linkOf[(slot+pin)%pciPins]
			if slot == piix3Slot && pin == 0 {
				link = "LNKS"
			}
			entries = append(entries, packageOf(num(uint64(slot)<<16|0xffff), num(uint64(pin)), path(link), num(0)))
		}
	}
	return name("_PRT", packageOf(entries...))
}

// pciRoot is the host bridge with its windows and the ports that belong to the board.
func (m *Machine) pciRoot() []byte {
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
	body := [][]byte{name("_HID", eisaID("PNP0A03"))}
	if p.Express {
		body = [][]byte{name("_HID", eisaID("PNP0A08")), name("_CID", eisaID("PNP0A03")), operatingControl()}
	}
	body = append(body, name("_ADR", num(0)), name("_UID", num(0)), name("_CRS", resources(windows...)))
	if p.Express {
		body = append(body, expressRouting())
	} else {
		body = append(body, routing())
	}
	body = append(body, m.fwcfg())
	if m.PM != nil {
		body = append(body, device("GPE0", name("_HID", eisaID("PNP0A06")), name("_UID", str("GPE0 resources")), name("_STA", num(staHidden)),
			name("_CRS", resources(ioPorts(m.PM.GPE, 1, m.PM.GPEBytes)))))
	}
	return scope("\\_SB", device("PCI0", body...))
}

// isaBridge is PIIX3 with its PIRQ registers and the ISA devices below it.
func (m *Machine) isaBridge() []byte {
	return scope("\\_SB.PCI0", device("ISA",
		name("_ADR", num(piix3Slot<<16)),
		opRegion("P40C", spacePCIConfig, pirqRegs, 4),
		m.isaDevices(),
		scope("\\_SB", field("PCI0.ISA.P40C", fieldByteAcc, fieldUnit{"PRQ0", 8}, fieldUnit{"PRQ1", 8}, fieldUnit{"PRQ2", 8}, fieldUnit{"PRQ3", 8})),
	))
}

// linkStatus is the method for a link's _STA, linkResources that for its _CRS; number is how its interrupt follows from the register.
func linkStatus() []byte {
	return method("IQST", 1, notSerialized,
		ifThen(operator(opAnd, num(pirqDisabled), arg(0), nil), ret(num(9))),
		ret(num(staHidden)))
}

// linkResources is described with linkStatus. Without a number, the register counts unless its link is off.
func linkResources(number []byte) []byte {
	set := ifThen(compare(opLGreater, num(pirqDisabled), arg(0)), store(arg(0), path("PRRI")))
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
func (m *Machine) pciLinks() []byte {
	var b []byte
	for i, n := range []string{"LNKA", "LNKB", "LNKC", "LNKD"} {
		b = cat(b, link(n, uint64(i), "PRQ"+string(rune('0'+i))))
	}
	return scope("\\_SB",
		linkStatus(),
		linkResources(nil),
		b,
		device("LNKS",
			name("_HID", eisaID("PNP0C0F")),
			name("_UID", num(4)),
			name("_PRS", resources(interrupts(irqShared, sciIRQ))),
			method("_STA", 0, notSerialized, ret(num(staHidden))),
			method("_DIS", 0, notSerialized),
			method("_CRS", 0, notSerialized, ret(path("_PRS"))),
			method("_SRS", 1, notSerialized)),
	)
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
