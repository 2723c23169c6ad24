package hotplug

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/hw/qdev"
	"goemu/hw/qdev/qtest"
	"goemu/internal/memory"
)

// part is a device for a slot.
type part struct {
	qdev.Base
	addr, size uint64
	gone       func()
}

func (p *part) Range() (uint64, uint64) { return p.addr, p.size }
func (p *part) Node() uint32            { return 1 }
func (p *part) Unrealize()              { p.gone() }

// rig is registers in a port space, with what they tell.
type rig struct {
	t      *testing.T
	tree   *qdev.Tree
	io     *memory.Region
	ports  *memory.AddressSpace
	events int
	osts   []OST
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, tree: qdev.NewTree(qdev.NewRegistry()), io: memory.NewPortSpace("io")}
	r.ports = memory.NewAddressSpace("I/O", r.io)
	t.Cleanup(r.ports.Close)
	return r
}

func (r *rig) config() Config {
	return Config{Notify: func() { r.events++ }, Report: func(o OST) { r.osts = append(r.osts, o) }}
}

// part makes a device, hot-plugged or not, that tells when it goes.
func (r *rig) part(id string, hot bool, gone func()) *part {
	class := &qdev.Class{Name: "part", New: func() qdev.Device { return &part{addr: 5 << 32, size: 3 << 31, gone: gone} }}
	r.tree.Registry = qdev.NewRegistry([]*qdev.Class{class})
	r.tree.Loose, r.tree.Hot = qdev.Direct{}, hot
	d, err := r.tree.Add([]qdev.Setting{{Name: "driver", Value: "part"}, {Name: "id", Value: id}})
	require.NoError(r.t, err)
	return d.(*part)
}

func (r *rig) in(port uint64, size int) uint64 {
	v, _ := r.ports.BusLoad(port, size)
	return v
}

func (r *rig) out(port uint64, size int, v uint64) { r.ports.BusStore(port, size, v) }

const base = 0xaf00

// access is a step of a conversation: a write if size is negative.
type access struct {
	at   uint64
	size int
	v    uint64
}

// conversation begins with the older interface, leaves it and asks for all slots with all commands.
func conversation() (list []access) {
	for i := range uint64(4) {
		list = append(list, access{base + i, 1, 0})
	}
	list = append(list, access{base, -4, 1}, access{base, 4, 0}, access{base, -4, 0})
	for _, slot := range []uint64{0, 1, 2, 3, 0xffffffff, 1} {
		list = append(list, access{base, -4, slot}, access{base + cpuFlags, 1, 0})
		for _, cmd := range []uint64{cmdAPICID, cmdNextEvent, cmdOSTEvent, 9} {
			list = append(list, access{base + cpuCmd, -1, cmd}, access{base + cpuData, 4, 0}, access{base, 4, 0}, access{base + cpuData, -4, 0x103})
		}
		for _, flag := range []uint64{flagFirmware, flagInserting, flagRemoving, flagEject} {
			list = append(list, access{base + cpuFlags, -1, flag}, access{base + cpuFlags, 1, 0}, access{base + cpuFlags, 4, 0})
		}
	}
	return list
}

// TestConversation has the registers say what those of QEMU say.
func TestConversation(t *testing.T) {
	q := qtest.Start(t, "-M", "pc", "-nodefaults", "-smp", "1,sockets=1,cores=3,maxcpus=3", "-display", "none")
	r := newRig(t)
	var c CPUs
	c.Map(r.io, base, []uint32{0, 1, 2}, r.config())
	c.Plugged(0, r.part("boot", false, nil))
	for i, a := range conversation() {
		if a.size < 0 {
			q.Out(uint16(a.at), -a.size, uint32(a.v))
			r.out(a.at, -a.size, a.v)
			continue
		}
		require.EqualValues(t, q.In(uint16(a.at), a.size), r.in(a.at, a.size), "step %d: %d bytes at %#x", i, a.size, a.at)
	}
	require.True(t, c.Modern())
}

