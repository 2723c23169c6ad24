package gdbstub

import (
	"encoding/hex"
	"encoding/xml"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/accel"
	"goemu/internal/chardev"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/target/x86"
)

// fakeCPU is a CPU whose state only gdb changes.
type fakeCPU struct {
	accel.CPU
	index int
	state x86.State
}

func (c *fakeCPU) Index() int            { return c.index }
func (c *fakeCPU) State() *x86.State     { s := c.state; return &s }
func (c *fakeCPU) SetState(s *x86.State) { c.state = *s }
func (c *fakeCPU) Halted() bool          { return false }
func (c *fakeCPU) Raise(accel.IRQ)       {}
func (c *fakeCPU) Lower(accel.IRQ)       {}

// fakeDebugger notes what it was asked for.
type fakeDebugger struct {
	breaks []uint64
	watch  []accel.Watchpoint
	step   map[int]bool
}

func (d *fakeDebugger) SetBreakpoints(a []uint64)           { d.breaks = a }
func (d *fakeDebugger) SetWatchpoints(w []accel.Watchpoint) { d.watch = w }
func (d *fakeDebugger) SetStep(cpu int, on bool)            { d.step[cpu] = on }
func (d *fakeDebugger) OnStop(func(accel.DebugStop))        {}

const testRAM = 1 << 20

// rig is a server for two CPUs without anybody at the other end.
type rig struct {
	*Server
	dbg  *fakeDebugger
	cpus [2]fakeCPU
}

func newRig(t testing.TB) *rig {
	ram, err := memory.NewRAM("ram", testRAM)
	require.NoError(t, err)
	root := memory.NewContainer("system", memory.Whole)
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	root.Add(ram, 0, 0)
	as := memory.NewAddressSpace("memory", root)
	set := chardev.NewSet(mainloop.Main, chardev.Hooks{})
	spec, err := chardev.Parse("null,id=g")
	require.NoError(t, err)
	b, err := set.Open(spec)
	require.NoError(t, err)
	r := &rig{dbg: &fakeDebugger{step: map[int]bool{}}}
	r.cpus[1].index = 1
	vm := mainloop.NewVM(mainloop.NewLoop())
	r.Server, err = Serve(b, Target{VM: vm, CPUs: []CPU{&r.cpus[0], &r.cpus[1]}, AVX: true, Debugger: r.dbg, Kill: func() {},
		Space:    func(*x86.State) *memory.AddressSpace { return as },
		Continue: func() error { vm.Start(); return nil }, Monitor: func(l string) string { return strings.ToUpper(l) }})
	require.NoError(t, err)
	t.Cleanup(func() {
		mainloop.Lock.Lock()
		defer mainloop.Lock.Unlock()
		r.Close()
		set.Close()
		as.Close()
		_ = ram.RAM().Free()
	})
	return r
}

// ask executes a packet.
func (r *rig) ask(p string) string {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	a, _ := r.execute(p)
	return a
}

func TestRegisters(t *testing.T) {
	r := newRig(t)
	st := &r.cpus[0].state
	st.Mode, st.RFLAGS = x86.ModeCS64, 2
	st.Regs[x86.RBX], st.RIP = 0x1122334455667788, 0xffffffff81000000
	require.Equal(t, "8877665544332211", r.ask("p1"))
	require.Equal(t, "OK", r.ask("P2=0807060504030201"))
	require.Equal(t, uint64(0x0102030405060708), st.Regs[x86.RCX])
	require.Equal(t, "000000"+"81ffffffff", r.ask("p10"))
	st.Mode = 0 // outside 64-bit code
	require.Equal(t, "8877665500000000", r.ask("p1"))
	require.Equal(t, "OK", r.ask("P1=ffffffffffffffff"))
	require.Equal(t, uint64(0x11223344ffffffff), st.Regs[x86.RBX])
	all := r.ask("g")
	require.Equal(t, "OK", r.ask("G"+all))
	require.Equal(t, all, r.ask("g"))
	require.Equal(t, "E14", r.ask("pfff"))
	st.FSW, st.FTags = 5<<11, 1<<5 // one register in use, the top one
	st.FP[5] = x86.FPReg{Mantissa: 1 << 63, Exponent: 0x3fff}
	require.Equal(t, "0000000000000080ff3f", r.ask("p18"))
	n := 0
	for _, f := range r.features {
		for _, g := range f.regs {
			if g.name == "ftag" {
				require.Equal(t, "fff30000", hex.EncodeToString(r.regs[n].read(r.state())))
			}
			n++
		}
	}
}

func TestTargetXML(t *testing.T) {
	r := newRig(t)
	var doc struct {
		Features []struct {
			Name string `xml:"name,attr"`
			Regs []struct {
				Name string `xml:"name,attr"`
				Bits int    `xml:"bitsize,attr"`
				Num  int    `xml:"regnum,attr"`
			} `xml:"reg"`
		} `xml:"feature"`
	}
	text, off := "", 0
	for more := true; more; {
		part := r.ask("qXfer:features:read:target.xml:" + strings.ToLower(hexNumber(off)) + ",1ff")
		require.NotEmpty(t, part)
		more = part[0] == 'm'
		text, off = text+part[1:], off+len(part)-1
	}
	require.NoError(t, xml.Unmarshal([]byte(text), &doc))
	n := 0
	for _, f := range doc.Features {
		for _, g := range f.Regs {
			require.Equal(t, n, g.Num)
			require.Equal(t, r.regs[n].size*8, g.Bits, g.Name)
			n++
		}
	}
	require.Len(t, r.regs, n)
	require.Equal(t, "E00", r.ask("qXfer:features:read:nosuch.xml:0,10"))
}

