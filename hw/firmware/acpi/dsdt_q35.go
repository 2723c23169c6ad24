package acpi

// Interrupts of the q35 board: eight links, A to D for the chipset's own slots, E to H for the others. They go to the registers of the LPC
// bridge, or, when the I/O APIC is in use, to an interrupt of their own each.
const (
	ich9Links      = 8
	ich9Slot       = 31
	ich9FirstSlot  = 25 // from here on the slots are the chipset's, except the bridge's
	ich9BridgeSlot = 30
	ich9FirstGSI   = 16
)

// expressRouting is _PRT, which depends on the interrupt controller that the operating system has chosen.
func expressRouting() []byte {
	table := func(n, prefix string) []byte {
		var entries [][]byte
		for slot := range pciSlots {
			for pin := range pciPins {
				link := (slot+pin)%pciPins + pciPins
				if slot == ich9BridgeSlot {
					link = pin + pciPins
				} else if slot >= ich9FirstSlot {
					link = pin
				}
				entries = append(entries, packageOf(num(uint64(slot)<<16|0xffff), num(uint64(pin)), path(linkName(prefix, link)), num(0)))
			}
		}
		return name(n, packageOf(entries...))
	}
	return cat(table("PRTP", "LNK"), table("PRTA", "GSI"),
		method("_PRT", 0, notSerialized, ifThen(compare(opLEqual, path("PICF"), num(0)), ret(path("PRTP"))), orElse(ret(path("PRTA")))))
}

func linkName(prefix string, n int) string { return prefix + string(rune('A'+n)) }

// pictureMode is _PIC: the operating system tells which interrupt controller it uses.
func pictureMode() []byte {
	return cat(name("PICF", num(0)), method("_PIC", 1, notSerialized, store(arg(0), path("PICF"))))
}

// expressLinks are the links behind registers, and those of fixed interrupts.
func expressLinks() []byte {
	var b []byte
	for i := range ich9Links {
		b = cat(b, link(linkName("LNK", i), uint64(i), linkName("PRQ", i)))
	}
	for i := range ich9Links {
		gsi := uint32(ich9FirstGSI + i)
		b = cat(b, device(linkName("GSI", i),
			name("_HID", eisaID("PNP0C0F")),
			name("_UID", num(uint64(gsi))),
			name("_PRS", resources(interrupts(irqShared, gsi))),
			name("_CRS", resources(interrupts(irqShared, gsi))),
			method("_DIS", 0, notSerialized),
			method("_SRS", 1, notSerialized)))
	}
	return b
}

// Control bits of the root complex that the operating system may take: native hot-plugging is the first of them.
const (
	controlAll  = 0x1e
	controlPlug = 0x01
	osUUID      = "33db4d5b-1ff7-401c-9657-7441c03dd766"
	osBadUUID   = 0x04
	osBadRev    = 0x08
	osMasked    = 0x10
	controlHigh = 8
)

// operatingControl is _OSC. native says whether hot-plugging is the operating system's, not ACPI's.
func operatingControl(native bool) []byte {
	control := uint64(controlAll)
	if native {
		control |= controlPlug
	}
	set := func(bit uint64) []byte { return operator(opOr, path("CDW1"), num(bit), path("CDW1")) }
	return method("_OSC", 4, notSerialized,
		createDWordField(arg(3), num(0), "CDW1"),
		ifThen(compare(opLEqual, arg(0), uuid(osUUID)),
			createDWordField(arg(3), num(4), "CDW2"),
			createDWordField(arg(3), num(controlHigh), "CDW3"),
			store(path("CDW3"), local(0)),
			operator(opAnd, local(0), num(control), local(0)),
			ifThen(not(compare(opLEqual, arg(1), num(1))), set(osBadRev)),
			ifThen(not(compare(opLEqual, path("CDW3"), local(0))), set(osMasked)),
			store(local(0), path("CDW3"))),
		orElse(set(osBadUUID)),
		ret(arg(3)))
}

// window32 is the memory for BARs below 4 GiB, without the extended configuration space.
func (m *Machine) window32() (out [][]byte) {
	p := m.PCI
	from, to := p.Hole32Start, p.Hole32End
	if m.MCFG != nil && m.MCFG.Addr >= from && m.MCFG.Addr <= to {
		if m.MCFG.Addr > from {
			out = append(out, dwordMemory(memReadWrite, uint32(from), uint32(m.MCFG.Addr-1)))
		}
		from = m.MCFG.Addr + m.MCFG.Size
	}
	return append(out, dwordMemory(memReadWrite, uint32(from), uint32(to)))
}

// reserved is the motherboard's device that claims the extended configuration space.
func (m *Machine) reserved() []byte {
	if m.MCFG == nil {
		return nil
	}
	return device("DRAC", name("_HID", str("PNP0C01")),
		name("_CRS", resources(dwordMemory(memReadWrite, uint32(m.MCFG.Addr), uint32(m.MCFG.Addr+m.MCFG.Size-1)))))
}
