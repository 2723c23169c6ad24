package gpu

import (
	"errors"

	"goemu/hw/display/vga"
	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/hw/virtio/transport"
	"goemu/migration/vmstate"
)

// vgaMemory is the size of video memory in MiB.
const vgaMemory = 8

// VGA is the device type virtio-vga: an adapter that is a VGA until a driver takes it over.
type VGA struct {
	transport.Function[Model, *Model, transport.ThreeVectors]
	vga.Core
	vga.Order
}

func vgaClass() *qdev.Class {
	state := transport.StateOf[Model, *Model](new(Model).TypeInfo())
	return &qdev.Class{
		Name: "virtio-vga", Bus: pci.BusType, Category: qdev.Display, NoHotplug: true,
		Parents: []string{"virtio-vga-base", "virtio-pci", "virtio-gpu-device", "virtio-device", "pci-device", "device"},
		New: func() qdev.Device {
			v := new(VGA)
			v.ROMFile = "vgabios-virtio.bin"
			return v
		},
		State: state,
	}
}

var vgaState = vmstate.Description[VGA]{Name: "virtio-vga", Version: 2, MinVersion: 2, Fields: []vmstate.Field[VGA]{
	vmstate.Struct("vga", &vga.CoreState, func(v *VGA) *vga.Core { return &v.Core }),
}}

// PartState implements qdev.Composite.
func (v *VGA) PartState() vmstate.State { return vgaState.Bind(v) }

// PCIInfo implements pci.Function.
func (v *VGA) PCIInfo() pci.Info {
	i := v.Function.PCIInfo()
	i.Class = pci.ClassDisplayVGA
	return i
}

// Realize implements qdev.Device.
func (v *VGA) Realize() error {
	if v.Type.Props.MaxOutputs == 0 {
		return errors.New("virtio-vga: max_outputs must be at least 1")
	}
	if err := v.Init(vgaMemory, v.RAMName("vga.vram")); err != nil {
		return err
	}
	v.SetBAR(0, pci.BARPrefetch, v.VRAM())
	v.ShowOrder(v.QOM(), &v.Order)
	v.MapLow(v.Bus().Memory(), v.Bus().Ports())
	v.ShareWithVGA()
	if err := v.RealizeFor(v); err != nil {
		return err
	}
	v.AddRegisters(v.ModernBAR(), true, nil)
	first := v.Type.heads[0]
	first.other = &v.Core
	v.ShowOn(first.con)
	return nil
}

// Reset implements qdev.Device.
func (v *VGA) Reset() {
	v.Function.Reset()
	v.Core.Reset()
}
