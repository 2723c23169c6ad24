package amd64

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"goemu/internal/testprog"
)

// asmCases pairs what the assembler emits with nasm source.
func asmCases() (a Asm, text string) {
	var sb strings.Builder
	add := func(s string) { sb.WriteString(s + "\n") }
	add("bits 64\ndefault abs")
	names := map[uint8][16]string{
		1: {"al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil", "r8b", "r9b", "r10b", "r11b", "r12b", "r13b", "r14b", "r15b"},
		2: {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "r8w", "r9w", "r10w", "r11w", "r12w", "r13w", "r14w", "r15w"},
		4: {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "r8d", "r9d", "r10d", "r11d", "r12d", "r13d", "r14d", "r15d"},
		8: {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"},
	}
	for _, size := range []uint8{1, 2, 4, 8} {
		n := names[size]
		for r := RAX; r <= R15; r++ {
			s := (r*7 + 3) & 15
			a.alu(aluSub, size, r, M(s, 0x12))
			add("sub " + n[r] + ", [" + names[8][s] + "+0x12]")
			a.aluStore(aluXor, size, R(r), s)
			add("xor " + n[r] + ", " + n[s])
			a.aluImm(aluAnd, size, R(r), 0x55)
			if size == 1 && r == RAX {
				add("db 0x80, 0xe0, 0x55")
			} else {
				add("and " + n[r] + ", byte 0x55")
			}
			a.rm(opMovStore, size, r, M(s, 0))
			add("mov [" + names[8][s] + "], " + n[r])
			x := s
			if x == RSP {
				x = RAX
			}
			a.rm(opMovLoad, size, r, MX(s, x, 0, 0x1234))
			if s == RSP {
				add("mov " + n[r] + ", [rsp+rax+0x1234]")
			} else {
				add("mov " + n[r] + ", [" + names[8][s] + "+" + names[8][x] + "*1+0x1234]")
			}
			a.shiftImm(shSar, size, R(r), 5)
			add("sar " + n[r] + ", 5")
			a.digit(opShiftCL, size, shRol, R(r))
			add("rol " + n[r] + ", cl")
			a.digit(opGrp3, size, g3Neg, R(r))
			add("neg " + n[r])
			a.rm(opTest, size, r, R(s))
			add("test " + n[s] + ", " + n[r])
			a.rm(opXadd, size, r, M(s, -8))
			add("xadd [" + names[8][s] + "-8], " + n[r])
			a.rm(opCrc32, size, r, R(s))
			d := names[4][r]
			if size == 8 {
				d = names[8][r]
			}
			add("crc32 " + d + ", " + n[s])
			a.storeImm(size, M(s, 4), 0x7b)
			add("mov " + map[uint8]string{1: "byte", 2: "word", 4: "dword", 8: "qword"}[size] + " [" + names[8][s] + "+4], 0x7b")
			if size >= 4 {
				a.cmov(4, size, r, R(s))
				add("cmove " + n[r] + ", " + n[s])
				a.rorx(size, r, R(s), 8)
				add("rorx " + n[r] + ", " + n[s] + ", 8")
				a.rm(opPopcnt, size, r, M(RBP, 0x400))
				add("popcnt " + n[r] + ", [rbp+0x400]")
				a.rmByte(opMovzx8, size, r, R(s))
				add("movzx " + n[r] + ", " + names[1][s])
				a.vex(0, map0F38, size == 8, false, 0xf2, r, s, R(R13))
				add("andn " + n[r] + ", " + n[s] + ", " + names[size][13])
			}
		}
	}
	for r := RAX; r <= R15; r++ {
		a.setcc(2, R(r))
		add("setc " + names[1][r])
		a.movImm(r, 0x12345678)
		add("mov " + names[4][r] + ", 0x12345678")
		a.movImm(r, ^uint64(0)-5)
		add("mov " + names[8][r] + ", dword -6")
		a.movImm(r, 0x123456789a)
		add("mov " + names[8][r] + ", qword 0x123456789a")
		a.push(M(RBP, -8))
		add("push qword [rbp-8]")
		a.pop(M(r, 0x100))
		add("pop qword [" + names[8][r] + "+0x100]")
		a.jmpRM(M(r, 8))
		add("jmp [" + names[8][r] + "+8]")
		a.lea(8, r, MX(NoReg, R9, 3, 16))
		add("lea " + names[8][r] + ", [nosplit r9*8+16]")
	}
	return a, sb.String()
}

func TestAsmAgainstNasm(t *testing.T) {
	nasm := testprog.Need(t, "nasm")
	a, src := asmCases()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "a.s"), filepath.Join(dir, "a.bin")
	if err := os.WriteFile(in, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	if msg, err := exec.Command(nasm, "-O0", "-f", "bin", "-o", out, in).CombinedOutput(); err != nil {
		t.Fatalf("nasm: %v\n%s", err, msg)
	}
	want, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.buf, want) {
		i := 0
		for i < len(want) && i < len(a.buf) && a.buf[i] == want[i] {
			i++
		}
		t.Fatalf("differs at byte %d of %d/%d: got % x, want % x", i, len(a.buf), len(want), a.buf[max(0, i-8):min(i+8, len(a.buf))], want[max(0, i-8):min(i+8, len(want))])
	}
}
