//go:build amd64

package native

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"unsafe"
)

func call(code uintptr)

// Places of the low memory region that the stub uses; absolute 32-bit addressing reaches all of it.
const (
	offIn      = 0x0000 // State before
	offOut     = 0x1000 // State after
	offStack   = 0x3000 // end of the stub's own stack
	offStub    = 0x4000
	offWindow  = 0x6000
	regionSize = offWindow + WindowSize + 0x1000
)

// State is the state of a CPU around one instruction. FX is what FXSAVE stores (x87, MXCSR, XMM).
type State struct {
	GPR   [16]uint64
	Flags uint64
	PC    uint64
	Saved uint64 // host stack pointer
	_     uint64
	YMM   [16][32]byte
	_     [32]byte
	FX    [512]byte
}

// Host is a place to run instructions on the host CPU.
type Host struct {
	mem     []byte
	base    uint64
	In, Out *State
	// Window is the memory operand area, at address WindowBase.
	Window []byte
	insn   int // offset of the instruction
}

// NewHost maps the region.
func NewHost() (*Host, error) {
	const map32Bit = 0x40
	mem, err := syscall.Mmap(-1, 0, regionSize, syscall.PROT_READ|syscall.PROT_WRITE|syscall.PROT_EXEC, syscall.MAP_PRIVATE|syscall.MAP_ANON|map32Bit)
	if err != nil {
		return nil, fmt.Errorf("no memory for code: %w", err)
	}
	h := &Host{mem: mem, base: uint64(uintptr(unsafe.Pointer(&mem[0])))}
	h.In = (*State)(unsafe.Pointer(&mem[offIn]))
	h.Out = (*State)(unsafe.Pointer(&mem[offOut]))
	h.Window = mem[offWindow : offWindow+WindowSize]
	h.makeStub()
	return h, nil
}

// Close unmaps the region.
func (h *Host) Close() error { return syscall.Munmap(h.mem) }

// WindowBase is the address of Window; PC that of the instruction; Target that of the place that branches should go to.
func (h *Host) WindowBase() uint64 { return h.base + offWindow }
func (h *Host) PC() uint64         { return h.base + uint64(h.insn) }
func (h *Host) Target() uint64     { return h.PC() + targetDist }

// Mode and SegBase complete the Layout: 64-bit code.
func (h *Host) Mode() uint8     { return 8 }
func (h *Host) SegBase() uint64 { return 0 }

// Run executes the instruction on the host.
func (h *Host) Run(code []byte) {
	copy(h.mem[h.insn:], code)
	next := h.insn + len(code)
	h.mem[next] = 0xe9 // jmp to the exit that stores this program counter
	binary.LittleEndian.PutUint32(h.mem[next+1:], uint32(h.insn+targetDist+32-next-5))
	binary.LittleEndian.PutUint32(h.mem[h.insn+targetDist+32+8:], uint32(h.base)+uint32(next))
	call(uintptr(h.base + offStub))
}

// asm appends code to the region.
type asm struct {
	h   *Host
	pos int
}

func (a *asm) bytes(b ...byte) {
	a.pos += copy(a.h.mem[a.pos:], b)
}

// abs appends code and the absolute address of offset off.
func (a *asm) abs(off uintptr, b ...byte) {
	a.bytes(b...)
	binary.LittleEndian.PutUint32(a.h.mem[a.pos:], uint32(a.h.base)+uint32(off))
	a.pos += 4
}

// Offsets in State.
const (
	stFlags = unsafe.Offsetof(State{}.Flags)
	stPC    = unsafe.Offsetof(State{}.PC)
	stSaved = unsafe.Offsetof(State{}.Saved)
	stYMM   = unsafe.Offsetof(State{}.YMM)
	stFX    = (unsafe.Offsetof(State{}.FX) + 15) &^ 15
)

