package tcg

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"goemu/accel"
	"goemu/target/x86"
	front "goemu/tcg/frontend/x86"
	"goemu/tcg/interp"
)

// Places in the memory of the tests.
const (
	testBlock  = 0x40000
	testHSave  = 0x41000
	testTables = 0x50000
)

// svmHost makes a CPU that may execute VMRUN of a control block at testBlock, and writes memory there.
func svmHost(t testing.TB, block, tables []byte) *CPU {
	t.Helper()
	m, a := newTestMachine(t, "max", []byte{0xf4}, 1, interp.New(front.Globals))
	c := a.CPUs()[0]
	c.env.CR[0] |= x86.CR0PE
	c.env.EFER |= x86.EFERSVME
	c.env.UpdateHFlags()
	c.svm.HSave = testHSave
	c.env.Regs[x86.RAX] = testBlock
	for at, b := range map[uint64][]byte{testBlock: block, testTables: tables} {
		for i := range b {
			_ = m.AS.BusStore(at+uint64(i), 1, uint64(b[i]))
		}
	}
	return c
}

// TestDamagedControlBlocks starts nested guests from damaged control blocks, looks up addresses through damaged nested tables, and ends the
// guests. (Fuzzing's counters do not fit into the stack of what runs in system-call state, so the damage is random.)
func TestDamagedControlBlocks(t *testing.T) {
	good := make([]byte, 0x680)
	good[x86.VMCBIntercept+4] = 3
	good[x86.VMCBASID] = 1
	good[x86.VMCBNestedCtl] = 1
	le.PutUint64(good[x86.VMCBNestedCR3:], testTables)
	le.PutUint64(good[x86.VMCBEFER:], x86.EFERSVME)
	r := rand.New(rand.NewPCG(1, 2))
	entered := 0
	for range 150 {
		block, tables := bytes.Clone(good), make([]byte, 64)
		for range r.IntN(6) {
			block[r.IntN(len(block))] = uint8(r.Uint32())
		}
		for i := range tables {
			tables[i] = uint8(r.Uint32())
		}
		tables[0] |= 7
		c := svmHost(t, block, tables)
		before := *c.env
		if !c.catch(func() { c.vmrun(0x7c02, 8) }) {
			t.Fatal("VMRUN faults")
		}
		entered += b2i(c.env.HFlags&x86.HFGuest != 0)
		for acc := range accExec + 1 {
			for _, mmu := range []uint8{x86.MMUUser, x86.MMUKernelSMAP} {
				_, _ = c.translate(r.Uint64()>>r.IntN(64), acc, mmu)
			}
		}
		c.deliver(event{kind: evFault, vector: x86.ExcUD})
		if c.env.HFlags&x86.HFGuest != 0 {
			c.leaveGuest(vmexit{code: x86.SVMExitINTR})
		}
		if e := c.env; e.EFER != before.EFER || e.CR[3] != before.CR[3] || e.HFlags&x86.HFGuest != 0 {
			t.Fatal("the host has another state")
		}
	}
	if entered < 40 {
		t.Errorf("only %d guests began", entered)
	}
}

// TestInterruptFlags goes through what lets interrupts reach a CPU with and without a nested guest.
func TestInterruptFlags(t *testing.T) {
	const all = accel.IRQHard | accel.IRQNMI | irqVirtual
	for _, r := range []struct {
		name    string
		mode2   uint32
		enabled bool
		want    accel.IRQ
	}{
		{"host", x86.Mode2GIF | x86.Mode2VGIF, true, all},
		{"host, IF clear", x86.Mode2GIF | x86.Mode2VGIF, false, accel.IRQNMI},
		{"GIF clear", 0, true, 0},
		{"guest shares IF", x86.Mode2GIF, true, accel.IRQHard | accel.IRQNMI},
		{"guest with an IF of its own", x86.Mode2GIF | x86.Mode2VGIF | x86.Mode2VIntr, true, accel.IRQNMI | irqVirtual},
		{"the same, host's IF set, guest's clear", x86.Mode2GIF | x86.Mode2VGIF | x86.Mode2VIntr | x86.Mode2HIF, false, accel.IRQHard | accel.IRQNMI},
	} {
		c := svmHost(t, nil, nil)
		c.svm.mode2 = r.mode2
		if c.env.EFlags &^= x86.FlagIF; r.enabled {
			c.env.EFlags |= x86.FlagIF
		}
		if got := c.open(all); got != r.want {
			t.Errorf("%s: lines %#x, want %#x", r.name, got, r.want)
		}
	}
}

// TestFlagWithoutMode: a CPU without EFER.SVME takes interrupts, whatever it comes from.
func TestFlagWithoutMode(t *testing.T) {
	c := svmHost(t, nil, nil)
	c.setGIF(x86.SVMExitCLGI, false)
	if c.open(accel.IRQNMI) != 0 {
		t.Error("CLGI does not hold interrupts")
	}
	c.writeMSR(msrEFER, 0)
	if c.open(accel.IRQNMI) == 0 {
		t.Error("interrupts are held without EFER.SVME")
	}
	s := c.State()
	s.Mode2 = 0
	c.SetState(s)
	if c.open(accel.IRQNMI) == 0 {
		t.Error("interrupts are held after a load")
	}
}

// TestNestedState: a CPU in a nested guest is saved and goes on in another one.
func TestNestedState(t *testing.T) {
	block := make([]byte, 0x680)
	block[x86.VMCBIntercept+4] = 3
	block[x86.VMCBASID] = 1
	block[x86.VMCBTSCOffset] = 99
	le.PutUint64(block[x86.VMCBEFER:], x86.EFERSVME)
	le.PutUint32(block[x86.VMCBIntCtl:], x86.VIntMasking|x86.VIntIRQ|x86.VIntIgnoreTPR)
	a, b := svmHost(t, block, nil), svmHost(t, block, nil)
	a.vmrun(0x7c02, 8)
	s := a.State()
	b.SetState(s)
	if got := b.State(); *got != *s {
		t.Fatalf("got\n%+v\nwant\n%+v", got, s)
	}
	if b.svm.tscOffset != 99 || b.env.TSCOffset != a.env.TSCOffset || accel.IRQ(b.lines.Load())&irqVirtual == 0 {
		t.Errorf("counter's offset %d, %d, want 99, %d; lines %#x", b.svm.tscOffset, b.env.TSCOffset, a.env.TSCOffset, b.lines.Load())
	}
}
