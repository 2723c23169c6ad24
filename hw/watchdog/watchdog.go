// Package watchdog holds the watchdogs that are devices of their own: i6300esb on PCI and ib700 on ISA.
package watchdog

import (
	"goemu/hw/isa"
	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/migration/vmstate"
)

// Classes are the device types of this package; expired does what is to be done when a watchdog has run out.
func Classes(expired func()) []*qdev.Class {
	return []*qdev.Class{
		{Name: "i6300esb", Bus: pci.BusType, Desc: "Intel 6300ESB", Category: qdev.Watchdog, Parents: []string{"pci-device", "device"},
			New: func() qdev.Device { return &ESB{expired: expired} }, State: qdev.State(&esbState)},
		{Name: "ib700", Bus: isa.BusType, Desc: "iBASE 700", Category: qdev.Watchdog, Parents: []string{"isa-device", "device"},
			New: func() qdev.Device { return &IB700{expired: expired} }, State: qdev.State(&ib700State)},
	}
}

// Ports of the ib700, each two wide.
const (
	portDisable, portEnable = 0x441, 0x443
	portWidth               = 2
)

// IB700 is the device type ib700: a write to one port starts a count-down of 30 to 0 seconds in steps of two, one to another ends it.
type IB700 struct {
	isa.Device
	expired func()
	timer   *clock.Timer
}

// Realize implements qdev.Device.
func (w *IB700) Realize() error {
	w.timer = mainloop.NewTimer(clock.Virtual, w.expired)
	w.MapPorts("ib700", portDisable, portWidth, (*disablePort)(w))
	w.MapPorts("ib700", portEnable, portWidth, (*enablePort)(w))
	return nil
}

// Unrealize implements qdev.Device.
func (w *IB700) Unrealize() {
	w.timer.Del()
	w.UnmapPorts()
}

// Reset implements qdev.Device.
func (w *IB700) Reset() { w.timer.Del() }

type (
	disablePort IB700
	enablePort  IB700
)

// Read implements memory.Ops.
func (*disablePort) Read(uint64, int) uint64 { return 0xff }

// Write implements memory.Ops.
func (o *disablePort) Write(uint64, int, uint64) { o.timer.Del() }

// Read implements memory.Ops.
func (*enablePort) Read(uint64, int) uint64 { return 0xff }

// Write implements memory.Ops.
func (o *enablePort) Write(_ uint64, _ int, v uint64) {
	const second = 1_000_000_000
	o.timer.Mod(clock.Virtual.Now() + int64(30-2*(v&15))*second)
}

var ib700State = vmstate.Description[IB700]{Name: "ib700_wdt", Fields: []vmstate.Field[IB700]{
	vmstate.Timer("timer", func(w *IB700) vmstate.TimerState { return w.timer })}}

// Registers of the 6300ESB's watchdog (Intel 6300ESB datasheet, section 16): configuration space, then memory.
const (
	cfgConfig = 0x60
	cfgLock   = 0x68

	configNoReboot, configFast, configIntType = 1 << 5, 1 << 2, 0x11
	lockLocked, lockEnable, lockFreeRun       = 1 << 0, 1 << 1, 1 << 2

	regPreload1, regPreload2, regReload = 0x00, 0x04, 0x0c
	esbBytes                            = 0x10
	unlock1, unlock2                    = 0x80, 0x86
	reloadPing                          = 1 << 8
	reloadRebooted                      = 1<<9 | 1<<12 // bit 9; Linux's driver looks at bit 12
	preloadMask                         = 0xfffff

	pciTick                    = 30 // nanoseconds
	slowShift, fastShift       = 15, 5
	esbDevice                  = 0x25ab
	intTypeInterrupt     int32 = 0
)

// ESB is the device type i6300esb: a count-down in two stages.
type ESB struct {
	pci.Device
	expired func()
	timer   *clock.Timer
	esbRegs
	rebooted int32 // the watchdog was why the machine was reset; stays over a reset
}

// esbRegs is what a reset sets.
type esbRegs struct {
	reboot, fast, intType, freeRun, locked, enabled int32
	preload1, preload2                              uint32
	stage, unlock                                   int32
}

// PCIInfo implements pci.Function.
func (*ESB) PCIInfo() pci.Info {
	return pci.Info{Vendor: pci.VendorIntel, Device: esbDevice, Class: pci.ClassSystemOther}
}

// Realize implements qdev.Device.
func (w *ESB) Realize() error {
	w.timer = mainloop.NewTimer(clock.Virtual, w.runOut)
	r := memory.NewIO("i6300esb", esbBytes, (*esbMemory)(w))
	r.Valid = memory.Access{Min: 1, Max: 4}
	w.SetBAR(0, pci.BARMem32, r)
	return nil
}

// Unrealize implements qdev.Device.
func (w *ESB) Unrealize() { w.timer.Del() }

// Reset implements qdev.Device.
func (w *ESB) Reset() {
	w.timer.Del()
	w.esbRegs = esbRegs{reboot: 1, intType: intTypeInterrupt, preload1: preloadMask, preload2: preloadMask, stage: 1}
}

