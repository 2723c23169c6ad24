package pci

import (
	"fmt"

	"goemu/migration/vmstate"
)

// stateVersion is the version of the PCI header's own state.
const stateVersion = 2

// State is the state of every PCI function; device descriptions begin with it.
var State = vmstate.Description[Device]{
	Name: "PCIDevice", Version: stateVersion, MinVersion: 1,
	PreSave: func(d *Device) {
		d.version = stateVersion
		d.Config[RegStatus] &^= statusInterrupt // follows from irq_state, and is shown again after that
	},
	Fields: []vmstate.Field[Device]{
		vmstate.Of("version_id", func(d *Device) *int32 { return &d.version }),
		vmstate.Custom("config", ConfigSize, saveConfig, loadConfig).When(func(d *Device) bool { return len(d.Config) == ConfigSize }),
		vmstate.Custom("config", ExpressConfigSize, saveConfig, loadConfig).When(func(d *Device) bool { return len(d.Config) != ConfigSize }),
		vmstate.Custom("irq_state", 16, saveINTx, loadINTx).Since(2),
	},
	PostLoad: func(d *Device, _ int) error {
		d.showINTx()
		d.intxOff = d.Get16(RegCommand)&CommandIntxDisable != 0
		d.updateMappings()
		if b, ok := d.fn.(BridgeDevice); ok && b.AsBridge().sec != nil {
			b.AsBridge().updateWindows()
		}
		d.commandChanged()
		d.syncMSIX()
		return nil
	},
}

func saveConfig(d *Device, w *vmstate.Writer) { w.Raw(d.Config) }

// fixed are the bytes of the configuration header that say what a device is.
var fixed = []int{RegVendorID, RegVendorID + 1, RegDeviceID, RegDeviceID + 1, RegRevision, RegProgIf, RegClass, RegClass + 1, RegHeaderType,
	RegCapabilities, RegIntPin}

// loadConfig takes the configuration space over, which must be that of the same device.
func loadConfig(d *Device, r *vmstate.Reader) error {
	b := r.Raw(len(d.Config))
	if err := r.Err(); err != nil {
		return err
	}
	for _, i := range fixed {
		if b[i] != d.Config[i] {
			return fmt.Errorf("Bad config data: i=0x%x read: %x device: %x", i, b[i], d.Config[i])
		}
	}
	copy(d.Config, b)
	return nil
}

func saveINTx(d *Device, w *vmstate.Writer) {
	for _, level := range d.intx {
		v := uint32(0)
		if level {
			v = 1
		}
		w.U32(v)
	}
	d.showINTx()
}

// loadINTx takes the pins over. The lines of the bus follow when everything is loaded (Bus.RestoreLines).
func loadINTx(d *Device, r *vmstate.Reader) error {
	for pin := range d.intx {
		d.intx[pin] = r.U32() != 0
	}
	return r.Err()
}

// SaveMSIX appends the MSI-X table and pending bits.
func (d *Device) SaveMSIX(w *vmstate.Writer) {
	d.msixMu.Lock()
	defer d.msixMu.Unlock()
	w.Raw(d.msix.table)
	w.Raw(d.msix.pba[:(d.msix.entries+7)/8])
}

// MSIXState is the table and pending bits as a state of their own, for devices whose descriptions have it so.
var MSIXState = vmstate.Description[Device]{Name: "msix", Fields: []vmstate.Field[Device]{
	vmstate.Custom("msix", 0, (*Device).SaveMSIX, (*Device).LoadMSIX)}}

// LoadMSIX reads what SaveMSIX wrote.
func (d *Device) LoadMSIX(r *vmstate.Reader) error {
	d.msixMu.Lock()
	copy(d.msix.table, r.Raw(len(d.msix.table)))
	copy(d.msix.pba, r.Raw((d.msix.entries+7)/8))
	d.msixMu.Unlock()
	d.syncMSIX()
	return r.Err()
}

// syncMSIX takes the enable and mask bits over from the configuration space.
func (d *Device) syncMSIX() {
	if d.msix.at == 0 {
		return
	}
	d.msixMu.Lock()
	flags := d.Get16(d.msix.at + msixFlags)
	d.msix.enabled, d.msix.maskAll = flags&msixEnable != 0, flags&msixMaskAll != 0
	d.msixMu.Unlock()
}
