package balloon

import (
	"bytes"
	"testing"
	"time"

	"goemu/hw/qdev"
	"goemu/hw/qdev/qtest"
	"goemu/hw/virtio/transport"
	"goemu/hw/virtio/virtiotest"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/migration/vmstate"
	"goemu/migration/vmstate/vmstatetest"
	"goemu/qapi"
)

const (
	devfn    = 5 << 3
	ringsAt  = 0x10000
	bufAt    = 0x80000
	accepted = 1<<32 | 1<<29 | 1<<featureStats | 1<<featurePoison | 1<<featureReporting
)

type rig struct {
	*virtiotest.Function
	q   []*virtiotest.Driver
	dev qdev.Device
}

func newRig(t testing.TB, props ...string) *rig {
	t.Helper()
	m := virtiotest.NewMachine(t, Classes())
	r := &rig{}
	virtiotest.Locked(func() {
		RAM = 16 << 20
		d, err := m.Add("virtio-balloon-pci", append([]string{"addr", "5", "id", "b", "free-page-reporting", "on"}, props...)...)
		if err != nil {
			t.Fatal(err)
		}
		r.dev, r.Function = d, m.Map(devfn)
		r.start(accepted)
	})
	t.Cleanup(m.Close)
	return r
}

func (r *rig) start(features uint64) {
	r.Negotiate(features)
	r.q = nil
	for i := range 4 {
		d := virtiotest.NewDriver(r.Mem, uint64(ringsAt+0x4000*i), 32, true)
		r.SetupQueue(i, d, 0xffff)
		r.q = append(r.q, d)
	}
	r.SetCom(virtiotest.ComStatus, 1, virtiotest.StatusReady)
}

// done waits for a queue to give a chain back.
func (r *rig) done(t *testing.T, queue int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		mainloop.Main.RunPending()
		if _, _, ok := r.q[queue].Next(); ok {
			return
		}
	}
	t.Fatalf("queue %d gives nothing back", queue)
}

// TestPages gives pages away by number and by reporting: they are zero then, their neighbours are not.
func TestPages(t *testing.T) {
	r := newRig(t)
	const base = 0x200000
	r.Mem.Write(base, bytes.Repeat([]byte{0xa5}, 16<<pageBits))
	var list []byte
	for _, p := range []uint32{base>>pageBits + 1, base>>pageBits + 2, base>>pageBits + 5, base>>pageBits + 4, 0xffffff, 0xfffffff} {
		list = le.AppendUint32(list, p)
	}
	r.Mem.Write(bufAt, list)
	r.q[0].Add(virtiotest.Buf{Addr: bufAt, Len: 7}, virtiotest.Buf{Addr: bufAt + 7, Len: uint32(len(list)) - 7})
	r.Kick(0)
	r.done(t, 0)
	r.q[3].Add(virtiotest.Buf{Addr: base + 8<<pageBits, Len: 2 << pageBits, Write: true}, virtiotest.Buf{Addr: base + 11<<pageBits + 8, Len: pageSize, Write: true})
	r.Kick(3)
	r.done(t, 3)
	r.q[1].Add(virtiotest.Buf{Addr: bufAt, Len: uint32(len(list))})
	r.Kick(1)
	r.done(t, 1)
	gone := map[int]bool{1: true, 2: true, 4: true, 5: true, 8: true, 9: true}
	for p := range 16 {
		b := make([]byte, pageSize)
		r.Mem.Read(base+uint64(p)<<pageBits, b)
		if zero := bytes.Equal(b, make([]byte, pageSize)); zero != gone[p] {
			t.Errorf("page %d: zero is %v", p, zero)
		}
	}
}

// TestPoison: pages that the driver expects to keep their contents are not taken.
func TestPoison(t *testing.T) {
	r := newRig(t)
	virtiotest.Locked(func() { r.Mem.Store(r.Modern+virtiotest.DeviceCfg+cfgPoison, 4, 0xaa) })
	r.Mem.Write(0x300000, []byte{1})
	r.q[3].Add(virtiotest.Buf{Addr: 0x300000, Len: pageSize, Write: true})
	r.Kick(3)
	r.done(t, 3)
	if v, _ := r.Mem.Load(0x300000, 1); v != 1 {
		t.Error("the page was taken")
	}
}

func TestTarget(t *testing.T) {
	r := newRig(t)
	var told []uint64
	Changed = func(n uint64) { told = append(told, n) }
	defer func() { Changed = nil }()
	virtiotest.Locked(func() {
		Active().SetTarget(6 << 20)
		if v, _ := r.Mem.Load(r.Modern+virtiotest.DeviceCfg+cfgPages, 4); v != 10<<20>>pageBits {
			t.Errorf("num_pages %d", v)
		}
		r.Mem.Store(r.Modern+virtiotest.DeviceCfg+cfgActual, 4, 100)
		Active().SetTarget(1 << 60)
		if v, _ := r.Mem.Load(r.Modern+virtiotest.DeviceCfg+cfgPages, 4); v != 0 {
			t.Errorf("num_pages %d", v)
		}
		if n := Active().Actual(); n != 16<<20-100<<pageBits || len(told) != 1 || told[0] != n {
			t.Errorf("actual %d, told %v", n, told)
		}
		if _, err := r.Tree.Add([]qdev.Setting{{Name: "driver", Value: "virtio-balloon-pci"}}); err == nil || err.Error() != "Only one balloon device is supported" {
			t.Error(err)
		}
	})
}

