package serial

import (
	"testing"
	"time"

	"goemu/hw/qdev"
	"goemu/hw/virtio/transport"
	"goemu/hw/virtio/virtiotest"
	"goemu/migration/vmstate"
	"goemu/migration/vmstate/vmstatetest"
)

func TestStream(t *testing.T) {
	c := virtiotest.StreamTest{DevFn: devfn, Section: "virtio-console", QEMU: []string{
		"-device", "virtio-serial-pci,addr=5,max_ports=4", "-device", "virtconsole,nr=0", "-device", "virtserialport,nr=2,name=x"}}
	c.New = func() (*virtiotest.Machine, virtiotest.Stopper, vmstate.State) {
		m := virtiotest.NewMachine(t, Classes())
		for _, d := range [][]string{
			{"virtio-serial-pci", "addr", "5", "max_ports", "4"}, {"virtconsole", "nr", "0"}, {"virtserialport", "nr", "2", "name", "x"},
		} {
			if _, err := m.Add(d[0], d[1:]...); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(m.Tree.Close)
		d := m.Bus.Function(devfn)
		return m, d.(interface{ VirtioDevice() *Model }).VirtioDevice(), d.Dev().State()
	}
	c.Drive = func(f *virtiotest.Function, _ func(uint64, int, uint64)) {
		f.EnableMSIX(2)
		f.Negotiate(1<<32 | 1<<29 | 1<<1)
		for i := range 4 {
			f.SetupQueue(i, virtiotest.NewDriver(f.Mem, uint64(0x10000+0x10000*i), 32, true), 1)
		}
		f.SetCom(virtiotest.ComStatus, 1, virtiotest.StatusReady)
		for range 20 { // QEMU's device sends an interrupt for nothing when it starts
			f.Com(0x1000, 1)
			time.Sleep(time.Millisecond)
		}
	}
	c.Run(t)
}

func TestLayout(t *testing.T) {
	d := qdev.New(transport.DeviceClass[Model]())
	vmstatetest.Compare(t, "pc", "virtio-serial-device", d.Dev().State().Layout())
}
