//go:build amd64

package native

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"goemu/target/x86"
	"goemu/tcg"
	frontend "goemu/tcg/frontend/x86"
	"goemu/tcg/ir"
)

const tlbEntries = 256

// Machine is a CPU that executes single instructions through an engine. Its memory is Window, at guest address base and, if the
// engine is to use it directly, in the soft TLB.
type Machine struct {
	Env    *x86.Env
	Window []byte
	Front  *frontend.Translator
	Engine tcg.Engine
	// Exit is how the instruction was left.
	Exit ir.Exit
	// Passes are run over each block.
	Passes func(*ir.Block)
	// NoTLB makes every access take the slow path.
	NoTLB bool
	// Limit is the number of instructions of a block; 0 means 1.
	Limit int
	// Block is the last block.
	Block *ir.Block
	// Helper is called for helpers; without it they fault.
	OnHelper func(id uint32, a, b, c uint64) (uint64, tcg.Action)

	base uint64
	mem  []byte
	id   uint64
}

// NewMachine returns a machine whose memory is window at guest address base.
func NewMachine(engine tcg.Engine, window []byte, base uint64) (*Machine, error) {
	envSize := (int(unsafe.Sizeof(x86.Env{})) + 0x2fff) &^ 0xfff
	mem, err := syscall.Mmap(-1, 0, envSize+tlbEntries*32+int(unsafe.Sizeof(ir.JumpEntry{}))<<ir.JumpBits,
		syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		return nil, err
	}
	m := &Machine{Window: window, Engine: engine, base: base, mem: mem}
	m.Env = (*x86.Env)(unsafe.Pointer(&mem[0]))
	tlb := unsafe.Slice((*ir.TLBEntry)(unsafe.Pointer(&mem[envSize])), tlbEntries)
	for i := range tlb {
		tlb[i] = ir.TLBEntry{Read: ir.TLBInvalid, Write: ir.TLBInvalid, Code: ir.TLBInvalid}
	}
	for off := uint64(0); off < uint64(len(window)); off += 1 << ir.PageBits {
		a := base + off
		tlb[a>>ir.PageBits&(tlbEntries-1)] = ir.TLBEntry{Read: a, Write: a, Code: ir.TLBInvalid, Addend: uint64(uintptr(unsafe.Pointer(&window[0]))) - base}
	}
	for i := range m.Env.TLB {
		m.Env.TLB[i] = ir.TLBTable{Base: uint64(uintptr(unsafe.Pointer(&tlb[0]))), Mask: (tlbEntries - 1) << 5}
	}
	jumps := unsafe.Slice((*ir.JumpEntry)(unsafe.Pointer(&mem[envSize+tlbEntries*32])), 1<<ir.JumpBits)
	for i := range jumps {
		jumps[i].PC = ^uint64(0)
	}
	m.Env.Jumps = uint64(uintptr(unsafe.Pointer(&jumps[0])))
	m.Front = frontend.New(frontend.Config{Features: frontend.AllFeatures()})
	return m, nil
}

// Close frees the machine's memory.
func (m *Machine) Close() error { return syscall.Munmap(m.mem) }

// Header implements tcg.CPU.
func (m *Machine) Header() *ir.Header { return &m.Env.Header }

// Helper implements tcg.CPU.
func (m *Machine) Helper(id uint32, a, b, c uint64) (uint64, tcg.Action) {
	if m.OnHelper == nil {
		return 0, tcg.Fault
	}
	return m.OnHelper(id, a, b, c)
}

// at is the memory at an address, or nil.
func (m *Machine) at(addr uint64, n int, align uint8) []byte {
	off := addr - m.base
	if off >= uint64(len(m.Window)) || uint64(len(m.Window))-off < uint64(n) || align != 0 && addr%uint64(align) != 0 {
		return nil
	}
	return m.Window[off : off+uint64(n)]
}

// LoadVec implements tcg.CPU.
func (m *Machine) LoadVec(addr uint64, op ir.MemOp, buf []byte) tcg.Action {
	p := m.at(addr, len(buf), op.Align)
	if p == nil {
		return tcg.Fault
	}
	copy(buf, p)
	return tcg.Continue
}

