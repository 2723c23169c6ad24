// Package loops runs small guest loops through the frontend, the optimiser and both engines, compares what they compute and measures
// them (go test -bench .).
package loops

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"unsafe"

	"goemu/internal/testprog"
	"goemu/target/x86"
	"goemu/tcg"
	"goemu/tcg/backend/amd64"
	front "goemu/tcg/frontend/x86"
	"goemu/tcg/interp"
	"goemu/tcg/ir"
	"goemu/tcg/opt"
)

const (
	ramSize    = 8 << 20
	codeBase   = 0x10000
	dataBase   = 0x100000
	stackTop   = 0xf0000
	tlbEntries = 4096
	hflags     = x86.HFPE | x86.HFCS32 | x86.HFSS32 | x86.HFCS64 | x86.HFLMA | x86.HFOSFXSR
)

// machine is a CPU with flat RAM that runs 64-bit code until HLT.
type machine struct {
	t     testing.TB
	env   *x86.Env
	ram   []byte
	tlb   []ir.TLBEntry
	jumps []ir.JumpEntry
	eng   tcg.Engine
	front *front.Translator
	opt   *opt.Optimizer
	codes map[uint64]tcg.Code
	hot   bool // translate for speed
	last  struct {
		code tcg.Code
		slot int
		ok   bool
	}
	byID []tcg.Code
}

func newMachine(t testing.TB, e tcg.Engine, code []byte) *machine {
	m := &machine{t: t, env: new(x86.Env), ram: make([]byte, ramSize+64), tlb: make([]ir.TLBEntry, tlbEntries),
		jumps: make([]ir.JumpEntry, 1<<ir.JumpBits), eng: e, codes: map[uint64]tcg.Code{}, byID: make([]tcg.Code, 1)}
	var f x86.Features
	for i := range f {
		f[i] = ^uint32(0)
	}
	m.front = front.New(front.Config{Features: f, Single: true})
	m.opt = opt.New(front.Globals)
	for i := range m.tlb {
		page := uint64(i) << ir.PageBits
		m.tlb[i] = ir.TLBEntry{Read: page, Write: page, Code: page, Addend: uint64(uintptr(unsafe.Pointer(&m.ram[0])))}
		if page >= ramSize {
			m.tlb[i] = ir.TLBEntry{Read: ir.TLBInvalid, Write: ir.TLBInvalid, Code: ir.TLBInvalid}
		}
	}
	for i := range m.env.TLB {
		m.env.TLB[i] = ir.TLBTable{Base: uint64(uintptr(unsafe.Pointer(&m.tlb[0]))), Mask: (tlbEntries - 1) << 5}
	}
	for i := range m.jumps {
		m.jumps[i].PC = ^uint64(0)
	}
	m.env.Jumps = uint64(uintptr(unsafe.Pointer(&m.jumps[0])))
	copy(m.ram[codeBase:], code)
	m.env.HFlags = hflags
	m.env.PC = codeBase
	m.env.Regs[x86.RSP] = stackTop
	return m
}

func (m *machine) Fetch(linear uint64) []byte { return m.ram[linear : linear|0xfff+1] }

func (m *machine) Header() *ir.Header { return &m.env.Header }

func (m *machine) Helper(id uint32, a, b, c uint64) (uint64, tcg.Action) {
	panic(fmt.Sprintf("helper %d(%#x, %#x, %#x) at %#x", id, a, b, c, m.env.PC))
}

func (m *machine) bad(addr uint64) { panic(fmt.Sprintf("slow access to %#x at %#x", addr, m.env.PC)) }

func (m *machine) bytes(addr uint64, n int) []byte {
	if addr > ramSize {
		m.bad(addr)
	}
	return m.ram[addr:][:n]
}

func (m *machine) Load(addr uint64, op ir.MemOp) (v uint64, act tcg.Action) {
	for i, b := range m.bytes(addr, int(op.Size)) {
		v |= uint64(b) << (8 * i)
	}
	if op.Signed {
		v = ir.SignExtend(op.Size, v)
	}
	return v, tcg.Continue
}

func (m *machine) Store(addr uint64, op ir.MemOp, v uint64) tcg.Action {
	for i := range m.bytes(addr, int(op.Size)) {
		m.ram[addr+uint64(i)] = byte(v >> (8 * i))
	}
	return tcg.Continue
}

func (m *machine) LoadVec(addr uint64, op ir.MemOp, buf []byte) tcg.Action {
	copy(buf, m.bytes(addr, len(buf)))
	return tcg.Continue
}

func (m *machine) StoreVec(addr uint64, op ir.MemOp, buf []byte) tcg.Action {
	copy(m.bytes(addr, len(buf)), buf)
	return tcg.Continue
}

