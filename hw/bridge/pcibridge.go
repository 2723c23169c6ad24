package bridge

import (
	"errors"

	"goemu/hw/pci"
	"goemu/hw/qdev"
)

// Identities.
const (
	deviceBridge     = 0x0001
	deviceBridgeSeat = 0x0009
	deviceRootPort   = 0x000c
	deviceExpressPCI = 0x000e
	deviceIOH        = 0x3420
	deviceUpstream   = 0x8232
	deviceDownstream = 0x8233
	deviceDMIToPCI   = 0x244e
)

// pciBridge is the device type pci-bridge: a bridge between two conventional buses.
type pciBridge struct {
	pci.Bridge
	reserve
	Chassis uint8          `prop:"chassis_nr,default=0"`
	MSI     qdev.OnOffAuto `prop:"msi,default=auto" help:"on/off/auto"`
	SHPC    bool           `prop:"shpc,default=true" help:"on/off"`
	device  uint16
	slots   shpc
}

// Slot numbering (PCI-to-PCI Bridge Architecture Specification 1.2, section 13).
const (
	slotIDSize       = 4
	slotIDFirst      = 1 << 5
	slotIDNumber     = 3
	slotIDExpansions = 2
)

// PCIInfo implements pci.Function.
func (b *pciBridge) PCIInfo() pci.Info {
	return pci.Info{Vendor: pci.VendorRedHat, Device: b.device, Class: pci.ClassBridgePCI, Bridge: true}
}

// Realize implements qdev.Device.
func (b *pciBridge) Realize() error {
	b.InitBridge(false, "")
	if b.SHPC {
		b.SetInterruptPin(1)
		if err := b.slots.init(&b.Bridge); err != nil {
			return err
		}
	} else {
		b.Secondary().SetHandler(noSHPC{b.Class().Name})
	}
	if b.Chassis == 0 {
		return errors.New("Bridge chassis not specified. Each bridge is required to be assigned a unique chassis id > 0.")
	}
	at, err := b.AddCapability(pci.CapSlotID, 0, slotIDSize)
	if err != nil {
		return err
	}
	b.Config[at+slotIDExpansions], b.Config[at+slotIDNumber] = slotIDFirst, b.Chassis
	b.Writable[at+slotIDNumber] = 0xff
	if b.SHPC && b.MSI != qdev.Off {
		if err := b.AddMSI(0, 1, true); err != nil {
			return err
		}
	}
	if err := b.add(&b.Device); err != nil {
		return err
	}
	if b.SHPC {
		b.SetBAR(0, pci.BARMem64, b.slots.bar)
	}
	return nil
}

// Reset implements qdev.Device.
func (b *pciBridge) Reset() {
	b.ResetBridge()
	if b.SHPC {
		b.slots.reset()
	}
}

// WriteConfig implements pci.ConfigWriter.
func (b *pciBridge) WriteConfig(addr, size int, v uint32) {
	b.Bridge.WriteConfig(addr, size, v)
	b.slots.configWritten(addr, size)
}

// noSHPC refuses hot-plugging behind a bridge whose controller is switched off.
type noSHPC struct{ typ string }

func (n noSHPC) refuse() error {
	return errors.New("standard hotplug controller has been disabled for this " + n.typ)
}

// PrePlug implements qdev.HotplugHandler.
func (n noSHPC) PrePlug(qdev.Device) error { return nil }

// Plugged implements qdev.HotplugHandler.
func (n noSHPC) Plugged(d qdev.Device) error {
	if d.Dev().Hotplugged() {
		return n.refuse()
	}
	return nil
}

// RequestUnplug implements qdev.HotplugHandler.
func (n noSHPC) RequestUnplug(qdev.Device) error { return n.refuse() }

// expressToPCI is the device type pcie-pci-bridge: a bridge from PCI Express to a conventional bus.
type expressToPCI struct {
	expressBridge
	MSI   qdev.OnOffAuto `prop:"msi,default=auto" help:"on/off/auto"`
	slots shpc
}

// Realize implements qdev.Device.
func (b *expressToPCI) Realize() error {
	b.InitBridge(false, "")
	b.SetInterruptPin(1)
	if err := b.slots.init(&b.Bridge); err != nil {
		return err
	}
	if _, err := b.AddExpress(0, pci.ExpressToPCI, 0); err != nil {
		return err
	}
	if err := b.AddPowerCapability(); err != nil {
		return err
	}
	b.forwardARI()
	b.AddErrorControl()
	b.addErrors(false)
	if b.MSI != qdev.Off {
		if err := b.AddMSI(0, 1, true); err != nil {
			return err
		}
	}
	b.SetBAR(0, pci.BARMem64, b.slots.bar)
	return nil
}

// Reset implements qdev.Device.
func (b *expressToPCI) Reset() {
	b.ResetBridge()
	b.slots.reset()
}

// WriteConfig implements pci.ConfigWriter.
func (b *expressToPCI) WriteConfig(addr, size int, v uint32) {
	b.Bridge.WriteConfig(addr, size, v)
	b.slots.configWritten(addr, size)
}

// dmiToPCI is the device type i82801b11-bridge.
type dmiToPCI struct{ pci.Bridge }

// subtractive is the programming interface of bridges that forward what nobody else claims.
const subtractive = 1

// PCIInfo implements pci.Function.
func (*dmiToPCI) PCIInfo() pci.Info {
	return pci.Info{Vendor: pci.VendorIntel, Device: deviceDMIToPCI, Class: pci.ClassBridgePCI, Revision: 0x92, ProgIf: subtractive, Bridge: true}
}

// Realize implements qdev.Device.
func (b *dmiToPCI) Realize() error {
	b.InitBridge(false, "")
	_, err := b.AddCapability(pci.CapSSVID, 0x50, 8)
	return err
}

// Reset implements qdev.Device.
func (b *dmiToPCI) Reset() { b.ResetBridge() }
