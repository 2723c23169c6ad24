package gpu

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"goemu/hw/qdev"
	"goemu/hw/qdev/qtest"
	"goemu/hw/virtio"
	"goemu/hw/virtio/virtiotest"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/migration/vmstate"
	"goemu/ui"
)

// Addresses in the driver's memory.
const (
	devfn                               = 5 << 3
	controlAt, cursorAt                 = 0x10000, 0x14000
	requestAt, answerAt, dataAt, dataHi = 0x20000, 0x30000, 0x40000, 0x60000
	answerMax                           = edidSize
)

func newMachine(t testing.TB) *virtiotest.Machine {
	t.Helper()
	ui.FindROM = func() []byte { return nil }
	m := virtiotest.NewMachine(t, Classes())
	virtiotest.Locked(func() {
		if _, err := m.Add("virtio-gpu-pci", "addr", "5", "id", "g", "max_outputs", "2"); err != nil {
			t.Fatal(err)
		}
	})
	return m
}

// rig is a driver of the adapter. step lets the device work.
type rig struct {
	*virtiotest.Function
	t               testing.TB
	control, cursor *virtiotest.Driver
	step            func()
}

func newRig(t testing.TB, f *virtiotest.Function, step func()) *rig {
	r := &rig{Function: f, t: t, step: step}
	f.Negotiate(1<<virtio.FeatureVersion1 | 1<<featureEDID)
	r.control, r.cursor = virtiotest.NewDriver(f.Mem, controlAt, controlQueueSize, false), virtiotest.NewDriver(f.Mem, cursorAt, cursorQueueSize, false)
	f.SetupQueue(0, r.control, virtio.NoVector)
	f.SetupQueue(1, r.cursor, virtio.NoVector)
	f.SetCom(virtiotest.ComStatus, 1, virtiotest.StatusReady)
	return r
}

func ourStep() { mainloop.Main.RunPending() }

// send puts a request in a queue and returns the answer.
func (r *rig) send(queue int, request []byte, room uint32) []byte {
	r.t.Helper()
	d := r.control
	if queue == 1 {
		d = r.cursor
	}
	r.Mem.Write(requestAt, request)
	bufs := []virtiotest.Buf{{Addr: requestAt, Len: uint32(len(request))}}
	if room > 0 {
		bufs = append(bufs, virtiotest.Buf{Addr: answerAt, Len: room, Write: true})
	}
	d.Add(bufs...)
	r.Kick(queue)
	for end := time.Now().Add(20 * time.Second); ; r.step() {
		if _, n, ok := d.Next(); ok {
			b := make([]byte, n)
			r.Mem.Read(answerAt, b)
			return b
		}
		if time.Now().After(end) {
			r.t.Fatalf("no answer to % x", request)
		}
	}
}

// words makes a request: a header with a type, and le32 numbers after it.
func words(typ uint32, rest ...uint32) []byte {
	b := make([]byte, hdrSize)
	le.PutUint32(b, typ)
	for _, v := range rest {
		b = le.AppendUint32(b, v)
	}
	return b
}

// attach is a request for a backing of two pieces, of which the second comes first in memory.
func attach(id uint32) []byte {
	return words(cmdAttachBacking, id, 2, dataHi, 0, 4096, 0, dataAt, 0, 0x10000, 0)
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8*13)
	}
	return b
}

