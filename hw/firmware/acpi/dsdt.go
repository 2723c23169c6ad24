package acpi

import (
	"encoding/binary"
	"fmt"
)

// dsdt builds the differentiated system description table, in QEMU's order.
func (m *Machine) dsdt() []byte {
	if m.PM == nil { // 64-bit integers; processors are in the MADT alone
		return m.table("DSDT", 2, cat(scope("_SB", m.fwcfg(), m.isaDevices(), m.ged(), m.virtio()), m.sleepStates()))
	}
	b := cat(debugPort(), m.pciRoot())
	if m.HPET {
		b = cat(b, hpetDevice())
	}
	b = cat(b, scope("_GPE", name("_HID", str("ACPI0006"))), m.processors(), m.memoryModules(), m.pciResources(), m.sleepStates(),
		scope("\\_SB.PCI0", m.fwcfg()), m.pciDevices())
	if m.PCI.Hotplug != 0 {
		b = cat(b, pciHotplugEvent())
	}
	return m.table("DSDT", 1, b)
}

// debugPort is a method with which the other methods' authors print to the firmware's debug port.
func debugPort() []byte {
	const port = 0x402
	buf, length, i := local(0), local(1), local(2)
	return scope("\\",
		opRegion("DBG", spaceIO, port, 1),
		field("DBG", fieldByteAcc, fieldUnit{"DBGB", 8}),
		method("DBUG", 1, notSerialized,
			cat([]byte{opToHexString}, arg(0), buf),
			cat([]byte{opToBuffer}, buf, buf),
			operator(opSubtract, cat([]byte{opSizeOf}, buf), num(1), length),
			store(num(0), i),
			while(compare(opLLess, i, length),
				store(derefOf(index(buf, i)), path("DBGB")),
				increment(i)),
			store(num('\n'), path("DBGB"))))
}

// present is the value of _STA: present, enabled, (shown,) working.
const (
	staPresent = 0x0f
	staHidden  = 0x0b
)

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
	return scope("_SB", device("HPET",
		name("_HID", eisaID("PNP0103")),
		name("_UID", num(0)),
		opRegion("HPTM", spaceMemory, hpetAddr, 0x400),
		field("HPTM", fieldDWordAcc|fieldLock, fieldUnit{"VEND", 32}, fieldUnit{"PRD", 32}),
		method("_STA", 0, notSerialized,
			store(path("VEND"), local(0)),
			store(path("PRD"), local(1)),
			operator(opShiftRight, local(0), num(16), local(0)),
			bad(local(0), opLEqual, 0xffff),
			bad(local(1), opLGreater, femtosecondsMax),
			ret(num(staPresent))),
		name("_CRS", resources(memory32(false, hpetAddr, 0x400))),
	))
}

// isaDevices are the devices at fixed ports.
func (m *Machine) isaDevices() (b []byte) {
	for _, d := range m.ISA {
		b = cat(b, d.aml())
	}
	return b
}

func (d ISADevice) aml() []byte {
	switch d.Kind {
	case ISAKeyboard:
		return device("KBD", name("_HID", eisaID("PNP0303")), name("_STA", num(staPresent)),
			name("_CRS", resources(ioPorts(0x60, 1, 1), ioPorts(0x64, 1, 1), irqNoFlags(1))))
	case ISAMouse:
		return device("MOU", name("_HID", eisaID("PNP0F13")), name("_STA", num(staPresent)), name("_CRS", resources(irqNoFlags(12))))
	case ISASerial:
		n := d.Index + 1
		return device(fmt.Sprintf("COM%d", n), name("_HID", eisaID("PNP0501")), name("_UID", num(uint64(n))), name("_STA", num(staPresent)),
			name("_CRS", resources(ioPorts(d.Port, 0, 8), irqNoFlags(int(d.IRQ)))))
	case ISAParallel:
		n := d.Index + 1
		return device(fmt.Sprintf("LPT%d", n), name("_HID", eisaID("PNP0400")), name("_UID", num(uint64(n))), name("_STA", num(staPresent)),
			name("_CRS", resources(ioPorts(d.Port, 8, 8), irqNoFlags(int(d.IRQ)))))
	case ISAFloppy:
		return d.floppy()
	case ISAClock:
		return device("RTC", name("_HID", eisaID("PNP0B00")), name("_CRS", resources(ioPorts(0x70, 1, 8), irqNoFlags(8))))
	case ISAPanic:
		return device("PEVT", name("_HID", str("QEMU0001")), name("_CRS", resources(ioPorts(d.Port, 1, 1))),
			opRegion("PEOR", spaceIO, uint64(d.Port), 1), field("PEOR", fieldByteAcc, fieldUnit{"PEPT", 8}),
			name("_STA", num(staPresent)),
			method("RDPT", 0, notSerialized, store(path("PEPT"), local(0)), ret(local(0))),
			method("WRPT", 1, notSerialized, store(arg(0), path("PEPT"))))
	}
	return nil
}

// floppy is a floppy controller. Drives are told of by _FDI in the form of the BIOS's diskette parameter table (interrupt 13h, function 8).
func (d ISADevice) floppy() []byte {
	const dmaFlags, tapeNever = 0, 2
	present := [5]uint32{4: tapeNever}
	b := cat(name("_HID", eisaID("PNP0700")),
		name("_CRS", resources(ioPorts(d.Port+2, 0, 4), ioPorts(d.Port+7, 0, 1), irqNoFlags(int(d.IRQ)), dmaChannel(d.DMA, dmaFlags))))
	for i, dr := range d.Drives {
		if dr.Type == 0 {
			continue
		}
		present[i] = 1
		info := [][]byte{num(uint64(i)), num(uint64(dr.Type)), num(uint64(dr.Cylinder)), num(uint64(dr.Sector)), num(uint64(dr.Head))}
		for _, v := range [...]uint64{0xaf, 0x02, 0x25, 0x02, 0x12, 0x1b, 0xff, 0x6c, 0xf6, 0x0f, 0x08} {
			info = append(info, num(v))
		}
		b = cat(b, device(fmt.Sprintf("FLP%c", 'A'+i), name("_ADR", num(uint64(i))), name("_FDI", packageOf(info...))))
	}
	var fde []byte
	for _, v := range present {
		fde = binary.LittleEndian.AppendUint32(fde, v)
	}
	return device("FDC0", b, name("_FDE", buffer(fde)))
}

// fwcfg claims the ports of the firmware configuration device.
func (m *Machine) fwcfg() []byte {
	if !m.FWCfg {
		return nil
	}
	return device("FWCF", name("_HID", str("QEMU0002")), name("_STA", num(staHidden)), name("_CRS", resources(ioPorts(0x510, 1, 0x0c))))
}
