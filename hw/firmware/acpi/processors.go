package acpi

import (
	"encoding/binary"
	"fmt"
)

// processors declares one object per CPU that there is or may be.
func (m *Machine) processors() []byte {
	if len(m.CPUs) == 0 {
		return nil
	}
	var b []byte
	for i, c := range m.CPUs {
		n := fmt.Sprintf("C%03X", i)
		if c.old() {
			b = cat(b, processor(n, uint8(i), name("_MAT", buffer(c.interruptController(i)))))
		} else {
			b = cat(b, device(n, name("_HID", str("ACPI0007")), name("_UID", num(uint64(i)))))
		}
	}
	return scope("\\_SB", device("CPUS", name("_HID", str("ACPI0010")), name("_CID", eisaID("PNP0A05")), b))
}

// old tells whether the CPU can be declared as a processor of ACPI 1.0.
func (c CPU) old() bool { return c.APICID < x2apicFirst }

// interruptController is a CPU's entry in the MADT.
func (c CPU) interruptController(i int) []byte {
	flags := uint32(0)
	if c.Enabled {
		flags = apicEnabled
	}
	le := binary.LittleEndian
	if c.old() {
		return le.AppendUint32([]byte{madtLocalAPIC, 8, byte(i), byte(c.APICID)}, flags)
	}
	b := le.AppendUint32([]byte{madtX2APIC, 16, 0, 0}, c.APICID)
	return le.AppendUint32(le.AppendUint32(b, flags), uint32(i))
}