// TestCPUs lets a CPU come and go.
func TestCPUs(t *testing.T) {
	r := newRig(t)
	var c CPUs
	c.Map(r.io, base, []uint32{0, 4}, r.config())
	c.Plugged(0, r.part("boot", false, nil))
	r.out(base, 1, 0)
	gone := 0
	c.Plugged(1, r.part("new", true, func() { gone++; c.Unplugged(1) }))
	require.Equal(t, 1, r.events)
	r.out(base+cpuCmd, 1, cmdNextEvent)
	require.EqualValues(t, 1, r.in(base+cpuData, 4), "the slot with the event")
	require.EqualValues(t, flagEnabled|flagInserting, r.in(base+cpuFlags, 1))
	r.out(base+cpuFlags, 1, flagInserting)
	r.out(base+cpuCmd, 1, cmdOSTEvent)
	r.out(base+cpuData, 4, 0x103)
	r.out(base+cpuCmd, 1, cmdOSTStatus)
	r.out(base+cpuData, 4, 1)
	require.Equal(t, []OST{{CPU, 1, "new", 0x103, 1}}, r.osts)
	require.Equal(t, []OST{{Kind: CPU, Device: "boot"}, {CPU, 1, "new", 0x103, 1}}, c.Status())
	c.RequestUnplug(1)
	require.Equal(t, 2, r.events)
	require.EqualValues(t, flagEnabled|flagRemoving, r.in(base+cpuFlags, 1))
	r.out(base, 4, 0)
	r.out(base+cpuFlags, 1, flagEject)
	require.Zero(t, gone, "the first CPU stays")
	r.out(base, 4, 1)
	r.out(base+cpuFlags, 1, flagRemoving)
	r.out(base+cpuFlags, 1, flagEject)
	require.Equal(t, 1, gone)
	require.Zero(t, r.in(base+cpuFlags, 1))
	r.out(base+cpuFlags, 1, flagEject)
	require.Equal(t, 1, gone, "an empty slot")
}

// TestDIMMs lets a memory module come and go.
func TestDIMMs(t *testing.T) {
	r := newRig(t)
	var m DIMMs
	m.Map(r.io, base, 2, r.config())
	gone := 0
	m.Plugged(1, r.part("m", true, func() { gone++; m.Unplugged(1) }))
	require.Equal(t, 1, r.events)
	require.Zero(t, r.in(base+dimmSize, 4))
	r.out(base+dimmSelect, 4, 1)
	var got []uint64
	for off := uint64(0); off < DIMMPorts; off += 4 {
		got = append(got, r.in(base+off, 4))
	}
	require.Equal(t, []uint64{0, 5, 1 << 31, 1, 1, flagEnabled | flagInserting}, got)
	r.out(base+dimmOSTEvent, 4, 1)
	r.out(base+dimmOSTStatus, 4, 0)
	require.Equal(t, []OST{{DIMM, 1, "m", 1, 0}}, r.osts)
	m.RequestUnplug(1)
	r.out(base+dimmFlags, 1, flagRemoving)
	r.out(base+dimmFlags, 1, flagEject)
	require.Equal(t, 1, gone)
	require.EqualValues(t, flagInserting, r.in(base+dimmFlags, 1))
	r.out(base+dimmSelect, 4, 7)
	r.out(base+dimmFlags, 1, flagEject)
	require.Zero(t, r.in(base+dimmFlags, 1), "no such slot")
}

// FuzzRegisters writes anything anywhere.
func FuzzRegisters(f *testing.F) {
	var all []byte
	for _, a := range conversation() {
		if a.size < 0 {
			all = append(all, byte(a.at), byte(a.v))
		}
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newRig(t)
		var c CPUs
		var m DIMMs
		c.Map(r.io, base, []uint32{0, 1, 2, 300}, r.config())
		m.Map(r.io, base+0x40, 3, r.config())
		for i := range 3 {
			c.Plugged(i, r.part(string(rune('a'+i)), i > 0, func() { c.Unplugged(i) }))
			m.Plugged(i, r.part(string(rune('m'+i)), i > 0, func() { m.Unplugged(i) }))
		}
		for p := range slices.Chunk(b, 2) {
			if len(p) == 2 {
				at := base + uint64(p[0]&0x7f)
				r.out(at, 1<<(p[0]>>7*2), uint64(p[1]))
				r.in(at, 4)
			}
		}
	})
}