// start begins a stage.
func (w *ESB) start(stage int32) {
	if w.enabled == 0 {
		return
	}
	w.stage = stage
	n := int64(w.preload1)
	if stage > 1 {
		n = int64(w.preload2)
	}
	if n <<= slowShift; w.fast != 0 {
		n >>= slowShift - fastShift
	}
	w.timer.Mod(clock.Virtual.Now() + n*pciTick)
}

// runOut is the end of a stage. The interrupt at the end of the first is not connected, as in QEMU.
func (w *ESB) runOut() {
	if w.stage == 1 {
		w.start(2)
		return
	}
	if w.reboot != 0 {
		w.rebooted = 1
		w.expired()
		w.Reset()
	}
	if w.freeRun != 0 {
		w.start(1)
	}
}

func flag(on bool) int32 {
	if on {
		return 1
	}
	return 0
}

// WriteConfig implements pci.ConfigWriter.
func (w *ESB) WriteConfig(addr, size int, v uint32) {
	switch {
	case addr == cfgConfig && size == 2:
		w.reboot, w.fast, w.intType = flag(v&configNoReboot == 0), flag(v&configFast != 0), int32(v&configIntType)
	case addr == cfgLock && size == 1:
		if w.locked != 0 {
			return
		}
		old := w.enabled
		w.locked, w.freeRun, w.enabled = flag(v&lockLocked != 0), flag(v&lockFreeRun != 0), flag(v&lockEnable != 0)
		if w.enabled == 0 {
			w.timer.Del()
		} else if old == 0 {
			w.start(1)
		}
	default:
		w.DefaultWriteConfig(addr, size, v)
	}
}

// ReadConfig implements pci.ConfigReader.
func (w *ESB) ReadConfig(addr, size int) (v uint32) {
	switch {
	case addr == cfgConfig && size == 2:
		if v = uint32(w.intType); w.reboot == 0 {
			v |= configNoReboot
		}
		return v | uint32(w.fast)*configFast
	case addr == cfgLock && size == 1:
		return uint32(w.freeRun)*lockFreeRun | uint32(w.locked)*lockLocked | uint32(w.enabled)*lockEnable
	}
	return w.DefaultReadConfig(addr, size)
}

type esbMemory ESB

// Read implements memory.Ops.
func (o *esbMemory) Read(off uint64, size int) uint64 {
	if off == regReload && size == 2 && o.rebooted != 0 {
		return reloadRebooted
	}
	return 0
}

// Write implements memory.Ops: the registers take a value only after two others.
func (o *esbMemory) Write(off uint64, size int, v uint64) {
	w := (*ESB)(o)
	switch {
	case off == regReload && v == unlock1:
		w.unlock = 1
	case off == regReload && v == unlock2 && w.unlock == 1:
		w.unlock = 2
	case size == 1 || w.unlock != 2:
	default:
		w.unlock = 0
		switch {
		case off == regReload && size == 2:
			if v&reloadPing != 0 {
				w.start(1)
			}
			if v&reloadRebooted != 0 {
				w.rebooted = 0
			}
		case off == regPreload1 && size == 4:
			w.preload1 = uint32(v & preloadMask)
		case off == regPreload2 && size == 4:
			w.preload2 = uint32(v & preloadMask)
		}
	}
}

var esbState = vmstate.Description[ESB]{Name: "i6300esb_wdt", Version: 10000, MinVersion: 1,
	Fields: []vmstate.Field[ESB]{
		vmstate.Struct("dev", &pci.State, func(w *ESB) *pci.Device { return &w.Device }),
		vmstate.Of("reboot_enabled", func(w *ESB) *int32 { return &w.reboot }),
		vmstate.Of("clock_scale", func(w *ESB) *int32 { return &w.fast }),
		vmstate.Of("int_type", func(w *ESB) *int32 { return &w.intType }),
		vmstate.Of("free_run", func(w *ESB) *int32 { return &w.freeRun }),
		vmstate.Of("locked", func(w *ESB) *int32 { return &w.locked }),
		vmstate.Of("enabled", func(w *ESB) *int32 { return &w.enabled }),
		vmstate.Timer("timer", func(w *ESB) vmstate.TimerState { return w.timer }),
		vmstate.Of("timer1_preload", func(w *ESB) *uint32 { return &w.preload1 }),
		vmstate.Of("timer2_preload", func(w *ESB) *uint32 { return &w.preload2 }),
		vmstate.Of("stage", func(w *ESB) *int32 { return &w.stage }),
		vmstate.Of("unlock_state", func(w *ESB) *int32 { return &w.unlock }),
		vmstate.Of("previous_reboot_flag", func(w *ESB) *int32 { return &w.rebooted }),
	},
	PostLoad: func(w *ESB, _ int) error {
		w.preload1, w.preload2 = w.preload1&preloadMask, w.preload2&preloadMask
		return nil
	}}
