package interp

import (
	"encoding/binary"
	"testing"
	"unsafe"

	"goemu/target/x86"
	"goemu/tcg"
	"goemu/tcg/ir"
)

// globals of the tests.
var globals = []ir.GlobalInfo{
	{Name: "rax", Offset: uint32(unsafe.Offsetof(x86.Env{}.Regs))},
	{Name: "rcx", Offset: uint32(unsafe.Offsetof(x86.Env{}.Regs)) + 8},
	{Name: "rdx", Offset: uint32(unsafe.Offsetof(x86.Env{}.Regs)) + 16},
}

const ramBase, ramSize = 0x10000, 2 << ir.PageBits

// machine is a tcg.CPU with two pages of RAM, the first of which is in the soft TLB, and a device page behind them.
type machine struct {
	t      *testing.T
	env    *x86.Env
	ram    []byte
	tlb    []ir.TLBEntry
	jumps  []ir.JumpEntry
	eng    *Engine
	device uint64 // what was stored last
	slow   int    // callbacks for memory
	helper func(id uint32, a, b, c uint64) (uint64, tcg.Action)
}

func newMachine(t *testing.T) *machine {
	m := &machine{t: t, env: new(x86.Env), ram: make([]byte, ramSize), tlb: make([]ir.TLBEntry, 16), jumps: make([]ir.JumpEntry, 1<<ir.JumpBits)}
	for i := range m.tlb {
		m.tlb[i] = ir.TLBEntry{Read: ir.TLBInvalid, Write: ir.TLBInvalid, Code: ir.TLBInvalid}
	}
	for i := range m.jumps {
		m.jumps[i].PC = ^uint64(0)
	}
	host := uint64(uintptr(unsafe.Pointer(&m.ram[0])))
	m.tlb[ramBase>>ir.PageBits&15] = ir.TLBEntry{Read: ramBase, Write: ramBase, Addend: host - ramBase}
	for i := range m.env.TLB {
		m.env.TLB[i] = ir.TLBTable{Base: uint64(uintptr(unsafe.Pointer(&m.tlb[0]))), Mask: 15 << 5}
	}
	m.env.Jumps = uint64(uintptr(unsafe.Pointer(&m.jumps[0])))
	m.eng = New(globals)
	return m
}

func (m *machine) Header() *ir.Header { return &m.env.Header }

func (m *machine) Helper(id uint32, a, b, c uint64) (uint64, tcg.Action) {
	return m.helper(id, a, b, c)
}

func (m *machine) LoadVec(addr uint64, _ ir.MemOp, buf []byte) tcg.Action {
	m.slow++
	if addr < ramBase || addr+uint64(len(buf)) > ramBase+ramSize {
		return tcg.Fault
	}
	copy(buf, m.ram[addr-ramBase:])
	return tcg.Continue
}

func (m *machine) StoreVec(addr uint64, _ ir.MemOp, buf []byte) tcg.Action {
	m.slow++
	if addr < ramBase || addr+uint64(len(buf)) > ramBase+ramSize {
		return tcg.Fault
	}
	copy(m.ram[addr-ramBase:], buf)
	return tcg.Continue
}

func (m *machine) Load(addr uint64, op ir.MemOp) (uint64, tcg.Action) {
	if addr == ramBase+ramSize {
		return m.device, tcg.Continue
	}
	if op.Align != 0 && addr&uint64(op.Align-1) != 0 {
		return 0, tcg.Fault
	}
	var b [8]byte
	act := m.LoadVec(addr, op, b[:op.Size])
	return binary.LittleEndian.Uint64(b[:]), act
}

func (m *machine) Store(addr uint64, op ir.MemOp, v uint64) tcg.Action {
	if addr == ramBase+ramSize {
		m.device = v
		return tcg.Stop
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	return m.StoreVec(addr, op, b[:op.Size])
}

func (m *machine) Probe(addr uint64, op ir.MemOp, _ bool) (uintptr, tcg.Action) {
	m.slow++
	if addr < ramBase || addr+uint64(op.Size) > ramBase+ramSize {
		return 0, tcg.Fault
	}
	if (addr^(addr+uint64(op.Size)-1))>>ir.PageBits != 0 {
		return 0, tcg.Continue
	}
	return uintptr(unsafe.Pointer(&m.ram[addr-ramBase])), tcg.Continue
}

func (m *machine) Atomic(addr uint64, op ir.MemOp, k ir.AtomicKind, v uint64) (uint64, tcg.Action) {
	old, act := m.Load(addr, op)
	if act == tcg.Continue {
		act = m.Store(addr, op, applyAtomic(k, old, v))
	}
	return old, act
}

func (m *machine) CmpXchg(addr uint64, op ir.MemOp, want, repl uint64) (uint64, tcg.Action) {
	old, act := m.Load(addr, op)
	if act == tcg.Continue && old == want {
		act = m.Store(addr, op, repl)
	}
	return old, act
}

// compile makes the block of a text.
func (m *machine) compile(text string, id uint64) tcg.Code {
	m.t.Helper()
	b, err := ir.Parse(text, globals)
	if err != nil {
		m.t.Fatalf("%v in:\n%s", err, text)
	}
	if err := ir.Verify(b, len(globals)); err != nil {
		m.t.Fatalf("%v in:\n%s", err, text)
	}
	c, err := m.eng.Compile(b, id)
	if err != nil {
		m.t.Fatal(err)
	}
	return c
}

// run compiles and runs one block.
func (m *machine) run(text string) tcg.Leave {
	m.t.Helper()
	return m.eng.Run(m, m.compile(text, 1))
}

// guestFlags is the image of the guest's flags.
func (m *machine) guestFlags() uint64 { return ir.Image(m.env.CCOp, m.env.CCDst, m.env.CCSrc) }
