package rng

import (
	"testing"

	"goemu/hw/qdev"
	"goemu/hw/virtio/transport"
	"goemu/hw/virtio/virtiotest"
	"goemu/migration/vmstate"
	"goemu/migration/vmstate/vmstatetest"
)

func TestStream(t *testing.T) {
	c := virtiotest.StreamTest{DevFn: devfn, Section: "virtio-rng", QEMU: []string{"-device", "virtio-rng-pci,addr=5"}}
	c.New = func() (*virtiotest.Machine, virtiotest.Stopper, vmstate.State) {
		m := virtiotest.NewMachine(t, Classes())
		d, err := m.Add("virtio-rng-pci", "addr", "5")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.Close)
		return m, d.(interface{ VirtioDevice() *Model }).VirtioDevice(), d.Dev().State()
	}
	c.Drive = func(f *virtiotest.Function, _ func(uint64, int, uint64)) {
		f.EnableMSIX(2)
		f.Negotiate(1<<32 | 1<<29 | 1<<1)
		f.SetupQueue(0, virtiotest.NewDriver(f.Mem, 0x10000, 8, true), 1)
		f.SetCom(virtiotest.ComStatus, 1, virtiotest.StatusReady)
	}
	c.Run(t)
}

func TestLayout(t *testing.T) {
	d := qdev.New(transport.DeviceClass[Model]())
	vmstatetest.Compare(t, "pc", "virtio-rng-device", d.Dev().State().Layout())
}
