package misc

import (
	"goemu/hw/isa"
	"goemu/hw/qdev"
)

// Hooks are what these devices do to the emulator as a whole; functions that are nil do nothing.
type Hooks struct {
	Exit        func(status int) // end the process
	Panicked    func()           // the guest says that it has crashed
	CrashLoaded func()           // the guest says that it has crashed and handles that itself
	Watchdog    func()           // a watchdog has run out
}

// Classes are the device types of this package with their effects.
func Classes(h *Hooks) []*qdev.Class {
	return []*qdev.Class{&Port92Class, debugExitClass(h), pvpanicClass(h), pvpanicPCIClass(h), &testdevClass, &PCITestClass, &generationIDClass, &coreInfoClass}
}

// DebugExit is the device type isa-debug-exit: a write ends the process with an odd status.
type DebugExit struct {
	isa.Device
	IOBase uint32 `prop:"iobase,default=1281"`
	IOSize uint32 `prop:"iosize,default=2"`
	hooks  *Hooks
}

func debugExitClass(h *Hooks) *qdev.Class {
	return &qdev.Class{Name: "isa-debug-exit", Bus: isa.BusType, Category: qdev.Misc, New: func() qdev.Device { return &DebugExit{hooks: h} }}
}

// Realize implements qdev.Device.
func (d *DebugExit) Realize() error {
	d.MapPorts("isa-debug-exit", uint16(d.IOBase), int(d.IOSize), d).Valid.Max = 4
	return nil
}

// Read implements memory.Ops.
func (d *DebugExit) Read(uint64, int) uint64 { return 0 }

// Write implements memory.Ops.
func (d *DebugExit) Write(_ uint64, _ int, v uint64) {
	if d.hooks.Exit != nil {
		d.hooks.Exit(int(uint8(v<<1 | 1)))
	}
}
