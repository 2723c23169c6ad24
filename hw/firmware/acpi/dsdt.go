package acpi

import "fmt"

// dsdt builds the differentiated system description table.
func (m *Machine) dsdt() []byte {
	var b []byte
	switch {
	case m.PCI != nil && m.PCI.Express:
		b = cat(b, pictureMode(), m.pciRoot(), expressLinks(), m.reserved(), m.lpcBridge())
	case m.PCI != nil:
		b = cat(b, m.pciRoot(), m.pciLinks(), m.isaBridge())
	default:
		b = cat(b, scope("_SB", m.fwcfg(), m.isaDevices(), m.ged(), m.virtio()))
	}
	if m.HPET {
		b = cat(b, hpetDevice())
	}
	if m.PM == nil {
		return m.table("DSDT", 2, cat(b, m.sleepStates())) // 64-bit integers; processors are in the MADT alone
	}
	return m.table("DSDT", 1, cat(b, m.processors(), m.sleepStates()))
}

// present is the value of _STA: present, enabled, (shown,) working.
const (
	staPresent = 0x0f
	staHidden  = 0x0b
)

// processors declares one object per CPU, for the operating system to hang its power management on.
func (m *Machine) processors() []byte {
	if len(m.CPUs) == 0 {
		return nil
	}
	var b []byte
	for i, c := range m.CPUs {
		seg := fmt.Sprintf("C%03X", i)
		if c.APICID < x2apicFirst && i < x2apicFirst {
			enabled := byte(0)
			if c.Enabled {
				enabled = apicEnabled
			}
			b = cat(b, processor(seg, uint8(i), name("_MAT", buffer([]byte{madtLocalAPIC, 8, byte(i), byte(c.APICID), enabled, 0, 0, 0}))))
			continue
		}
		b = cat(b, device(seg, name("_HID", str("ACPI0007")), name("_UID", num(uint64(i)))))
	}
	return scope("\\_SB", device("CPUS", name("_HID", str("ACPI0010")), name("_CID", eisaID("PNP0A05")), b))
}

// sleepStates gives the values of SLP_TYP for the states there are.
func (m *Machine) sleepStates() []byte {
	state := func(n string, v uint64) []byte {
		return name(n, packageOf(num(v), num(v), num(0), num(0)))
	}
	if m.PM == nil {
		return scope("\\", name("_S5", packageOf(num(gedSleepS5), num(0), num(0), num(0))))
	}
	var b []byte
	if m.PM.S3 {
		b = cat(b, state("_S3", 1))
	}
	if m.PM.S4 {
		b = cat(b, state("_S4", uint64(m.PM.S4Value)))
	}
	return scope("\\", b, state("_S5", 0))
}

// hpetDevice asks the timer block itself whether it is there.
func hpetDevice() []byte {
	const femtosecondsMax = 100_000_000 // the specification's longest tick
	bad := func(v []byte, op byte, limit uint64) []byte {
		return ifThen(compare(opLOr, compare(opLEqual, v, num(0)), compare(op, v, num(limit))), ret(num(0)))
	}
	return scope("\\_SB", device("HPET",
		name("_HID", eisaID("PNP0103")),
		name("_UID", num(0)),
		opRegion("HPTM", spaceMemory, hpetAddr, 0x400),
		field("HPTM", fieldDWordAcc|fieldLock, fieldUnit{"VEND", 32}, fieldUnit{"PRD", 32}),
		method("_STA", 0, notSerialized,
			operator(opShiftRight, path("VEND"), num(16), local(0)),
			store(path("PRD"), local(1)),
			bad(local(0), opLEqual, 0xffff),
			bad(local(1), opLGreater, femtosecondsMax),
			ret(num(staPresent))),
		name("_CRS", resources(memory32(false, hpetAddr, 0x400))),
	))
}

// isaDevices are the devices at fixed ports.
func (m *Machine) isaDevices() []byte {
	var b []byte
	if m.Keyboard {
		b = cat(b, device("KBD", name("_HID", eisaID("PNP0303")), name("_STA", num(staPresent)),
			name("_CRS", resources(ioPorts(0x60, 1, 1), ioPorts(0x64, 1, 1), irqNoFlags(1)))))
	}
	if m.Mouse {
		b = cat(b, device("MOU", name("_HID", eisaID("PNP0F13")), name("_STA", num(staPresent)), name("_CRS", resources(irqNoFlags(12)))))
	}
	for i, s := range m.Serials {
		b = cat(b, device(fmt.Sprintf("COM%d", i+1), name("_HID", eisaID("PNP0501")), name("_UID", num(uint64(i+1))), name("_STA", num(staPresent)),
			name("_CRS", resources(ioPorts(s.Port, 0, 8), irqNoFlags(int(s.IRQ))))))
	}
	if m.RTC {
		b = cat(b, device("RTC", name("_HID", eisaID("PNP0B00")), name("_CRS", resources(ioPorts(0x70, 1, 8), irqNoFlags(8)))))
	}
	if m.PVPanic != 0 {
		b = cat(b, device("PEVT", name("_HID", str("QEMU0001")), name("_STA", num(staPresent)), name("_CRS", resources(ioPorts(m.PVPanic, 1, 1))),
			opRegion("PEOR", spaceIO, uint64(m.PVPanic), 1), field("PEOR", fieldByteAcc, fieldUnit{"PEPT", 8}),
			method("RDPT", 0, notSerialized, store(path("PEPT"), local(0)), ret(local(0))),
			method("WRPT", 1, notSerialized, store(arg(0), path("PEPT")))))
	}
	return b
}

// fwcfg claims the ports of the firmware configuration device.
func (m *Machine) fwcfg() []byte {
	if !m.FWCfg {
		return nil
	}
	return device("FWCF", name("_HID", str("QEMU0002")), name("_STA", num(staHidden)), name("_CRS", resources(ioPorts(0x510, 1, 0x0c))))
}
