package acpi

import "fmt"

// The generic event device: a selector register tells what happened.
const (
	gedPowerDown  = 1 << 1 // selector bit: the power button was pressed
	gedSleepS5    = 5
	gedResetValue = 0x42
	gedSelSize    = 4
	powerPressed  = 0x80
)

// ged is the event device of a hardware-reduced machine and the power button it signals.
func (m *Machine) ged() []byte {
	if m.GED == nil {
		return nil
	}
	return cat(
		device("GED",
			name("_HID", str("ACPI0013")),
			name("_UID", str("GED")),
			name("_CRS", resources(interrupts(irqEdge, m.GED.IRQ))),
			opRegion("EREG", spaceMemory, m.GED.Base, gedSelSize),
			field("EREG", fieldDWordAcc|fieldWriteZeroes, fieldUnit{"ESEL", 32}),
			method("_EVT", 1, serialized,
				store(path("ESEL"), local(0)),
				ifThen(compare(opLEqual, operator(opAnd, local(0), num(gedPowerDown), nil), num(gedPowerDown)),
					notify(path("PWRB"), num(powerPressed))))),
		device("PWRB", name("_HID", str("PNP0C0C")), name("_UID", num(0))))
}

// virtio declares the virtio-mmio slots that hold a device.
func (m *Machine) virtio() []byte {
	var b []byte
	for _, v := range m.VirtioMMIO {
		b = cat(b, device(fmt.Sprintf("VR%02d", v.UID), name("_HID", str("LNRO0005")), name("_UID", num(v.UID)), name("_CCA", num(1)),
			name("_CRS", resources(memory32(true, v.Addr, v.Size), interrupts(0, v.IRQ)))))
	}
	return b
}
