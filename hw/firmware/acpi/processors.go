package acpi

import (
	"encoding/binary"
	"fmt"
)

// cpuName is the object of a processor.
func cpuName(i int) string { return fmt.Sprintf("C%03X", i) }

// old tells whether the CPU can be declared as a processor of ACPI 1.0.
func (c CPU) old() bool { return c.APICID < x2apicFirst }

// interruptController is a CPU's entry in the MADT.
func (c CPU) interruptController(i int, enabled bool) []byte {
	flags := uint32(0)
	if enabled {
		flags = apicEnabled
	}
	le := binary.LittleEndian
	if c.old() {
		return le.AppendUint32([]byte{madtLocalAPIC, 8, byte(i), byte(c.APICID)}, flags)
	}
	b := le.AppendUint32([]byte{madtX2APIC, 16, 0, 0}, c.APICID)
	return le.AppendUint32(le.AppendUint32(b, flags), uint32(i))
}
