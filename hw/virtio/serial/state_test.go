package serial

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"goemu/hw/qdev"
	"goemu/hw/qdev/qtest"
	"goemu/hw/virtio/transport"
	"goemu/hw/virtio/virtiotest"
	"goemu/migration/vmstate"
	"goemu/migration/vmstate/vmstatetest"
)

// TestStream compares what QEMU's device and ours save after the same configuration, and loads QEMU's state.
func TestStream(t *testing.T) {
	dir, err := os.MkdirTemp("", "serial")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "qmp")
	q := qtest.Start(t, "-M", "pc", "-m", "16", "-nodefaults", "-qmp", "unix:"+socket+",server=on,wait=off",
		"-device", "virtio-serial-pci,addr=5,max_ports=4", "-device", "virtconsole,nr=0", "-device", "virtserialport,nr=2,name=x")
	fresh := func() (*virtiotest.Machine, *Model, vmstate.State) {
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
	drive := func(f *virtiotest.Function, _ func(uint64, int, uint64)) {
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
	m, model, state := fresh()
	drive(m.Map(devfn), nil)
	virtiotest.DriveQEMU(t, q, devfn, drive)
	model.SetRunning(false)
	want := virtiotest.MigrateQEMU(t, socket, "0000:00:05.0/virtio-console")
	var w, again vmstate.Writer
	if state.Save(&w); !bytes.Equal(w.Bytes(), want) {
		i := 0
		for i < min(len(want), len(w.Bytes())) && want[i] == w.Bytes()[i] {
			i++
		}
		t.Errorf("saved %d bytes, QEMU %d; different from %d on:\ngot  % x\nwant % x", len(w.Bytes()), len(want), i, w.Bytes()[i:min(i+48, len(w.Bytes()))], want[i:min(i+48, len(want))])
	}
	_, _, other := fresh()
	r := vmstate.NewReader(want)
	if err := other.Load(r, state.Layout().Version); err != nil || r.Len() != 0 {
		t.Fatalf("QEMU's state: %v, %d bytes left", err, r.Len())
	}
	if other.Save(&again); !bytes.Equal(again.Bytes(), want) {
		t.Error("QEMU's state changes on the way through ours")
	}
}

func TestLayout(t *testing.T) {
	d := qdev.New(transport.DeviceClass[Model]())
	vmstatetest.Compare(t, "pc", "virtio-serial-device", d.Dev().State().Layout())
}