func (m *machine) Probe(addr uint64, op ir.MemOp, _ bool) (uintptr, tcg.Action) {
	return 0, tcg.Continue
}

func (m *machine) Atomic(addr uint64, op ir.MemOp, k ir.AtomicKind, v uint64) (uint64, tcg.Action) {
	m.bad(addr)
	return 0, tcg.Fault
}

func (m *machine) CmpXchg(addr uint64, op ir.MemOp, want, repl uint64) (uint64, tcg.Action) {
	m.bad(addr)
	return 0, tcg.Fault
}

// block finds or translates the block at the program counter.
func (m *machine) block() tcg.Code {
	pc := m.env.PC
	if c, ok := m.codes[pc]; ok {
		return c
	}
	b, err := m.front.Translate(pc, 0, hflags, m, 64)
	if err != nil {
		m.t.Fatal(err)
	}
	b.Hot = m.hot
	m.opt.Run(b)
	c, err := m.eng.Compile(b, uint64(len(m.byID)))
	if err != nil {
		m.t.Fatalf("%v in:\n%s", err, ir.Text(b, front.Globals))
	}
	m.byID = append(m.byID, c)
	m.codes[pc] = c
	j := &m.jumps[(pc^pc>>ir.JumpBits)&(1<<ir.JumpBits-1)]
	j.PC, j.Code = pc, m.eng.JumpTarget(c)
	return c
}

// run executes until HLT.
func (m *machine) run() {
	m.env.PC = codeBase
	m.last.ok = false
	for {
		c := m.block()
		if m.last.ok {
			m.eng.Link(m.last.code, m.last.slot, c, false)
			m.last.ok = false
		}
		switch l := m.eng.Run(m, c); l {
		case tcg.LeaveDirect:
			m.last.code, m.last.slot, m.last.ok = m.byID[m.env.ExitTB], int(m.env.ExitSlot), true
		case tcg.LeaveLookup:
			j := &m.jumps[(m.env.PC^m.env.PC>>ir.JumpBits)&(1<<ir.JumpBits-1)]
			if c, ok := m.codes[m.env.PC]; ok {
				j.PC, j.Code = m.env.PC, m.eng.JumpTarget(c)
			}
		case tcg.LeaveReason:
			if m.env.ExitInfo == x86.ExitHalt {
				return
			}
			m.t.Fatalf("reason %d at %#x", m.env.ExitInfo, m.env.PC)
		default:
			m.t.Fatalf("leave %d at %#x", l, m.env.PC)
		}
	}
}

// programs compute something into rax; units is how many work units they do.
var programs = []struct {
	name  string
	units int
	text  string
}{
	{"checksum", 1 << 18, `
	mov esi, 0x100000
	mov ecx, 1<<18
	xor eax, eax
.l:	mov rdx, [rsi]
	add rsi, 8
	xor rax, rdx
	rol rax, 7
	add rax, rdx
	dec rcx
	jnz .l
	hlt`},
	{"hash", 1 << 16, `
	mov ecx, 1<<16
	mov ebx, 12345
	xor eax, eax
.l:	imul rbx, rbx, 1664525
	add rbx, 1013904223
	mov rdx, rbx
	shr rdx, 16
	and edx, 0xffff8
	mov rsi, [rdx+0x100000]
	test rsi, 1
	jz .e
	xor rax, rsi
	jmp .n
.e:	add rax, rsi
.n:	dec ecx
	jnz .l
	hlt`},
	{"copy", 1 << 17, `
	mov esi, 0x100000
	mov edi, 0x400000
	mov ecx, 1<<17
.l:	mov rax, [rsi]
	mov [rdi], rax
	add rsi, 8
	add rdi, 8
	sub rcx, 1
	jnz .l
	mov eax, [0x400000+800]
	hlt`},
	{"fib", 242785, `
	mov edi, 25
	call fib
	hlt
fib:	push rbx
	push rbp
	mov ebp, edi
	mov eax, edi
	cmp edi, 2
	jl .r
	lea edi, [rbp-1]
	call fib
	mov ebx, eax
	lea edi, [rbp-2]
	call fib
	add eax, ebx
.r:	pop rbp
	pop rbx
	ret`},
	{"sort", 1 << 16, `
	; insertion sort of 512 words, again and again descending
	mov r8d, 1
	mov r11d, 0x200000
.outer:	xor ecx, ecx
.fill:	mov eax, 512
	sub eax, ecx
	mov [r11+rcx*4], eax
	inc ecx
	cmp ecx, 512
	jb .fill
	mov ecx, 1
.i:	mov eax, [r11+rcx*4]
	mov edx, ecx
.j:	test edx, edx
	jz .d
	mov ebx, [r11+rdx*4-4]
	cmp ebx, eax
	jle .d
	mov [r11+rdx*4], ebx
	dec edx
	jmp .j
.d:	mov [r11+rdx*4], eax
	inc ecx
	cmp ecx, 512
	jb .i
	dec r8d
	jnz .outer
	mov eax, [r11+40]
	hlt`},
	{"struct", 1 << 16, `
	mov ecx, 1<<16
	mov ebx, 0x300000
	xor eax, eax
.l:	mov rdx, [rbx]
	add rdx, [rbx+8]
	mov [rbx+16], rdx
	add qword [rbx+24], 3
	mov esi, [rbx+32]
	lea esi, [rsi+rdx*2]
	mov [rbx+32], esi
	movzx edi, byte [rbx+41]
	add eax, edi
	add eax, esi
	inc dword [rbx]
	dec ecx
	jnz .l
	hlt`},
	{"div", 1 << 16, `
	mov ecx, 1<<16
	xor ebx, ebx
.l:	mov eax, ecx
	imul eax, eax, 1103515245
	xor edx, edx
	mov esi, 10
	div esi
	add ebx, edx
	mov eax, ecx
	cdq
	idiv esi
	add ebx, eax
	mov rax, rbx
	mul rcx
	add rbx, rdx
	dec ecx
	jnz .l
	mov eax, ebx
	hlt`},
}

