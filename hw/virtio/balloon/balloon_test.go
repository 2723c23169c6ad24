package balloon

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/hw/qdev"
	"goemu/hw/qdev/qtest"
	"goemu/hw/virtio/transport"
	"goemu/hw/virtio/virtiotest"
	"goemu/internal/clock"
	"goemu/internal/iothread"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
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

// newMachine makes a machine that knows an I/O thread.
func newMachine(t testing.TB) *virtiotest.Machine {
	m := virtiotest.NewMachine(t, Classes())
	qdev.Link(&m.Tree.Links, func(id string) (*iothread.Thread, bool) { return new(iothread.Thread), id == "io" })
	return m
}

// withHints are the options for hints.
var withHints = []string{"free-page-hint", "on", "iothread", "io"}

func newRig(t testing.TB, props ...string) *rig {
	t.Helper()
	m := newMachine(t)
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
	for i := range 4 + int(features>>featureHint&1) {
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

// TestHints asks for free pages as a migration does.
func TestHints(t *testing.T) {
	r := newRig(t, withHints...)
	virtiotest.Locked(func() { r.start(accepted | 1<<featureHint) })
	command := func() uint32 {
		mainloop.Main.RunPending()
		return uint32(r.Com(virtiotest.DeviceCfg+cfgHint, 4))
	}
	send := func(b virtiotest.Buf) {
		t.Helper()
		r.q[3].Add(b)
		r.Kick(3)
		r.done(t, 3)
	}
	number := func(id uint32) {
		t.Helper()
		r.Mem.Store(bufAt, 4, uint64(id))
		send(virtiotest.Buf{Addr: bufAt, Len: 4})
	}
	var freed []uint64
	free := func(_ *memory.RAMBlock, at, n uint64) { freed = append(freed, at, n) }
	page := func(n uint64) virtiotest.Buf {
		return virtiotest.Buf{Addr: 0x300000 + n<<pageBits, Len: 2 * pageSize, Write: true}
	}
	require.EqualValues(t, cmdStop, command())
	send(page(0)) // nobody has asked

	m := Active()
	m.StartHints(free)
	require.EqualValues(t, cmdFirst+1, command())
	send(page(1)) // for another question
	number(cmdFirst)
	send(page(2))
	number(cmdFirst + 1)
	send(page(3))
	send(page(5))
	require.Equal(t, []uint64{0x303000, 2 * pageSize, 0x305000, 2 * pageSize}, freed)
	number(cmdStop)
	send(page(7))
	require.Len(t, freed, 4)

	m.StartHints(free)
	require.EqualValues(t, cmdFirst+2, command())
	number(cmdFirst + 2)
	m.StopHints()
	require.EqualValues(t, cmdStop, command())
	send(page(9))
	require.Len(t, freed, 4)
	virtiotest.Locked(m.FinishHints)
	require.EqualValues(t, cmdDone, command())
	m.StopHints()
	require.EqualValues(t, cmdDone, command())
	virtiotest.Locked(m.Reset)
	require.EqualValues(t, cmdStop, command())

	r.q[3].Add(virtiotest.Buf{Addr: bufAt, Len: 3})
	r.Kick(3)
	require.Eventually(t, m.Broken, 10*time.Second, time.Millisecond)
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
	for _, props := range [][]string{nil, {"free-page-reporting", "on"}, {"page-poison", "off", "deflate-on-oom", "on"}, withHints, append([]string{"page-poison", "off"}, withHints...)} {
		options := "virtio-balloon-pci,addr=5"
		for i := 0; i < len(props); i += 2 {
			options += "," + props[i] + "=" + props[i+1]
		}
		c := virtiotest.StreamTest{DevFn: devfn, Section: "virtio-balloon", QEMU: []string{"-object", "iothread,id=io", "-device", options}}
		c.New = func() (*virtiotest.Machine, virtiotest.Stopper, vmstate.State) {
			if Active() != nil {
				active = nil // the machine that comes in is another one
			}
			m := newMachine(t)
			d, err := m.Add("virtio-balloon-pci", append([]string{"addr", "5"}, props...)...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(m.Close)
			return m, d.(interface{ VirtioDevice() *Model }).VirtioDevice(), d.Dev().State()
		}
		c.Drive = func(f *virtiotest.Function, _ func(uint64, int, uint64)) {
			f.Negotiate(accepted | 1<<featureDeflate | 1<<featureHint)
			f.SetupQueue(0, virtiotest.NewDriver(f.Mem, ringsAt, 32, true), 0xffff)
			f.Mem.Store(f.Modern+virtiotest.DeviceCfg+cfgActual, 4, 3)
			f.SetCom(virtiotest.ComStatus, 1, virtiotest.StatusReady)
			if m := Active(); m.HintsFree() { // as QEMU's migration, which is how its state is had
				m.StartHints(func(*memory.RAMBlock, uint64, uint64) {})
				virtiotest.Locked(m.FinishHints)
			}
		}
		c.Mask = func(saved []byte) { // how often the driver was asked
			const name = "virtio-balloon-device/free-page-report"
			if i := bytes.Index(saved, []byte(name)); i >= 0 {
				clear(saved[i+len(name)+4:][:4])
			}
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
		m := newMachine(t)
		defer m.Mem.View().Find(0).RAM.Free()
		virtiotest.Locked(func() {
			RAM = 16 << 20
			if _, err := m.Add("virtio-balloon-pci", "addr", "5", "free-page-reporting", "on", propInterval, "1", withHints[0], withHints[1], withHints[2], withHints[3]); err != nil {
				t.Fatal(err)
			}
		})
		r := &rig{Function: m.Map(devfn)}
		virtiotest.Locked(func() { r.start(accepted | 1<<featureHint) })
		Active().StartHints(func(*memory.RAMBlock, uint64, uint64) {})
		data = data[:min(len(data), 4096)]
		r.Mem.Write(bufAt, data)
		for i, b := range data[:min(len(data), 16)] {
			q := int(b>>4) % len(r.q)
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
