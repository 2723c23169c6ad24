package pm

import (
	"errors"
	"testing"

	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/internal/memory"
)

// endpoint is a function that does nothing, or fails.
type endpoint struct {
	pci.Device
	Fails bool `prop:"fails,default=false"`
}

func (*endpoint) PCIInfo() pci.Info { return pci.Info{Vendor: 1, Device: 2, Class: pci.ClassOthers} }

func (e *endpoint) Realize() error {
	if e.Fails {
		return errors.New("fails")
	}
	return nil
}

// TestIndex: an acpi-index belongs to one device at a time, and only to devices that are there.
func TestIndex(t *testing.T) {
	tree := qdev.NewTree(qdev.NewRegistry([]*qdev.Class{{Name: "endpoint", Bus: pci.BusType, New: func() qdev.Device { return new(endpoint) }}}))
	host, err := tree.Create(&qdev.Class{Name: "host", New: func() qdev.Device { return new(qdev.Base) }}, nil)
	if err != nil {
		t.Fatal(err)
	}
	bus := pci.NewBus(host, "pci.0", memory.NewContainer("system", memory.Whole), memory.NewContainer("pci", memory.Whole), memory.NewPortSpace("io"), 0)
	bus.SetHandler(&PCIHotplug{Root: bus, Bridges: true, Notify: func() {}})
	add := func(index, fails string) (qdev.Device, string) {
		d, err := tree.Add([]qdev.Setting{{Name: "driver", Value: "endpoint"}, {Name: "acpi-index", Value: index}, {Name: "fails", Value: fails}})
		if err != nil {
			return nil, err.Error()
		}
		return d, ""
	}
	first, problem := add("5", "off")
	if problem != "" {
		t.Fatal(problem)
	}
	for _, c := range []struct{ index, fails, want string }{
		{"5", "off", "a PCI device with acpi-index = 5 already exist"},
		{"16384", "off", "acpi-index should be less or equal to 16383"},
		{"6", "on", "fails"},
		{"6", "off", ""},
		{"0", "off", ""},
		{"0", "off", ""},
	} {
		if _, got := add(c.index, c.fails); got != c.want {
			t.Errorf("index %s: %q, want %q", c.index, got, c.want)
		}
	}
	tree.Unplugged(first)
	if _, got := add("5", "off"); got != "" {
		t.Errorf("after the first has gone: %s", got)
	}
}