func hexNumber(n int) string {
	s := strings.TrimLeft(hex.EncodeToString([]byte{byte(n >> 16), byte(n >> 8), byte(n)}), "0")
	if s == "" {
		return "0"
	}
	return s
}

func TestMemoryAndBreaks(t *testing.T) {
	r := newRig(t)
	require.Equal(t, "OK", r.ask("M1000,3:aabbcc"))
	require.Equal(t, "OK", r.ask("X1003,2:\x01$"))
	require.Equal(t, "aabbcc0124", r.ask("m1000,5"))
	require.Equal(t, "E14", r.ask("m200000,1"))
	require.Equal(t, "E22", r.ask("m0,ffffff"))
	require.Equal(t, "OK", r.ask("Z0,1234,1"))
	require.Equal(t, "OK", r.ask("Z1,1234,1"))
	require.Equal(t, []uint64{0x1234}, r.dbg.breaks)
	require.Equal(t, "OK", r.ask("z0,1234,1"))
	require.Equal(t, []uint64{0x1234}, r.dbg.breaks)
	require.Equal(t, "OK", r.ask("z1,1234,1"))
	require.Empty(t, r.dbg.breaks)
	require.Equal(t, "E22", r.ask("z1,1234,1"))
	require.Equal(t, "OK", r.ask("Z2,500,8"))
	require.Equal(t, "OK", r.ask("Z4,600,4"))
	require.Equal(t, []accel.Watchpoint{{Addr: 0x500, Len: 8, Write: true}, {Addr: 0x600, Len: 4, Read: true, Write: true}}, r.dbg.watch)
	require.Equal(t, "E22", r.ask("Z2,500,0"))
	require.Equal(t, "E22", r.ask("Z2,ffffffffffffffff,2"))
	require.Equal(t, "T05thread:01;", r.ask("?"))
	require.Empty(t, r.dbg.watch)
}

func TestThreads(t *testing.T) {
	r := newRig(t)
	require.Contains(t, r.ask("qSupported:multiprocess+;xmlRegisters=i386"), "vContSupported+")
	require.Equal(t, "mp01.01", r.ask("qfThreadInfo"))
	require.Equal(t, "mp01.02", r.ask("qsThreadInfo"))
	require.Equal(t, "l", r.ask("qsThreadInfo"))
	require.Equal(t, "OK", r.ask("Hgp1.2"))
	require.Equal(t, "QCp01.02", r.ask("qC"))
	require.Equal(t, "E22", r.ask("Hgp1.3"))
	require.Equal(t, "E22", r.ask("Tp2.1"))
	require.Equal(t, "OK", r.ask("Tp1.2"))
	actions, ok := r.parseActions("s:p1.2;c")
	require.True(t, ok)
	require.Equal(t, map[int]byte{0: 'c', 1: 's'}, actions)
	_, ok = r.parseActions("t")
	require.False(t, ok)
	require.Equal(t, "E22", r.ask("vCont;x"))
	require.Empty(t, r.ask("vCont;s:p1.1"))
	require.True(t, r.dbg.step[0])
}

func TestPackets(t *testing.T) {
	var d decoder
	take := func(s string) (out []event) {
		for _, c := range []byte(s) {
			if e := d.feed(c); e != evNone {
				out = append(out, e)
			}
		}
		return out
	}
	require.Equal(t, []event{evAck, evPacket}, take("+"+string(encode("m0,4"))))
	require.Equal(t, "m0,4", string(d.buf))
	require.Equal(t, []event{evPacket}, take(string(encode("a}b#c$d*"))))
	require.Equal(t, "a}b#c$d*", string(d.buf))
	require.Equal(t, []event{evBadPacket, evNak, evBreak}, take("$x#00-\x03"))
	require.Equal(t, []event{evBadPacket}, take(string(encode(strings.Repeat("x", packetLimit+1)))))
	require.Equal(t, []event{evPacket}, take("$cut off"+string(encode("g"))))
}

func FuzzPackets(f *testing.F) {
	for _, s := range []string{"?", "g", "p10", "m0,10", "M0,1:00", "Z0,0,1", "z2,0,1", "vCont;s:p1.1;c", "qSupported:multiprocess+", "Hgp1.2",
		"qXfer:features:read:target.xml:0,ffb", "qRcmd,68", "Qqemu.PhyMemMode:1", "P0=0000000000000000", "c1000", "S05;10", "X0,1:}\x03"} {
		f.Add([]byte(s))
	}
	r := newRig(f)
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, c := range encode(string(p)) {
			r.byte(c)
		}
		for _, c := range p {
			r.byte(c)
		}
	})
}
