package pc

import (
	"strings"

	"goemu/hw/firmware"
	"goemu/hw/hotplug"
	"goemu/internal/memory"
)

// noneProps are the properties that the empty machine has.
var noneProps = strings.Fields("dump-guest-core graphics mem-merge")

func noneType() *Type {
	return &Type{Name: "none", Desc: "empty machine", MaxCPUs: 1, RAMID: "ram", Empty: true, DriveIF: "none", props: noneProps, build: buildNone}
}

// noChips is the chipset of the empty machine.
type noChips struct{}

// buildNone builds what has no part but the memory that was asked for.
func buildNone(m *Machine) error {
	m.chips = noChips{}
	return nil
}

func (noChips) afterReset(*Machine)                  {}
func (noChips) describe(*Machine, *firmware.Machine) {}
func (noChips) commandLine(*Machine) string          { return "" }
func (noChips) raise(uint8)                          {}
func (noChips) pciMemory() *memory.Region            { return nil }

// slots implements chipset: CPUs and memory stay.
func (noChips) slots() (*hotplug.CPUs, *hotplug.DIMMs) { return nil, nil }

func (noChips) mayPlugCPU() error   { return nil }
func (noChips) mayUnplugCPU() error { return nil }
