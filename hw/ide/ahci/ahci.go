package ahci

import (
	"goemu/hw/ide"
	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/internal/memory"
)

// Configuration space (ICH9 data sheet, §15).
const (
	ich9Device, ich9Revision = 0x2922, 2
	classSATA, progIfAHCI    = 0x0106, 1
	regAddressMap            = 0x90
	mapAHCI                  = 1 << 6
	capSATA, atSATA          = 0x12, 0xa8
	sataCapBytes             = 8
	atMSI                    = 0x80
	barIndex, barMemory      = 4, 5
	indexBytes, indexAt      = 32, 0x10
)

// AHCI is the device type ich9-ahci.
type AHCI struct {
	pci.Device
	ports [numPorts]port

	cap, ghc, status, implemented, version uint32
	index                                  uint32
	count                                  int32
}

// Classes are the device types of this package.
func Classes() []*qdev.Class {
	return []*qdev.Class{{Name: "ich9-ahci", Alias: "ahci", Bus: pci.BusType, Category: qdev.Storage, New: func() qdev.Device { return new(AHCI) },
		State: qdev.State(&ahciState)}}
}

// PCIInfo implements pci.Function.
func (a *AHCI) PCIInfo() pci.Info {
	return pci.Info{Vendor: pci.VendorIntel, Device: ich9Device, Revision: ich9Revision, Class: classSATA, ProgIf: progIfAHCI}
}

// Buses are the ports' buses.
func (a *AHCI) Buses() (out []*ide.Bus) {
	for i := range a.ports {
		out = append(out, a.ports[i].bus)
	}
	return out
}

// Realize implements qdev.Device.
func (a *AHCI) Realize() error {
	a.cap = numPorts - 1 | capSlots<<capSlotsShift | capSpeedGen1 | capNCQ | cap64 | capAHCIOnly
	a.implemented, a.version, a.count = 1<<numPorts-1, version10, numPorts
	others := ide.Count(a)
	for i := range a.ports {
		a.ports[i].init(a, i, ide.NewBus(a, others, i, 1, nil))
	}
	a.Config[pci.RegCacheLine] = 8
	a.SetInterruptPin(1)
	a.Config[regAddressMap] = mapAHCI
	pair := memory.NewIO("ahci-idp", indexBytes, (*indexPair)(a))
	pair.Valid, pair.Impl = memory.Access{Min: 1, Max: 4}, memory.Access{Min: 1, Max: 4}
	a.SetBAR(barIndex, pci.BARIO, pair)
	mem := memory.NewIO("ahci", memBytes, (*registers)(a))
	mem.Valid, mem.Impl = memory.Access{Min: 1, Max: 8, Unaligned: true}, memory.Access{Min: 1, Max: 8, Unaligned: true}
	a.SetBAR(barMemory, pci.BARMem32, mem)
	at, err := a.AddCapability(capSATA, atSATA, sataCapBytes)
	if err != nil {
		return err
	}
	a.Set16(at+2, 0x10)
	a.Set32(at+4, barIndex+4|4<<4)
	return a.AddMSI(atMSI, 1, false)
}

// Reset implements qdev.Device.
func (a *AHCI) Reset() {
	a.status, a.ghc = 0, ghcEnable
	for i := range a.ports {
		p := &a.ports[i]
		p.is, p.ie, p.control = 0, 0, 0
		p.cmd = cmdSpinUp | cmdPowerOn
		p.reset()
	}
}

// Started tries again what an error has stopped.
func (a *AHCI) Started() {
	for i := range a.ports {
		a.ports[i].bus.Started()
	}
}

// update drives the interrupt.
func (a *AHCI) update() {
	a.status = 0
	for i := range a.ports {
		if p := &a.ports[i]; p.is&p.ie != 0 {
			a.status |= 1 << i
		}
	}
	on := a.status != 0 && a.ghc&ghcInterrupts != 0
	switch {
	case !a.MSIEnabled():
		a.SetINTx(on)
	case on:
		a.NotifyMSI(0)
	}
}

// load reads a register of 32 bits.
func (a *AHCI) load(at uint64) uint32 {
	switch {
	case at >= portFirst && at < portFirst+numPorts*portStride:
		return a.ports[(at-portFirst)/portStride].load(at % portStride)
	case at == regCap:
		return a.cap
	case at == regGHC:
		return a.ghc
	case at == regIS:
		return a.status
	case at == regPI:
		return a.implemented
	case at == regVS:
		return a.version
	}
	return 0
}

func (a *AHCI) store(at uint64, v uint32) {
	switch {
	case at >= portFirst && at < portFirst+numPorts*portStride:
		a.ports[(at-portFirst)/portStride].store(at%portStride, v)
	case at == regGHC && v&ghcReset != 0:
		a.Reset()
	case at == regGHC:
		a.ghc = v&(ghcReset|ghcInterrupts) | ghcEnable
		a.update()
	case at == regIS:
		a.status &^= v
		a.update()
	}
}

type registers AHCI

// Read implements memory.Ops.
func (o *registers) Read(off uint64, size int) uint64 {
	a := (*AHCI)(o)
	at, shift := off&^3, 8*(off&3)
	v := uint64(a.load(at))
	if int(off&3)+size > 4 {
		v |= uint64(a.load(at+4)) << 32
	}
	return v >> shift
}

// Write implements memory.Ops: registers are written whole.
func (o *registers) Write(off uint64, _ int, v uint64) {
	if off&3 == 0 {
		(*AHCI)(o).store(off, uint32(v))
	}
}

// indexPair reaches the registers through two ports.
type indexPair AHCI

// Read implements memory.Ops.
func (o *indexPair) Read(off uint64, size int) uint64 {
	switch off {
	case indexAt:
		return uint64(o.index)
	case indexAt + 4:
		return (*registers)(o).Read(uint64(o.index), size)
	}
	return 0
}

// Write implements memory.Ops.
func (o *indexPair) Write(off uint64, size int, v uint64) {
	switch off {
	case indexAt:
		o.index = uint32(v) & (memBytes - 1) &^ 3
	case indexAt + 4:
		(*registers)(o).Write(uint64(o.index), size, v)
	}
}
