package blk

import (
	"errors"
	"strings"
	"testing"

	"goemu/block"
	"goemu/hw/disk"
	"goemu/hw/qdev"
	"goemu/hw/virtio/transport"
	"goemu/hw/virtio/virtiotest"
	"goemu/migration/vmstate"
	"goemu/migration/vmstate/vmstatetest"
)

func TestLayout(t *testing.T) {
	d := qdev.New(transport.DeviceClass[Model]())
	vmstatetest.Compare(t, "pc", "virtio-blk-device", d.Dev().State().Layout())
}

// TestStream makes QEMU's device and ours go through the same configuration, then compares what they save and loads QEMU's state.
func TestStream(t *testing.T) {
	for _, c := range []struct {
		name, props string
		drive       func(f *virtiotest.Function, io func(port uint64, size int, v uint64))
	}{
		{"power-on", "", func(*virtiotest.Function, func(uint64, int, uint64)) {}},
		{"modern", "", func(f *virtiotest.Function, _ func(uint64, int, uint64)) {
			f.EnableMSIX(2)
			f.Negotiate(1<<32 | 1<<29 | 1<<9)
			q := virtiotest.NewDriver(f.Mem, 0x10000, 64, true)
			f.SetCom(16, 2, 0)
			f.SetupQueue(0, q, 1)
			f.SetCom(virtiotest.ComStatus, 1, virtiotest.StatusReady)
		}},
		{"modern, several queues, half way", "num-queues=3", func(f *virtiotest.Function, _ func(uint64, int, uint64)) {
			f.Negotiate(1<<32 | 1<<12)
			f.SetCom(virtiotest.ComQSel, 2, 2)
			f.SetCom(virtiotest.ComQDesc, 4, 0x5000)
			f.SetCom(virtiotest.ComQDesc+20, 4, 1)
		}},
		{"legacy", "", func(f *virtiotest.Function, io func(uint64, int, uint64)) {
			f.EnableMSIX(2)
			io(18, 1, 3)
			io(4, 4, 1<<9)
			io(8, 4, 0x20)
			io(22, 2, 1)
			io(18, 1, 7)
		}},
		{"legacy only, no MSI-X", "disable-modern=on,vectors=0", func(f *virtiotest.Function, io func(uint64, int, uint64)) {
			io(18, 1, 3)
			io(8, 4, 0x20)
			io(18, 1, 7)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path, disk := image(t)
			test := virtiotest.StreamTest{DevFn: devfn, Section: "virtio-blk", Drive: c.drive, QEMU: []string{
				"-drive", "if=none,id=d,format=raw,file.locking=off,file=" + path, "-device", strings.TrimRight("virtio-blk-pci,drive=d,addr=5,"+c.props, ",")}}
			test.New = func() (*virtiotest.Machine, virtiotest.Stopper, vmstate.State) {
				m := virtiotest.NewMachine(t, Classes())
				src := block.SourceOf("d", disk)
				qdev.Link(&m.Tree.Links, func(id string) (*block.Source, bool) { return src, id == "d" })
				pairs := []string{"drive", "d", "addr", "5"}
				for _, p := range strings.Split(c.props, ",") {
					if k, v, ok := strings.Cut(p, "="); ok {
						pairs = append(pairs, k, v)
					}
				}
				d, err := m.Add("virtio-blk-pci", pairs...)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(m.Close)
				return m, d.(interface{ VirtioDevice() *Model }).VirtioDevice(), d.Dev().State()
			}
			test.Run(t)
		})
	}
}

// TestHeldRequest: a request that waits for the user's decision moves with the machine and is done there.
func TestHeldRequest(t *testing.T) {
	stopped := make(chan bool, 1)
	disk.StopMachine = func() { stopped <- true }
	defer func() { disk.StopMachine = nil }()
	a := &ramDisk{b: make([]byte, 1<<20), wce: true, fail: errors.New("broken")}
	src := newBlk(t, a, "werror", "stop", "num-queues", "2")
	c := start(t, src, allFeatures)
	c.Mem.Write(dataAt, []byte("moved"))
	c.submit(0, typeOut, 9, out(512))
	c.Kick(0)
	<-stopped
	dev := func(f *virtiotest.Function) (*Model, vmstate.State) {
		d := f.Bus.Function(devfn)
		return d.(interface{ VirtioDevice() *Model }).VirtioDevice(), d.Dev().State()
	}
	m1, s1 := dev(src)
	m1.SetRunning(false)
	var w vmstate.Writer
	s1.Save(&w)

	b := &ramDisk{b: make([]byte, 1<<20), wce: true}
	dst := newBlk(t, b, "werror", "stop", "num-queues", "2")
	copy(dst.Mem.View().Find(0).RAM.Bytes(), src.Mem.View().Find(0).RAM.Bytes())
	m2, s2 := dev(dst)
	m2.SetRunning(false)
	if err := s2.Load(vmstate.NewReader(w.Bytes()), 2); err != nil {
		t.Fatal(err)
	}
	m2.SetRunning(true)
	c2 := &client{dst, c.q}
	c2.q.Mem = dst.Mem
	c2.wait(t)
	if st, _ := dst.Mem.Load(hdrAt+32, 1); st != statusOK || string(b.b[9*512:9*512+5]) != "moved" {
		t.Errorf("status %d, data %q", st, b.b[9*512:9*512+5])
	}
}

// TestUnofferedFeatures: the driver of a state cannot have chosen what the device does not offer.
func TestUnofferedFeatures(t *testing.T) {
	state := func(f *virtiotest.Function) vmstate.State { return f.Bus.Function(devfn).Dev().State() }
	src := newBlk(t, &ramDisk{b: make([]byte, 4096)}, "discard", "on")
	start(t, src, allFeatures)
	var w vmstate.Writer
	state(src).Save(&w)
	dst := newBlk(t, &ramDisk{b: make([]byte, 4096)}, "discard", "off")
	err := state(dst).Load(vmstate.NewReader(w.Bytes()), 2)
	if err == nil || !strings.Contains(err.Error(), "unsupported. Allowed features: 0x") {
		t.Errorf("loaded: %v", err)
	}
}

// FuzzLoad feeds damaged states: a good one of 50 KB with bytes replaced as the input says, three bytes each for a place (two bytes) and a
// value, and cut off at the end if a place lies outside. The input is small, so that the fuzzer does not spend its time on shortening it.
func FuzzLoad(f *testing.F) {
	fn := newBlk(f, &ramDisk{b: make([]byte, 4096)})
	start(f, fn, allFeatures)
	var w vmstate.Writer
	fn.Bus.Function(devfn).Dev().State().Save(&w)
	good := w.Bytes()
	f.Add([]byte{300 >> 8, 300 & 0xff, 1})
	f.Add([]byte{0xff, 0xff, 100, 0, 8, 9})
	f.Fuzz(func(t *testing.T, patch []byte) {
		fn := newBlk(t, &ramDisk{b: make([]byte, 4096)})
		defer fn.Mem.View().Find(0).RAM.Free()
		b := append([]byte(nil), good...)
		for ; len(patch) >= 3; patch = patch[3:] {
			if at := int(patch[0])<<8 | int(patch[1]); at < len(b) {
				b[at] = patch[2]
			} else {
				b = b[:max(0, len(b)-int(patch[2]))]
			}
		}
		_ = fn.Bus.Function(devfn).Dev().State().Load(vmstate.NewReader(b), 2)
		fn.Kick(0)
		fn.Close()
	})
}