// conversation visits the commands and their mistakes.
func conversation() (list [][]byte) {
	add := func(typ uint32, rest ...uint32) { list = append(list, words(typ, rest...)) }
	add(cmdGetDisplayInfo)
	add(cmdGetEDID, 0, 0)
	add(cmdGetEDID, 1, 0)
	add(cmdGetEDID, 2, 0)
	add(0x0108, 0, 0) // capability sets are for three dimensions
	add(0x010c, 1, 1, 1, 0, 0, 0, 4096, 0)
	add(0x0200)
	add(0)
	for id, format := range []uint32{1, 2, 3, 4, 67, 68, 121, 134, 0, 5, 200} {
		add(cmdCreate2D, uint32(id)+1, format, 64, 64)
	}
	add(cmdCreate2D, 0, 1, 64, 64)
	add(cmdCreate2D, 1, 1, 64, 64)
	add(cmdCreate2D, 50, 1, 8192, 8192)
	add(cmdCreate2D, 51, 1, 8191, 8191)
	add(cmdSetScanout, 0, 0, 64, 64, 0, 1) // no backing
	list = append(list, attach(1), attach(1), attach(99), words(cmdAttachBacking, 2, 20000), words(cmdAttachBacking, 2, 3, 0, 0, 4096, 0))
	add(cmdAttachBacking, 2, 1, dataAt, 0, 0, 0)
	for _, r := range [][4]uint32{{0, 0, 64, 64}, {1, 2, 30, 20}, {0, 0, 65, 64}, {64, 64, 0, 0}, {1, 0, 64, 64}} {
		add(cmdTransferToHost, r[0], r[1], r[2], r[3], 0, 0, 1, 0)
		add(cmdTransferToHost, r[0], r[1], r[2], r[3], 256, 0, 1, 0)
		add(cmdFlush, r[0], r[1], r[2], r[3], 1, 0)
	}
	add(cmdTransferToHost, 0, 0, 64, 64, 0, 0, 2, 0)
	add(cmdTransferToHost, 0, 0, 64, 64, 0, 0, 99, 0)
	add(cmdFlush, 0, 0, 64, 64, 2, 0)
	add(cmdFlush, 0, 0, 64, 64, 99, 0)
	for _, r := range [][4]uint32{{0, 0, 64, 64}, {8, 8, 32, 16}, {0, 0, 15, 64}, {0, 0, 64, 15}, {32, 0, 64, 64}} {
		add(cmdSetScanout, r[0], r[1], r[2], r[3], 0, 1)
	}
	add(cmdSetScanout, 0, 0, 64, 64, 2, 1)
	add(cmdSetScanout, 0, 0, 64, 64, 1, 99)
	add(cmdSetScanout, 0, 0, 64, 64, 1, 1)
	add(cmdSetScanout, 0, 0, 0, 0, 1, 0)
	add(cmdDetachBacking, 2, 0)
	add(cmdDetachBacking, 1, 0)
	add(cmdDetachBacking, 1, 0)
	add(cmdUnref, 1, 0)
	add(cmdUnref, 1, 0)
	fenced := words(cmdUnref, 2, 0)
	le.PutUint32(fenced[hdrFlags:], 3)
	le.PutUint64(fenced[hdrFence:], 0x1122334455667788)
	le.PutUint32(fenced[hdrContext:], 9)
	return append(list, fenced)
}

// mirror is QEMU's memory.
type mirror struct{ q *qtest.QEMU }

// Read implements memory.Ops.
func (r *mirror) Read(off uint64, size int) uint64 { return r.q.Load(off, size) }

// Write implements memory.Ops.
func (r *mirror) Write(off uint64, size int, v uint64) { r.q.Store(off, size, v) }

// TestAgainstQEMU holds one conversation with both adapters.
func TestAgainstQEMU(t *testing.T) {
	talk := func(r *rig) (answers []string) {
		for _, c := range conversation() {
			answers = append(answers, fmt.Sprintf("% x: % x", c, r.send(0, c, answerMax)))
		}
		r.SetCom(virtiotest.ComStatus, 1, 0)
		return append(answers, fmt.Sprint(r.Mem.Load(r.Modern+virtiotest.DeviceCfg+configScanouts, 8)))
	}
	q := qtest.Start(t, "-M", "pc", "-m", "16", "-nodefaults", "-device", "virtio-gpu-pci,addr=5,max_outputs=2")
	var want []string
	virtiotest.DriveQEMU(t, q, devfn, func(f *virtiotest.Function, _ func(uint64, int, uint64)) {
		f.Mem.Root().Add(memory.NewIO("mirror", virtiotest.RAMSize, &mirror{q}), 0, 5)
		want = talk(newRig(t, f, func() { time.Sleep(time.Millisecond) }))
	})
	m := newMachine(t)
	defer m.Close()
	got := talk(newRig(t, m.Map(devfn), ourStep))
	for i, s := range want {
		assert.Equal(t, s, got[i])
	}
}

