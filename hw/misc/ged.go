package misc

import (
	"goemu/hw/hotplug"
	"goemu/hw/qdev"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/migration/vmstate"
)

// Registers of the generic event device (ACPI specification, §5.6.9): a selector that says what happened, and at gedRegisters the
// sleep and reset registers of a hardware-reduced machine (§4.8.3.7).
const (
	gedSelector, gedSelectorSize = 0, 4
	// GEDRegisters is the offset of the sleep control register; status and reset follow.
	GEDRegisters = 0x200

	gedSleepControl, gedReset, gedRegistersSize = 0, 2, 3
	gedSleepEnable, gedSleepShift, gedSleepMask = 0x20, 2, 7
	gedSleepS5, gedResetValue                   = 5, 0x42
	gedPowerDown                                = 1 << 1
)

// GED is the device type acpi-ged-x86.
type GED struct {
	qdev.Base
	mem *memory.Region
	irq *qdev.IRQ
	vm  *mainloop.VM
	at  uint64
	sel uint32
	hot hotplug.DIMMs
	io  [2]*memory.Region

	errors uint64
}

var gedState = vmstate.Description[GED]{Name: "acpi-ged-state", Version: 1, MinVersion: 1, Fields: []vmstate.Field[GED]{
	vmstate.Of("sel", func(g *GED) *uint32 { return &g.sel }),
}}

// gedErrorState is where firmware on other processors reports hardware errors; it is never sent here.
var gedErrorState = vmstate.Description[uint64]{Name: "acpi-ghes", Version: 1, MinVersion: 1, Fields: []vmstate.Field[uint64]{
	vmstate.Of("ghes_addr_le", func(a *uint64) *uint64 { return a }),
}}

// GEDClass is the device type.
var GEDClass = qdev.Class{Name: "acpi-ged-x86", Internal: true, Category: qdev.Misc, New: func() qdev.Device { return new(GED) },
	State: qdev.State(&vmstate.Description[GED]{Name: "acpi-ged", Version: 1, MinVersion: 1, Fields: []vmstate.Field[GED]{
		vmstate.Struct("ged_state", &gedState, func(g *GED) *GED { return g }).Since(1),
	}, Subsections: []*vmstate.Description[GED]{
		{Name: "acpi-ged/memhp", Version: 1, MinVersion: 1, Fields: []vmstate.Field[GED]{
			vmstate.Struct("memhp_state", &hotplug.DIMMsState, func(g *GED) *hotplug.DIMMs { return &g.hot }).Since(1),
		}},
		{Name: "acpi-ged/ghes", Version: 1, MinVersion: 1, Needed: func(*GED) bool { return false }, Fields: []vmstate.Field[GED]{
			vmstate.Struct("ghes_state", &gedErrorState, func(g *GED) *uint64 { return &g.errors }).Since(1),
		}},
	}})}

// NewGED maps the device at addr in mem. It hears of the power button through vm.
func NewGED(tree *qdev.Tree, mem *memory.Region, addr uint64, irq *qdev.IRQ, vm *mainloop.VM) (*GED, error) {
	d, err := tree.New(&GEDClass)
	if err != nil {
		return nil, err
	}
	g := d.(*GED)
	g.mem, g.irq, g.vm, g.at = mem, irq, vm, addr
	return g, qdev.Realize(g, tree.Root())
}

// Realize implements qdev.Device.
func (g *GED) Realize() error {
	g.io[0] = memory.NewIO("acpi-ged", gedSelectorSize, (*gedEvents)(g))
	g.io[0].Valid = memory.Access{Min: 4, Max: 4}
	g.io[1] = memory.NewIO("acpi-ged-regs", gedRegistersSize, (*gedRegisters)(g))
	g.io[1].Valid = memory.Access{Min: 1, Max: 1}
	g.mem.Add(g.io[0], g.at+gedSelector, 0)
	g.mem.Add(g.io[1], g.at+GEDRegisters, 0)
	g.vm.OnEvent(func(e mainloop.Event) {
		if e.Name == "POWERDOWN" {
			g.sel |= gedPowerDown
			g.irq.Pulse()
		}
	})
	return nil
}

// Unrealize implements qdev.Device.
func (g *GED) Unrealize() {
	for _, r := range g.io {
		g.mem.Remove(r)
	}
}

type gedEvents GED

// Read implements memory.Ops: reading the selector clears it.
func (g *gedEvents) Read(uint64, int) uint64 {
	v := g.sel
	g.sel = 0
	return uint64(v)
}

// Write implements memory.Ops: the selector is read-only.
func (g *gedEvents) Write(uint64, int, uint64) {}

type gedRegisters GED

// Read implements memory.Ops.
func (g *gedRegisters) Read(uint64, int) uint64 { return 0 }

// Write implements memory.Ops.
func (g *gedRegisters) Write(off uint64, _ int, v uint64) {
	switch {
	case off == gedSleepControl && v&gedSleepEnable != 0 && v>>gedSleepShift&gedSleepMask == gedSleepS5:
		g.vm.RequestShutdown(mainloop.CauseGuestShutdown)
	case off == gedReset && v == gedResetValue:
		g.vm.RequestReset(mainloop.CauseGuestReset)
	}
}
