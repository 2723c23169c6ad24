package pci

import (
	"testing"

	"goemu/hw/qdev"
)

// resettable is a PCI Express function that can be reset alone.
type resettable struct {
	Device
	resets int
}

func (*resettable) PCIInfo() Info {
	return Info{Vendor: VendorRedHat, Device: 6, Class: ClassOthers, Express: true}
}

func (d *resettable) Realize() error {
	err := d.AddEndpoint(0x80)
	d.AddErrorControl()
	return err
}

func (d *resettable) Reset() { d.resets++ }

// TestFunctionReset: a function that offers it is reset by a write to its configuration space, and no other write does that.
func TestFunctionReset(t *testing.T) {
	r := newRig(t)
	dev, err := r.tree.Create(&qdev.Class{Name: "resettable", Bus: BusType, New: func() qdev.Device { return new(resettable) }}, r.bus, qdev.Setting{Name: "addr", Value: "3"})
	if err != nil {
		t.Fatal(err)
	}
	d := dev.(*resettable)
	const fn = 3 << 11
	control := uint32(fn | d.express + ExpDevCtl)
	r.setConfig(fn|RegCommand, 2, CommandMemory|CommandMaster)
	r.setConfig(control, 2, expReset|expErrorReports)
	if d.resets != 0 || r.config(control, 2) != expErrorReports || !d.Mastering() {
		t.Errorf("without the offer: %d resets, control %#x, command %#x", d.resets, r.config(control, 2), r.config(fn|RegCommand, 2))
	}
	d.AddFunctionReset()
	r.setConfig(control, 2, expErrorReports)
	if d.resets != 0 {
		t.Error("reset unasked for")
	}
	for i, write := range []func(){func() { r.setConfig(control, 2, expReset) }, func() { r.setConfig(control+1, 1, expReset>>8) }} {
		r.setConfig(fn|RegCommand, 2, CommandMemory|CommandMaster)
		if write(); d.resets != i+1 || r.config(control, 2)&expReset != 0 || d.Mastering() {
			t.Errorf("write %d: %d resets, control %#x, command %#x", i, d.resets, r.config(control, 2), r.config(fn|RegCommand, 2))
		}
	}
}