// TestConfigSpace: both functions look the same to PCI.
func TestConfigSpace(t *testing.T) {
	for _, d := range []string{"virtio-gpu-pci", "virtio-vga", "virtio-vga,page-per-vq=on"} {
		q := virtiotest.Theirs{QEMU: qtest.Start(t, "-M", "pc", "-m", "16", "-nodefaults", "-vga", "none", "-device", d+",addr=5,romfile=")}
		o := virtiotest.Ours{Machine: virtiotest.NewMachine(t, Classes())}
		o.Plug(d + ",addr=5,romfile=")
		for reg := uint32(0); reg < 0x100; reg += 4 {
			for _, v := range []uint32{0, ^uint32(0)} {
				if reg >= 0x10 && reg < 0x28 { // sizes of the BARs
					q.SetConfig(reg, 4, v)
					o.SetConfig(reg, 4, v)
				}
				assert.Equal(t, q.Config(reg, 4), o.Config(reg, 4), "%s: register %#x", d, reg)
			}
		}
		o.Close()
	}
}

// TestScreen shows a picture of each format.
func TestScreen(t *testing.T) {
	m := newMachine(t)
	defer m.Close()
	r := newRig(t, m.Map(devfn), ourStep)
	ok := func(b []byte) {
		t.Helper()
		require.EqualValues(t, respNoData, le.Uint32(r.send(0, b, hdrSize)))
	}
	con := ui.Main.Find(m.Tree.Find("g"), 0)
	pixels := pattern(4 * 64 * 64)
	r.Mem.Write(dataHi, pixels[:4096])
	r.Mem.Write(dataAt, pixels[4096:])
	id := uint32(0)
	for format, f := range formats {
		id++
		ok(words(cmdCreate2D, id, format, 64, 64))
		ok(attach(id))
		ok(words(cmdTransferToHost, 0, 0, 64, 64, 0, 0, id, 0))
		ok(words(cmdSetScanout, 16, 8, 40, 20, 0, id))
		ok(words(cmdFlush, 0, 0, 64, 64, id, 0))
		want := make([]uint32, 64*64)
		f.Line(want, pixels)
		require.Equal(t, 40, con.Surface().Width)
		for y := range con.Surface().Height {
			require.Equal(t, want[(y+8)*64+16:][:40], con.Surface().Row(y), "format %d, line %d", format, y)
		}
	}
	// what was read and not flushed is there when the screen is drawn anew
	r.Mem.Write(dataHi, make([]byte, 4096))
	ok(words(cmdTransferToHost, 0, 0, 64, 64, 0, 0, id, 0))
	con.Refresh()
	require.Equal(t, make([]uint32, 40), con.Surface().Row(0))
	// the pointer
	ok(words(cmdCreate2D, 90, 1, 64, 64))
	ok(attach(90))
	ok(words(cmdTransferToHost, 0, 0, 64, 64, 0, 0, 90, 0))
	r.send(1, words(cmdUpdateCursor, 0, 10, 20, 0, 90, 3, 4, 0), 0)
	c := con.Cursor()
	require.NotNil(t, c)
	require.Equal(t, [4]int{64, 64, 3, 4}, [4]int{c.Width, c.Height, c.HotX, c.HotY})
	require.Equal(t, le.Uint32(pixels[4096:]), c.Pix[1024])
	// a reset leaves nothing
	r.SetCom(virtiotest.ComStatus, 1, 0)
	require.True(t, con.Surface().Placeholder)
	virtiotest.Locked(func() { con.Prefer(800, 600) })
	r = newRig(t, r.Function, ourStep)
	info := r.send(0, words(cmdGetDisplayInfo), answerMax)
	require.EqualValues(t, []uint32{800, 600}, []uint32{le.Uint32(info[hdrSize+8:]), le.Uint32(info[hdrSize+12:])})
}

