package pci

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/hw/qdev"
	"goemu/internal/memory"
	"goemu/migration/vmstate"
	"goemu/migration/vmstate/vmstatetest"
)

type ops struct{ last uint64 }

func (o *ops) Read(off uint64, size int) uint64     { return 0x1234 }
func (o *ops) Write(off uint64, size int, v uint64) { o.last = v }

type toy struct {
	Device
	io, mmio ops
}

func (d *toy) PCIInfo() Info {
	return Info{Vendor: VendorRedHat, Device: 5, Class: ClassOthers, Revision: 1}
}

func (d *toy) Realize() error {
	d.SetInterruptPin(1)
	d.SetBAR(0, BARIO, memory.NewIO("io", 0x20, &d.io))
	d.SetBAR(2, BARMem64, memory.NewIO("mmio", 0x1000, &d.mmio))
	if err := d.AddMSI(0, 1, false); err != nil {
		return err
	}
	return d.AddMSIXBar(4, 1, "toy-msix")
}

var toyClass = qdev.Class{Name: "toy", Bus: BusType, New: func() qdev.Device { return new(toy) },
	State: qdev.State(&vmstate.Description[toy]{Name: "toy", Version: 1, MinVersion: 1,
		Fields: []vmstate.Field[toy]{vmstate.Struct("parent_obj", &State, func(d *toy) *Device { return &d.Device })}})}

type rig struct {
	mem, io *memory.AddressSpace
	msi     ops
	levels  [4]bool
	tree    *qdev.Tree
	bus     *Bus
}