// makeStub writes: load everything from In, the instruction, its two exits, store everything to Out.
func (h *Host) makeStub() {
	a := asm{h, offStub}
	a.abs(offIn+stSaved, 0x48, 0x89, 0x24, 0x25) // mov [saved], rsp
	a.abs(offIn+stFX, 0x0f, 0xae, 0x0c, 0x25)    // fxrstor
	for i := range 16 {                          // vmovdqu ymm, [abs]
		a.abs(offIn+stYMM+uintptr(i)*32, 0xc5, 0xfe-0x80*byte(i>>3), 0x6f, 0x04|byte(i&7)<<3, 0x25)
	}
	a.bytes(0x48, 0xc7, 0xc4) // mov rsp, stack
	binary.LittleEndian.PutUint32(h.mem[a.pos:], uint32(h.base)+offStack)
	a.pos += 4
	a.abs(offIn+stFlags, 0xff, 0x34, 0x25) // push [flags]
	a.bytes(0x9d)                          // popfq
	for i := range 16 {
		a.abs(offIn+uintptr(i)*8, 0x48|byte(i>>3)<<2, 0x8b, 0x04|byte(i&7)<<3, 0x25)
	}
	h.insn = a.pos
	// The exits: the first at targetDist stores Target, the second (+32) the next program counter.
	h.exit(h.insn+targetDist, h.insn+targetDist+64)
	binary.LittleEndian.PutUint32(h.mem[h.insn+targetDist+8:], uint32(h.Target()))
	h.exit(h.insn+targetDist+32, h.insn+targetDist+64)
	a.pos = h.insn + targetDist + 64
	for i := range 16 {
		a.abs(offOut+uintptr(i)*8, 0x48|byte(i>>3)<<2, 0x89, 0x04|byte(i&7)<<3, 0x25)
	}
	a.bytes(0x48, 0xc7, 0xc4)
	binary.LittleEndian.PutUint32(h.mem[a.pos:], uint32(h.base)+offStack)
	a.pos += 4
	a.bytes(0x9c)                           // pushfq
	a.abs(offOut+stFlags, 0x8f, 0x04, 0x25) // pop [flags]
	a.bytes(0xfc)                           // cld
	for i := range 16 {
		a.abs(offOut+stYMM+uintptr(i)*32, 0xc5, 0xfe-0x80*byte(i>>3), 0x7f, 0x04|byte(i&7)<<3, 0x25)
	}
	a.abs(offOut+stFX, 0x0f, 0xae, 0x04, 0x25)   // fxsave
	a.bytes(0xc5, 0xf8, 0x77)                    // vzeroupper
	a.bytes(0xdb, 0xe3)                          // fninit
	a.abs(offMXCSR, 0x0f, 0xae, 0x14, 0x25)      // ldmxcsr
	a.abs(offIn+stSaved, 0x48, 0x8b, 0x24, 0x25) // mov rsp, [saved]
	a.bytes(0xc3)
	binary.LittleEndian.PutUint32(h.mem[offMXCSR:], 0x1f80)
	h.In.SetMXCSR(0x1f80)
	binary.LittleEndian.PutUint16(h.In.fx(), 0x37f)
}

const offMXCSR = 0x3800

// exit writes: mov qword [Out.PC], imm32 (filled in later); jmp to.
func (h *Host) exit(at, to int) {
	a := asm{h, at}
	a.abs(offOut+stPC, 0x48, 0xc7, 0x04, 0x25)
	// The immediate follows the address; patched at at+8 below.
	a.bytes(0, 0, 0, 0)
	a.bytes(0xe9)
	binary.LittleEndian.PutUint32(h.mem[a.pos:], uint32(to-a.pos-4))
}

// fx is the 16-byte aligned FXSAVE image.
func (s *State) fx() []byte {
	off := stFX - unsafe.Offsetof(State{}.FX)
	return s.FX[:][off:]
}

// MXCSR and SetMXCSR access the SSE control word in the FXSAVE image.
func (s *State) MXCSR() uint32     { return binary.LittleEndian.Uint32(s.fx()[24:]) }
func (s *State) SetMXCSR(v uint32) { binary.LittleEndian.PutUint32(s.fx()[24:], v) }