// TestLimits: pictures and their backings take no more memory than the user allows.
func TestLimits(t *testing.T) {
	m := newMachine(t)
	defer m.Close()
	r := newRig(t, m.Map(devfn), ourStep)
	model := m.Tree.Find("g").(interface{ VirtioDevice() *Model }).VirtioDevice()
	model.Props.MaxHostMem = 1 << 20
	n, code := uint32(0), uint32(respNoData)
	for code == respNoData {
		n++
		code = le.Uint32(r.send(0, words(cmdCreate2D, n, 1, 0, 0), hdrSize))
	}
	require.EqualValues(t, errOutOfMemory, code)
	require.EqualValues(t, 1<<20/resourceCost+1, n)
	require.EqualValues(t, errOutOfMemory, le.Uint32(r.send(0, words(cmdCreate2D, 1<<20, 1, 0xffffffff, 0xffffffff), hdrSize)))
}

func TestStream(t *testing.T) {
	c := virtiotest.StreamTest{DevFn: devfn, Section: "virtio-gpu", QEMU: []string{"-device", "virtio-gpu-pci,addr=5,max_outputs=2"}}
	var mine *virtiotest.Machine
	c.New = func() (*virtiotest.Machine, virtiotest.Stopper, vmstate.State) {
		memory := make([]byte, requestAt)
		if mine != nil { // the rings are where they were
			mine.Mem.Read(0, memory)
		}
		mine = newMachine(t)
		mine.Mem.Write(0, memory)
		t.Cleanup(mine.Close)
		d := mine.Tree.Find("g")
		return mine, d.(interface{ VirtioDevice() *Model }).VirtioDevice(), d.Dev().State()
	}
	c.Drive = func(f *virtiotest.Function, _ func(uint64, int, uint64)) {
		step := ourStep
		if q := f.Mirror; q != nil {
			f.Mem.Root().Add(memory.NewIO("mirror", virtiotest.RAMSize, &mirror{q}), 0, 5)
			step = func() { time.Sleep(time.Millisecond) }
		}
		r := newRig(t, f, step)
		r.Mem.Write(dataAt, pattern(4*64*64))
		for id := uint32(1); id < 4; id++ {
			r.send(0, words(cmdCreate2D, id, id, 64, 64), hdrSize)
			r.send(0, attach(id), hdrSize)
			r.send(0, words(cmdTransferToHost, 0, 0, 64, 64, 0, 0, id, 0), hdrSize)
		}
		r.send(0, words(cmdSetScanout, 0, 0, 64, 64, 1, 2), hdrSize)
		r.send(1, words(cmdUpdateCursor, 1, 10, 20, 0, 3, 3, 4, 0), 0)
	}
	c.Run(t)
}

func TestHelp(t *testing.T) { qtest.CompareHelp(t, Classes()) }

// FuzzCommands gives the adapter requests of a hostile driver: each byte of how chooses a command, data fills the rest.
func FuzzCommands(f *testing.F) {
	f.Add([]byte{1, 6, 5, 3, 4, 2}, pattern(64))
	f.Fuzz(func(t *testing.T, how, data []byte) {
		m := newMachine(t)
		defer m.Mem.View().Find(0).RAM.Free()
		defer m.Close()
		r := newRig(t, m.Map(devfn), ourStep)
		model := m.Tree.Find("g").(interface{ VirtioDevice() *Model }).VirtioDevice()
		model.Props.MaxHostMem = 4 << 20
		list := conversation()
		for i, k := range how[:min(len(how), 32)] {
			c := append([]byte(nil), list[int(k)%len(list)]...)
			for j := range data[:min(len(data), len(c)-8)] {
				if data[j]&1 != 0 {
					c[8+(j+i)%(len(c)-8)] = data[j] >> 1
				}
			}
			r.send(int(k>>7), c, uint32(k&63)+1)
			ui.Main.Find(m.Tree.Find("g"), 0).Refresh()
		}
	})
}

var _ qdev.Composite = (*VGA)(nil)