func newRig(t testing.TB) *rig {
	r := &rig{tree: qdev.NewTree(qdev.NewRegistry([]*qdev.Class{&toyClass}))}
	mem, io := memory.NewContainer("mem", memory.Whole), memory.NewContainer("io", 0x10000)
	r.mem, r.io = memory.NewAddressSpace("mem", mem), memory.NewAddressSpace("io", io)
	msi := memory.NewIO("msi", 0x100000, &r.msi)
	msi.Unlocked = true
	mem.Add(msi, 0xfee00000, 0)
	host := &qdev.Class{Name: "host", New: func() qdev.Device { return new(qdev.Base) }}
	h, err := r.tree.Create(host, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.bus = NewBus(h, "pci.0", mem, mem, io, 0)
	new(ConfigPorts).Connect(r.bus, io)
	r.bus.SetIRQs(qdev.NewIRQs(func(n int, l bool) { r.levels[n] = l }, 4), func(devfn uint8, pin int) int { return (int(devfn>>3) + pin) & 3 })
	return r
}

func (r *rig) config(reg uint32, size int) uint32 {
	r.io.Store(PortConfigAddress, 4, uint64(configEnable|reg&^3))
	v, _ := r.io.Load(PortConfigData+uint64(reg&3), size)
	return uint32(v)
}

func (r *rig) setConfig(reg uint32, size int, v uint32) {
	r.io.Store(PortConfigAddress, 4, uint64(configEnable|reg&^3))
	r.io.Store(PortConfigData+uint64(reg&3), size, uint64(v))
}

func (r *rig) add(t testing.TB, args ...qdev.Setting) (*toy, error) {
	d, err := r.tree.Add(append([]qdev.Setting{{Name: "driver", Value: "toy"}}, args...))
	if err != nil {
		return nil, err
	}
	qdev.Reset(d)
	d.(*toy).reset()
	return d.(*toy), nil
}

func TestBARs(t *testing.T) {
	r := newRig(t)
	d, err := r.add(t, qdev.Setting{Name: "addr", Value: "02.0"})
	if err != nil {
		t.Fatal(err)
	}
	const fn = 2 << 11
	if v := r.config(fn, 4); v != 5<<16|VendorRedHat {
		t.Errorf("identity %x", v)
	}
	if v := r.config(3<<11, 2); v != 0xffff {
		t.Errorf("absent function reads %x", v)
	}
	for reg, want := range map[uint32]uint32{0x10: 0xffffffe1, 0x14: 0xfffff000, 0x18: 0xfffff004, 0x1c: 0xffffffff, 0x20: 0} {
		if r.setConfig(fn|reg, 4, 0xffffffff); r.config(fn|reg, 4) != want {
			t.Errorf("BAR at %x sized as %x, want %x", reg, r.config(fn|reg, 4), want)
		}
	}
	r.setConfig(fn|0x10, 4, 0xc000)
	r.setConfig(fn|0x18, 4, 0x10000000)
	r.setConfig(fn|0x1c, 4, 0x1)
	if v, res := r.io.Load(0xc000, 2); res != memory.DecodeError {
		t.Errorf("answers before being enabled: %x", v)
	}
	r.setConfig(fn|RegCommand, 2, CommandIO|CommandMemory)
	r.io.Store(0xc004, 4, 7)
	r.mem.Store(0x110000000, 4, 8)
	if d.io.last != 7 || d.mmio.last != 8 {
		t.Errorf("BARs got %d and %d", d.io.last, d.mmio.last)
	}
}

func TestInterrupts(t *testing.T) {
	r := newRig(t)
	d, err := r.add(t, qdev.Setting{Name: "addr", Value: "02.0"})
	if err != nil {
		t.Fatal(err)
	}
	const fn = 2 << 11
	d.SetINTx(true)
	if r.levels != [4]bool{2: true} {
		t.Errorf("levels %v", r.levels)
	}
	r.setConfig(fn|RegCommand, 2, CommandIntxDisable|CommandMaster|CommandMemory)
	if r.levels != [4]bool{} || r.config(fn|RegStatus, 2)&statusInterrupt == 0 {
		t.Errorf("disabled: levels %v, status %x", r.levels, r.config(fn|RegStatus, 2))
	}
	r.setConfig(fn|0x14, 4, 0xfeb00000)
	at := uint32(d.FindCapability(CapMSIX))
	d.UseVector(1)
	r.mem.Store(0xfeb00010, 8, 0xfee00000)
	r.mem.Store(0xfeb00018, 4, 0x41)
	r.setConfig(fn|at+2, 2, msixEnable)
	d.NotifyMSIX(1)
	if pba, _ := r.mem.Load(0xfeb00800, 4); r.msi.last != 0 || pba != 2 {
		t.Errorf("masked: sent %x, pending %x", r.msi.last, pba)
	}
	r.mem.Store(0xfeb0001c, 4, 0)
	if pba, _ := r.mem.Load(0xfeb00800, 4); r.msi.last != 0x41 || pba != 0 {
		t.Errorf("unmasked: sent %x, pending %x", r.msi.last, pba)
	}
}

// directOps takes messages, and descriptors whose signals are messages.
type directOps struct {
	ops
	sent map[int]uint32 // by descriptor: the message
}

// SendEvent implements EventSender.
func (o *directOps) SendEvent(event int, offset uint64, data uint32) (stop func(), ok bool) {
	o.sent[event] = uint32(offset)<<8 | data
	return func() { delete(o.sent, event) }, true
}

// TestDirectMSIX: a descriptor's signals are the vector as the guest has set it up, while it is not masked.
func TestDirectMSIX(t *testing.T) {
	r := newRig(t)
	d, err := r.add(t, qdev.Setting{Name: "addr", Value: "02.0"})
	require.NoError(t, err)
	sender := &directOps{sent: map[int]uint32{}}
	direct := memory.NewIO("msi", 0x1000, sender)
	direct.Unlocked = true
	r.mem.Root().Add(direct, 0xfed00000, 0)
	const fn, event = 2 << 11, 7
	r.setConfig(fn|RegCommand, 2, CommandMaster|CommandMemory)
	r.setConfig(fn|0x14, 4, 0xfeb00000)
	at := uint32(d.FindCapability(CapMSIX))
	message := func(addr, data, masked uint64) {
		r.mem.Store(0xfeb00010, 8, addr)
		r.mem.Store(0xfeb00018, 4, data)
		r.mem.Store(0xfeb0001c, 4, masked)
	}
	d.UseVector(1)
	message(0xfed00001, 0x41, 0)
	var stop func()
	for i, step := range []struct {
		do   func()
		want map[int]uint32
	}{
		{func() { stop = d.DirectMSIX(1, event) }, nil},
		{func() { r.setConfig(fn|at+2, 2, msixEnable) }, map[int]uint32{event: 0x141}},
		{func() { r.mem.Store(0xfeb0001c, 4, msixEntryMasked) }, nil},
		{func() { message(0xfed00002, 0x42, 0) }, map[int]uint32{event: 0x242}},
		{func() { message(0xfee00000, 0x42, 0) }, nil}, // where the kernel can do nothing
		{func() { message(0xfed00000, 0x43, 0) }, map[int]uint32{event: 0x43}},
		{func() { r.setConfig(fn|at+2, 2, msixEnable|msixMaskAll) }, nil},
		{func() { r.setConfig(fn|at+2, 2, msixEnable) }, map[int]uint32{event: 0x43}},
		{func() { d.UnuseVector(1) }, nil},
		{func() { stop(); stop = d.DirectMSIX(1<<16-1, event) }, nil}, // no vector
		{func() { stop(); d.UseVector(1); stop = d.DirectMSIX(1, event) }, map[int]uint32{event: 0x43}},
		{func() { stop() }, nil},
		{func() { d.DirectMSIX(1, event) }, map[int]uint32{event: 0x43}},
		{d.msixReset, nil},
	} {
		step.do()
		if len(sender.sent) != len(step.want) || sender.sent[event] != step.want[event] {
			t.Errorf("step %d: %#x, want %#x", i, sender.sent, step.want)
		}
	}
}

// TestLoadOtherDevice: what a device is does not come out of a stream.
func TestLoadOtherDevice(t *testing.T) {
	d, err := newRig(t).add(t)
	require.NoError(t, err)
	var w vmstate.Writer
	d.State().Save(&w)
	good := w.Bytes()
	const config = 4 // where the configuration space is in there
	for _, at := range []int{RegVendorID, RegHeaderType, RegIntPin} {
		bad := bytes.Clone(good)
		bad[config+at] = 40
		require.ErrorContains(t, d.State().Load(vmstate.NewReader(bad), 1), fmt.Sprintf("Bad config data: i=0x%x read: 28 device: ", at))
	}
	require.NoError(t, d.State().Load(vmstate.NewReader(good), 1))
}

// TestLinesAfterLoad: a pin that was high when the state was saved is low after the device lets go of it, wherever the state is loaded.
func TestLinesAfterLoad(t *testing.T) {
	src := newRig(t)
	a, err := src.add(t)
	require.NoError(t, err)
	a.SetINTx(true)
	save := func(s vmstate.State) []byte {
		var w vmstate.Writer
		s.Save(&w)
		return w.Bytes()
	}
	bus, device := save(src.bus.BusState()), save(a.State())
	for _, before := range []bool{false, true} { // the other machine's pin
		dst := newRig(t)
		b, err := dst.add(t)
		require.NoError(t, err)
		b.SetINTx(before)
		require.NoError(t, dst.bus.BusState().Load(vmstate.NewReader(bus), 1))
		require.NoError(t, b.State().Load(vmstate.NewReader(device), 1))
		dst.bus.RestoreLines()
		require.Equal(t, src.levels, dst.levels)
		b.SetINTx(false)
		require.Equal(t, [4]bool{}, dst.levels)
		require.False(t, dst.bus.IRQLevel(0))
	}
}

func TestSlots(t *testing.T) {
	r := newRig(t)
	for _, tt := range []struct{ addr, multi, want string }{
		{"01.0", "off", ""},
		{"01.0", "off", "PCI: slot 1 function 0 not available for toy, in use by toy,id=(null)"},
		{"01.1", "off", "PCI: single function device can't be populated in function 1.1"},
		{"02.1", "off", ""},
		{"02.0", "off", "PCI: 2.0 indicates single function, but 2.1 is already populated."},
		{"02.0", "on", ""},
	} {
		_, err := r.add(t, qdev.Setting{Name: "addr", Value: tt.addr}, qdev.Setting{Name: "multifunction", Value: tt.multi})
		if got := ""; err != nil {
			got = err.Error()
			if got != tt.want {
				t.Errorf("%s: %s", tt.addr, got)
			}
		} else if tt.want != "" {
			t.Errorf("%s: no error", tt.addr)
		}
	}
}

func TestState(t *testing.T) {
	r := newRig(t)
	a, _ := r.add(t)
	b, err := r.add(t)
	if err != nil {
		t.Fatal(err)
	}
	a.SetINTx(true)
	a.Set32(0x40, 0x12345678)
	vmstatetest.RoundTrip(t, 1, a.State(), b.State())
	nested := toyClass.State(a).Layout().Fields[0].Nested
	l := &vmstate.Layout{Name: "I440FX", Version: 3, MinVersion: 3, Fields: []vmstate.LayoutField{
		{Field: "parent_obj", Nested: nested}, {Field: "unused", Size: 1}}}
	vmstatetest.Compare(t, "pc-i440fx-7.2", "i440FX", l)
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte{0x10, 4, 0xff, 0xff, 0xff, 0xff, 4, 2, 7, 0, 0, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		r := newRig(t)
		d, err := r.add(t)
		if err != nil {
			t.Fatal(err)
		}
		for ; len(script) >= 6; script = script[6:] {
			size := 1 << (script[1] & 1)
			if script[1]&4 != 0 {
				size = 4
			}
			r.setConfig(uint32(script[0]), size, uint32(script[2])|uint32(script[3])<<8|uint32(script[4])<<16|uint32(script[5])<<24)
			r.config(uint32(script[0]), size)
			d.SetINTx(script[1]&8 != 0)
			d.NotifyMSI(0)
			d.NotifyMSIX(int(script[1] >> 4))
		}
	})
}

// TestRange64 finds what is placed above 4 GiB, and only that.
func TestRange64(t *testing.T) {
	r := newRig(t)
	const fn, low, high = 2 << 11, 0xe0001000, 1 << 33
	if _, err := r.add(t, qdev.Setting{Name: "addr", Value: "02.0"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		command, low, high uint32
		want               bool
	}{{0, 0, 2, false}, {CommandMemory, low, 0, false}, {CommandMemory, 0, 2, true}} {
		r.setConfig(fn|RegCommand, 2, c.command)
		r.setConfig(fn|RegBAR0+8, 4, c.low)
		r.setConfig(fn|RegBAR0+12, 4, c.high)
		first, last, ok := r.bus.Range64()
		if ok != c.want || ok && (first != high || last != high+0xfff) {
			t.Errorf("%+v: %#x to %#x, %v", c, first, last, ok)
		}
	}
}
