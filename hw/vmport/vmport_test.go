package vmport

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/hw/isa"
	"goemu/hw/qdev"
	"goemu/internal/memory"
	"goemu/migration/vmstate"
	"goemu/migration/vmstate/vmstatetest"
	"goemu/target/x86"
	"goemu/ui/input"
)

// fake is a CPU that is nothing but its registers.
type fake struct {
	regs     Registers
	tsc, bus uint64
}

func (f *fake) Registers(g func(*Registers)) { g(&f.regs) }
func (f *fake) Rates() (tsc, bus uint64)     { return f.tsc, f.bus }
func (f *fake) set(eax, ebx, ecx uint32) {
	f.regs = Registers{x86.RAX: uint64(eax), x86.RBX: uint64(ebx), x86.RCX: uint64(ecx)}
}
func (f *fake) get(n int) uint32               { return uint32(f.regs[n]) }
func (r *rig) nudges() (n int)                 { n, r.nudged = r.nudged, 0; return n }
func (r *rig) in() (v uint64)                  { r.port.By(&r.cpu, func() { v, _ = r.ports.Load(Base, 4) }); return v }
func (r *rig) call(c Command, v uint32) uint32 { r.cpu.set(Magic, v, uint32(c)); return uint32(r.in()) }

// rig is a port with a mouse.
type rig struct {
	ports  *memory.AddressSpace
	port   *Port
	mouse  *Mouse
	cpu    fake
	nudged int
}

func newRig(t testing.TB, globals ...qdev.Global) *rig {
	t.Helper()
	r := new(rig)
	mem, io := memory.NewContainer("mem", memory.Whole), memory.NewPortSpace("io")
	r.ports = memory.NewAddressSpace("io", io)
	tree := qdev.NewTree(qdev.NewRegistry([]*qdev.Class{&Class, &MouseClass}))
	tree.Globals = globals
	h, err := tree.Create(&qdev.Class{Name: "host", New: func() qdev.Device { return new(qdev.Base) }}, nil)
	require.NoError(t, err)
	bus := isa.NewBus(h, "isa.0", mem, io)
	link := &I8042{Path: "/i8042", Nudge: func() { r.nudged++ }}
	_, err = NewMouse(tree, bus, link)
	require.EqualError(t, err, "vmmouse needs a machine with vmport")
	r.port, err = New(tree, bus, Config{RAM: 6 << 30, UUID: [16]byte{0: 1, 15: 16}, X2APIC: true})
	require.NoError(t, err)
	_, err = NewMouse(tree, bus, nil)
	require.EqualError(t, err, "'i8042' link is not set")
	r.mouse, err = NewMouse(tree, bus, link)
	require.NoError(t, err)
	tree.Reset()
	t.Cleanup(func() { r.mouse.remove(); r.ports.Close() })
	return r
}

func TestCalls(t *testing.T) {
	r := newRig(t)
	require.EqualValues(t, 6, r.call(GetVersion, 0))
	require.EqualValues(t, Magic, r.cpu.get(x86.RBX))
	require.EqualValues(t, 2, r.cpu.get(x86.RCX))
	require.EqualValues(t, 0x80000000, r.call(GetRAMSize, 0), "the lower half")
	require.EqualValues(t, 1, r.call(GetBIOSUUID, 0))
	require.EqualValues(t, 16<<24, r.cpu.get(x86.RDX))
	require.EqualValues(t, 8, r.call(GetVCPUInfo, 0))
	require.EqualValues(t, Magic, r.call(GetHz, 0), "unknown rates")
	require.EqualValues(t, uint32(unknown), r.cpu.get(x86.RBX))
	r.cpu.tsc, r.cpu.bus = 5<<32|7, 9
	require.EqualValues(t, 7, r.call(GetHz, 0))
	require.EqualValues(t, 5, r.cpu.get(x86.RBX))
	require.EqualValues(t, 9, r.cpu.get(x86.RCX))
	require.EqualValues(t, uint32(unknown), r.call(11, 0))
	v, _ := r.ports.Load(Base, 4)
	require.EqualValues(t, uint32(unknown), v, "nobody calls")

	old := newRig(t, qdev.Global{Driver: "vmport", Property: "x-cmds-v2", Value: "off"}, qdev.Global{Driver: "vmport", Property: "x-signal-unsupported-cmd", Value: "off"})
	require.EqualValues(t, Magic, old.call(GetVCPUInfo, 0))
	for _, c := range []struct {
		port uint16
		size int
		in   bool
	}{{Base - 1, 1, false}, {Base - 1, 2, true}, {Base - 4, 4, false}, {Base - 3, 4, true}, {Base, 1, true}, {Base + 1, 4, false}, {0, 4, false}} {
		require.Equal(t, c.in, In(c.port, c.size), c)
	}
}

