// Package tcgtest is a small tcg.CPU for tests of engines and passes.
package tcgtest

import (
	"encoding/binary"
	"unsafe"

	"goemu/target/x86"
	"goemu/tcg"
	"goemu/tcg/ir"
)

// Globals are the 16 registers.
var Globals = makeGlobals()

func makeGlobals() []ir.GlobalInfo {
	names := [16]string{"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"}
	g := make([]ir.GlobalInfo, len(names))
	for i := range g {
		g[i] = ir.GlobalInfo{Name: names[i], Offset: uint32(unsafe.Offsetof(x86.Env{}.Regs)) + uint32(i)*8, Hot: 16 - i}
	}
	return g
}

// Guest memory: two pages of RAM and a device register behind them.
const (
	RAMBase = 0x10000
	RAMSize = 2 << ir.PageBits
	Device  = RAMBase + RAMSize
)

const tlbEntries = 16

// Machine is a CPU. Of its RAM only the first page is in the soft TLB.
type Machine struct {
	Env   *x86.Env
	RAM   []byte
	TLB   []ir.TLBEntry
	Jumps []ir.JumpEntry

	DeviceReg uint64 // what was stored to Device last; a store there stops the CPU
	Slow      int    // callbacks for RAM so far
	// OnHelper is called for helpers.
	OnHelper func(id uint32, a, b, c uint64) (uint64, tcg.Action)
}

// New returns a machine with zeroed state.
func New() *Machine {
	m := &Machine{Env: new(x86.Env), RAM: make([]byte, RAMSize), TLB: make([]ir.TLBEntry, tlbEntries), Jumps: make([]ir.JumpEntry, 1<<ir.JumpBits)}
	for i := range m.TLB {
		m.TLB[i] = ir.TLBEntry{Read: ir.TLBInvalid, Write: ir.TLBInvalid, Code: ir.TLBInvalid}
	}
	for i := range m.Jumps {
		m.Jumps[i].PC = ^uint64(0)
	}
	m.TLB[RAMBase>>ir.PageBits&(tlbEntries-1)] = ir.TLBEntry{Read: RAMBase, Write: RAMBase, Addend: hostAddress(m.RAM) - RAMBase}
	for i := range m.Env.TLB {
		m.Env.TLB[i] = ir.TLBTable{Base: uint64(uintptr(unsafe.Pointer(&m.TLB[0]))), Mask: (tlbEntries - 1) << 5}
	}
	m.Env.Jumps = uint64(uintptr(unsafe.Pointer(&m.Jumps[0])))
	return m
}

func hostAddress(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(&b[0]))) }

// ShareMemory makes m see the memory of o.
func (m *Machine) ShareMemory(o *Machine) {
	m.Env.TLB, m.RAM, m.TLB = o.Env.TLB, o.RAM, o.TLB
	clear(m.Env.Sites[:])
}

// Header implements tcg.CPU.
func (m *Machine) Header() *ir.Header { return &m.Env.Header }

// Flags is the image of the guest's flags.
func (m *Machine) Flags() uint64 { return ir.Image(m.Env.CCOp, m.Env.CCDst, m.Env.CCSrc) }

// SetFlags sets the guest's flags from an image.
func (m *Machine) SetFlags(image uint64) {
	m.Env.CCOp, m.Env.CCDst, m.Env.CCSrc = ir.PackCC(ir.CCImage, 1), 0, image
}

// Helper implements tcg.CPU.
func (m *Machine) Helper(id uint32, a, b, c uint64) (uint64, tcg.Action) {
	return m.OnHelper(id, a, b, c)
}

// ram is the RAM at addr, or nil if the access faults.
func (m *Machine) ram(addr uint64, op ir.MemOp, n int) []byte {
	m.Slow++
	if addr < RAMBase || addr > RAMBase+RAMSize-uint64(n) || op.Align != 0 && addr&uint64(op.Align-1) != 0 {
		return nil
	}
	return m.RAM[addr-RAMBase:][:n]
}

// LoadVec implements tcg.CPU.
func (m *Machine) LoadVec(addr uint64, op ir.MemOp, buf []byte) tcg.Action {
	r := m.ram(addr, op, len(buf))
	if r == nil {
		return tcg.Fault
	}
	copy(buf, r)
	return tcg.Continue
}

// StoreVec implements tcg.CPU.
func (m *Machine) StoreVec(addr uint64, op ir.MemOp, buf []byte) tcg.Action {
	r := m.ram(addr, op, len(buf))
	if r == nil {
		return tcg.Fault
	}
	copy(r, buf)
	return tcg.Continue
}

// Load implements tcg.CPU.
func (m *Machine) Load(addr uint64, op ir.MemOp) (uint64, tcg.Action) {
	if addr == Device {
		return m.DeviceReg, tcg.Continue
	}
	var b [8]byte
	act := m.LoadVec(addr, op, b[:op.Size])
	v := binary.LittleEndian.Uint64(b[:])
	if op.Signed {
		v = ir.SignExtend(op.Size, v)
	}
	return v, act
}

// Store implements tcg.CPU.
func (m *Machine) Store(addr uint64, op ir.MemOp, v uint64) tcg.Action {
	if addr == Device {
		m.DeviceReg = v
		return tcg.Stop
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	return m.StoreVec(addr, op, b[:op.Size])
}

// Probe implements tcg.CPU.
func (m *Machine) Probe(addr uint64, op ir.MemOp, _ bool) (uintptr, tcg.Action) {
	if addr == Device {
		return 0, tcg.Continue
	}
	r := m.ram(addr, op, int(op.Size))
	switch {
	case r == nil:
		return 0, tcg.Fault
	case (addr^(addr+uint64(op.Size)-1))>>ir.PageBits != 0:
		return 0, tcg.Continue
	}
	return uintptr(hostAddress(r)), tcg.Continue
}

// Atomic implements tcg.CPU.
func (m *Machine) Atomic(addr uint64, op ir.MemOp, k ir.AtomicKind, v uint64) (uint64, tcg.Action) {
	old, act := m.Load(addr, op)
	if act == tcg.Continue {
		act = m.Store(addr, op, Apply(k, old, v))
	}
	return old, act
}

// Apply is the result of an atomic operation.
func Apply(k ir.AtomicKind, old, v uint64) uint64 {
	return [...]uint64{ir.AtomicXchg: v, ir.AtomicAdd: old + v, ir.AtomicAnd: old & v, ir.AtomicOr: old | v, ir.AtomicXor: old ^ v}[k]
}

// CmpXchg implements tcg.CPU.
func (m *Machine) CmpXchg(addr uint64, op ir.MemOp, want, repl uint64) (uint64, tcg.Action) {
	old, act := m.Load(addr, op)
	if act == tcg.Continue && old == want {
		act = m.Store(addr, op, repl)
	}
	return old, act
}