// StoreVec implements tcg.CPU.
func (m *Machine) StoreVec(addr uint64, op ir.MemOp, buf []byte) tcg.Action {
	p := m.at(addr, len(buf), op.Align)
	if p == nil {
		return tcg.Fault
	}
	copy(p, buf)
	return tcg.Continue
}

// Load implements tcg.CPU.
func (m *Machine) Load(addr uint64, op ir.MemOp) (uint64, tcg.Action) {
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
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	return m.StoreVec(addr, op, b[:op.Size])
}

// Probe implements tcg.CPU.
func (m *Machine) Probe(addr uint64, op ir.MemOp, _ bool) (uintptr, tcg.Action) {
	p := m.at(addr, int(op.Size), op.Align)
	if p == nil {
		return 0, tcg.Fault
	}
	if (addr^(addr+uint64(op.Size)-1))>>ir.PageBits != 0 {
		return 0, tcg.Continue
	}
	return uintptr(unsafe.Pointer(&p[0])), tcg.Continue
}

// Atomic implements tcg.CPU.
func (m *Machine) Atomic(addr uint64, op ir.MemOp, k ir.AtomicKind, v uint64) (uint64, tcg.Action) {
	old, act := m.Load(addr, op)
	if act != tcg.Continue {
		return 0, act
	}
	switch k {
	case ir.AtomicAdd:
		v += old
	case ir.AtomicAnd:
		v &= old
	case ir.AtomicOr:
		v |= old
	case ir.AtomicXor:
		v ^= old
	}
	return old, m.Store(addr, op, v)
}

// CmpXchg implements tcg.CPU.
func (m *Machine) CmpXchg(addr uint64, op ir.MemOp, want, repl uint64) (uint64, tcg.Action) {
	old, act := m.Load(addr, op)
	if act == tcg.Continue && old == want&ir.SizeMask(op.Size) {
		act = m.Store(addr, op, repl)
	}
	return old, act
}

// code is a frontend.Fetcher.
type code struct {
	base  uint64
	bytes []byte
}

func (c code) Fetch(addr uint64) []byte {
	if addr-c.base >= uint64(len(c.bytes)) {
		return nil
	}
	return c.bytes[addr-c.base:]
}

// Run executes one instruction at pc with the mode bits of Env.HFlags. Env.PC is where execution would go on.
func (m *Machine) Run(pc uint64, insn []byte) (tcg.Leave, error) {
	b, err := m.Front.Translate(pc, 0, m.Env.BlockFlags(), code{pc, insn}, max(m.Limit, 1))
	if err != nil {
		return 0, err
	}
	if m.Passes != nil {
		m.Passes(b)
	}
	m.Block = b
	b.Hot = m.id&1 != 0
	if m.id++; m.id%1000 == 0 {
		m.Engine.Flush()
	}
	c, err := m.Engine.Compile(b, m.id)
	if err != nil {
		return 0, err
	}
	return m.Engine.Run(m, c), nil
}

// Load sets the environment from a host state, Store the reverse.
func (m *Machine) SetState(s *State) {
	e := m.Env
	e.Regs = s.GPR
	e.EFlags = s.Flags&^ir.FlagAll | 2
	e.CCOp, e.CCDst, e.CCSrc = 0, 0, s.Flags&ir.FlagAll
	copy(unsafe.Slice(&e.V[0][0], len(s.YMM)*32), unsafe.Slice(&s.YMM[0][0], len(s.YMM)*32))
	e.MXCSR = s.MXCSR()
}

// State is the environment as a host state.
func (m *Machine) State(s *State) {
	e := m.Env
	s.GPR = e.Regs
	s.Flags = e.Flags()
	s.PC = e.PC
	copy(unsafe.Slice(&s.YMM[0][0], len(s.YMM)*32), unsafe.Slice(&e.V[0][0], len(s.YMM)*32))
	s.SetMXCSR(e.MXCSR)
}