// TestStats asks for statistics at an interval.
func TestStats(t *testing.T) {
	clock.Virtual.SetFake(0)
	clock.Virtual.Start()
	r := newRig(t)
	node := r.dev.Dev().QOM()
	send := func(value uint64) {
		msg := le.AppendUint64(le.AppendUint16(nil, 4), value)
		msg = le.AppendUint64(le.AppendUint16(msg, 99), 7)
		r.Mem.Write(bufAt, msg)
		r.q[2].Add(virtiotest.Buf{Addr: bufAt, Len: uint32(len(msg))})
		r.Kick(2)
		mainloop.Main.RunPending()
	}
	stat := func(name string) any {
		v, err := node.Get(propStats)
		if err != nil {
			t.Fatal(err)
		}
		all, _ := v.(*qapi.Object).Get("stats")
		s, _ := all.(*qapi.Object).Get(name)
		return s
	}
	send(1234)
	if a, b := stat("stat-free-memory"), stat("stat-swap-in"); a != uint64(1234) || b != ^uint64(0) {
		t.Errorf("free memory %v, swapped in %v", a, b)
	}
	if _, _, ok := r.q[2].Next(); ok {
		t.Fatal("asked without an interval")
	}
	virtiotest.Locked(func() {
		if err := node.Set(propInterval, int64(2)); err != nil {
			t.Error(err)
		}
	})
	for _, want := range []uint64{5678, 9} {
		r.done(t, 2)
		send(want)
		if v := stat("stat-free-memory"); v != want {
			t.Errorf("free memory %v, want %d", v, want)
		}
		clock.Virtual.Advance(1e9)
		mainloop.Main.RunPending()
		if _, _, ok := r.q[2].Next(); ok {
			t.Fatal("asked too early")
		}
		clock.Virtual.Advance(1e9)
	}
	for value, want := range map[any]string{int64(-1): "timer value must be greater than zero", int64(1 << 40): "timer value is too big",
		"x": "Invalid parameter type for 'guest-stats-polling-interval', expected: integer"} {
		if err := node.Set(propInterval, value); err == nil || err.Error() != want {
			t.Errorf("%v: %v", value, err)
		}
	}
	if err := node.Set(propStats, "x"); err == nil {
		t.Error(err)
	}
}

func TestStream(t *testing.T) {
	for _, props := range [][]string{nil, {"free-page-reporting", "on"}, {"page-poison", "off", "deflate-on-oom", "on"}} {
		options := "virtio-balloon-pci,addr=5"
		for i := 0; i < len(props); i += 2 {
			options += "," + props[i] + "=" + props[i+1]
		}
		c := virtiotest.StreamTest{DevFn: devfn, Section: "virtio-balloon", QEMU: []string{"-device", options}}
		c.New = func() (*virtiotest.Machine, virtiotest.Stopper, vmstate.State) {
			if Active() != nil {
				active = nil // the machine that comes in is another one
			}
			m := virtiotest.NewMachine(t, Classes())
			d, err := m.Add("virtio-balloon-pci", append([]string{"addr", "5"}, props...)...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(m.Close)
			return m, d.(interface{ VirtioDevice() *Model }).VirtioDevice(), d.Dev().State()
		}
		c.Drive = func(f *virtiotest.Function, _ func(uint64, int, uint64)) {
			f.Negotiate(accepted | 1<<featureDeflate)
			f.SetupQueue(0, virtiotest.NewDriver(f.Mem, ringsAt, 32, true), 0xffff)
			f.Mem.Store(f.Modern+virtiotest.DeviceCfg+cfgActual, 4, 3)
			f.SetCom(virtiotest.ComStatus, 1, virtiotest.StatusReady)
		}
		c.Run(t)
	}
}

func TestLayout(t *testing.T) {
	d := qdev.New(transport.DeviceClass[Model]())
	vmstatetest.Compare(t, "pc", "virtio-balloon-device", d.Dev().State().Layout())
}

func TestHelp(t *testing.T) { qtest.CompareHelp(t, Classes()) }

// FuzzDevice sends chains with the input's bytes in all queues.
func FuzzDevice(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00"), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, how uint8) {
		m := virtiotest.NewMachine(t, Classes())
		defer m.Mem.View().Find(0).RAM.Free()
		virtiotest.Locked(func() {
			RAM = 16 << 20
			if _, err := m.Add("virtio-balloon-pci", "addr", "5", "free-page-reporting", "on", propInterval, "1"); err != nil {
				t.Fatal(err)
			}
		})
		r := &rig{Function: m.Map(devfn)}
		virtiotest.Locked(func() { r.start(accepted) })
		data = data[:min(len(data), 4096)]
		r.Mem.Write(bufAt, data)
		for i, b := range data[:min(len(data), 16)] {
			q := int(b>>4) % 4
			if len(data) == 0 || r.q[q].Free() < 2 {
				break
			}
			r.q[q].Add(virtiotest.Buf{Addr: bufAt + uint64(i), Len: uint32(len(data))}, virtiotest.Buf{Addr: uint64(b) << pageBits << 1, Len: pageSize * (uint32(how)%64 + 1), Write: how&0x80 != 0})
			r.Kick(q)
			virtiotest.Locked(func() { r.Mem.Store(r.Modern+virtiotest.DeviceCfg+uint64(b%16), 4, uint64(how)) })
			mainloop.Main.RunPending()
		}
		m.Close()
	})
}