func TestMouse(t *testing.T) {
	r := newRig(t)
	send := func(events ...input.Event) {
		for _, e := range events {
			input.Main.Send(nil, e)
		}
		input.Main.Sync()
	}
	event := func() (e [4]uint32) {
		t.Helper()
		require.EqualValues(t, 4, r.call(MouseStatus, 0)&0xffff%1024)
		r.call(MouseData, 4)
		return [4]uint32{r.cpu.get(x86.RAX), r.cpu.get(x86.RBX), r.cpu.get(x86.RCX), r.cpu.get(x86.RDX)}
	}
	require.EqualValues(t, 0xffff0000, r.call(MouseStatus, 0))
	r.call(MouseCommand, mouseAbsolute)
	require.Empty(t, input.Main.Mice(), "disabled")
	r.call(MouseCommand, mouseReadID)
	require.EqualValues(t, mouseVersion, r.call(MouseData, 1))
	require.False(t, input.Main.Absolute())
	send(input.Event{Kind: input.KindRel, Axis: input.AxisX, Value: -3}, input.Event{Kind: input.KindRel, Axis: input.AxisY, Value: 2})
	require.Equal(t, [4]uint32{0, 0xfffffffd, 2, 0}, event())
	send(input.Event{Kind: input.KindButton, Button: input.Right, Down: true})
	require.Equal(t, [4]uint32{0x10}, event(), "the movement is over")
	r.call(MouseCommand, mouseAbsolute)
	require.Equal(t, []input.Mouse{{Name: "vmmouse", ID: input.Main.Mice()[0].ID, Current: true, Absolute: true}}, input.Main.Mice())
	send(input.Event{Kind: input.KindAbs, Axis: input.AxisX, Value: 0x7fff}, input.Event{Kind: input.KindButton, Button: input.Left, Down: true})
	require.Equal(t, [4]uint32{0x20, 0xfffe}, event())
	require.Equal(t, 3, r.nudges())
	send(input.Event{Kind: input.KindButton, Button: input.WheelDown, Down: true})
	require.EqualValues(t, 8, r.call(MouseStatus, 0), "an event for the step, one for the end")
	r.call(MouseData, 4)
	require.EqualValues(t, 1, r.cpu.get(x86.RDX))
	require.Equal(t, [4]uint32{0x20, 0xfffe}, event())
	for range 300 {
		send(input.Event{Kind: input.KindAbs, Axis: input.AxisY, Value: 1})
	}
	require.EqualValues(t, mouseQueue, r.call(MouseStatus, 0))
	r.call(MouseCommand, mouseReadID)
	require.EqualValues(t, mouseQueue, r.call(MouseStatus, 0), "full")
	r.call(MouseData, 7)
	require.EqualValues(t, 0xffff0000|mouseQueue, r.call(MouseStatus, 0))
	require.Empty(t, input.Main.Mice())
}

func TestState(t *testing.T) {
	r := newRig(t)
	vmstatetest.Compare(t, "pc-i440fx-7.2", "vmmouse", r.mouse.State().Layout())
	r.call(MouseCommand, mouseReadID)
	r.call(MouseCommand, mouseAbsolute)
	var w vmstate.Writer
	r.mouse.State().Save(&w)
	r.mouse.Reset()
	require.Empty(t, input.Main.Mice())
	require.NoError(t, r.mouse.State().Load(vmstate.NewReader(w.Bytes()), 0))
	require.True(t, input.Main.Absolute())
	require.EqualValues(t, mouseVersion, r.call(MouseData, 1))

	bad := append([]byte(nil), w.Bytes()...)
	binary.BigEndian.PutUint16(bad[4+4*mouseQueue:], mouseQueue+1)
	require.ErrorContains(t, r.mouse.State().Load(vmstate.NewReader(bad), 0), "vmmouse: a queue of 1024 words with 1025 in it")
	require.Zero(t, r.mouse.count)
}

// FuzzVMPort makes calls, moves the pointer and loads states. A step is a command, a register's four bytes and what else happens.
func FuzzVMPort(f *testing.F) {
	f.Add([]byte{41, 0x52, 0x45, 0x41, 0x45, 0, 41, 0x52, 0x41, 0x42, 0x53, 1, 39, 6, 0, 0, 0, 2})
	f.Fuzz(func(t *testing.T, ops []byte) {
		r := newRig(t)
		for ; len(ops) >= 6; ops = ops[6:] {
			v := binary.LittleEndian.Uint32(ops[1:])
			r.call(Command(ops[0]), v)
			switch ops[5] & 7 {
			case 1:
				input.Main.Send(nil, input.Event{Kind: input.Kind(v % 4), Axis: input.Axis(v >> 8 & 1), Button: input.Button(v >> 12 % 8), Down: v&16 != 0, Value: int(int32(v))})
			case 2:
				input.Main.Sync()
			case 3:
				var w vmstate.Writer
				r.mouse.State().Save(&w)
				b := w.Bytes()
				b[int(v)%len(b)] ^= ops[5]
				_ = r.mouse.State().Load(vmstate.NewReader(b), 0)
			case 4:
				r.mouse.Reset()
			case 5:
				r.port.By(&r.cpu, func() { r.ports.Store(uint64(Base-3+v%4), 1<<(v>>8%3), uint64(v)) })
			}
		}
	})
}