// assemble makes flat 64-bit code for codeBase.
func assemble(t testing.TB, text string) []byte {
	nasm := testprog.Need(t, "nasm")
	dir := t.TempDir()
	in, out := filepath.Join(dir, "a.s"), filepath.Join(dir, "a.bin")
	src := fmt.Sprintf("bits 64\norg %#x\n_start:\n%s\n", codeBase, text)
	if err := os.WriteFile(in, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	if msg, err := exec.Command(nasm, "-f", "bin", "-o", out, in).CombinedOutput(); err != nil {
		t.Fatalf("nasm: %v\n%s", err, msg)
	}
	code, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func newJIT(t testing.TB) *amd64.Engine {
	e, err := amd64.New(front.Globals, amd64.Options{CacheSize: 4 << 20, Bulk: &front.Bulk})
	if err != nil {
		t.Skip("SKIP: ", err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func fill(m *machine) {
	x := uint64(88172645463325252)
	for i := dataBase; i < 0x300000; i++ {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		m.ram[i] = byte(x)
	}
}

// TestLoops compares the engines.
func TestLoops(t *testing.T) {
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			code := assemble(t, p.text)
			i := newMachine(t, interp.New(front.Globals), code)
			fill(i)
			i.run()
			for _, hot := range []bool{false, true} {
				j := newMachine(t, newJIT(t), code)
				if j.hot = hot; hot {
					j.front.Through = 4
				}
				fill(j)
				j.run()
				if j.env.Regs != i.env.Regs {
					t.Errorf("hot %v: registers:\n%#x\n%#x", hot, j.env.Regs, i.env.Regs)
				}
				if string(j.ram) != string(i.ram) {
					t.Errorf("hot %v: memory differs", hot)
				}
			}
		})
	}
}

// BenchmarkLoops measures generated code in ns per unit of work.
func BenchmarkLoops(b *testing.B) {
	for _, p := range programs {
		b.Run(p.name, func(b *testing.B) {
			m := newMachine(b, newJIT(b), assemble(b, p.text))
			fill(m)
			m.run()
			best := 1e18
			for b.Loop() {
				start := b.Elapsed()
				m.run()
				best = min(best, float64(b.Elapsed()-start))
			}
			b.ReportMetric(best/float64(p.units), "ns/unit(best)")
		})
	}
}

// BenchmarkTranslate measures translation: ns per guest instruction of the frontend, the optimiser and the backend.
func BenchmarkTranslate(b *testing.B) {
	for _, p := range programs[3:6] {
		b.Run(p.name, func(b *testing.B) {
			m := newMachine(b, newJIT(b), assemble(b, p.text))
			fill(m)
			m.run()
			insns := 0
			for b.Loop() {
				m.eng.Flush()
				insns = 0
				for pc := range m.codes {
					blk, err := m.front.Translate(pc, 0, hflags, m, 64)
					if err != nil {
						b.Fatal(err)
					}
					m.opt.Run(blk)
					if _, err := m.eng.Compile(blk, 1); err != nil {
						b.Fatal(err)
					}
					insns += blk.Insns
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(insns), "ns/insn")
			b.ReportAllocs()
		})
	}
}
