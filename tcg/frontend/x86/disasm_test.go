package x86

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"goemu/internal/testprog"
)

// TestDisassembleRoundTrip assembles the texts of random instructions with nasm; disassembling the result must give the same texts.
func TestDisassembleRoundTrip(t *testing.T) {
	testprog.Need(t, "nasm")
	for _, mode := range []uint8{2, 4, 8} {
		t.Run(strconv.Itoa(int(mode)*8), func(t *testing.T) { testRoundTrip(t, mode) })
	}
}

func testRoundTrip(t *testing.T, mode uint8) {
	rnd := rand.New(rand.NewPCG(5, uint64(mode)))
	rows := Rows()
	var want []string
	src := fmt.Sprintf("bits %d\n", mode*8)
	for len(want) < 4000 {
		r := &rows[rnd.IntN(len(rows))]
		if r.VEX || r.Vector {
			continue
		}
		c := randomEncoding(rnd, r, mode)
		i, ok := Inspect(c, 0, mode)
		if !ok || i.Name != r.Name || i.Opcode != r.Opcode || unlike(&i, mode) {
			continue
		}
		text, _ := Disassemble(c, 0x1000, mode)
		want = append(want, text)
		src += text + "\n"
	}
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.asm"), filepath.Join(dir, "out.bin")
	if err := os.WriteFile(in, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	if msg, err := exec.Command("nasm", "-w-all", "-f", "bin", "-o", out, in).CombinedOutput(); err != nil {
		lines := strings.Split(src, "\n")
		for _, e := range strings.Split(string(msg), "\n") {
			if f := strings.Split(e, ":"); len(f) > 2 {
				if n, err := strconv.Atoi(f[1]); err == nil && n <= len(lines) {
					t.Errorf("%q: %s", lines[n-1], strings.Join(f[2:], ":"))
				}
			}
		}
		t.Fatal(err)
	}
	code, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	bad := 0
	for k, pc := 0, 0; k < len(want) && pc < len(code); k++ {
		got, n := Disassemble(code[pc:], uint64(pc), mode)
		if strings.TrimSuffix(got, ", 1") != strings.TrimSuffix(want[k], ", 0x1") && got != want[k] {
			if bad++; bad < 30 {
				t.Errorf("%q became %q (% x)", want[k], got, code[pc:pc+n])
			}
		}
		pc += n
	}
}

// unlike tells which instructions nasm does not know in this form, writes in another way, or cannot place anywhere.
func unlike(i *Insn, mode uint8) bool {
	if i.Mem && i.Base < 0 { // several encodings of the same address
		return true
	}
	switch i.Name {
	case "xchg", "3dnow":
		return true
	case "mov":
		return i.Opcode >= 0xa0 && i.Opcode <= 0xa3 || i.Opcode == 0xc7 && i.OpSize == 8
	case "sldt", "str":
		return i.OpSize == 8
	case "bswap", "invpcid":
		return i.OpSize == 2
	case "prefetch":
		return !i.Mem || i.Reg&7 > 3
	case "movzx", "movsx":
		return i.OpSize == 2 && i.Opcode&1 != 0
	case "movsxd":
		return mode == 8 && i.OpSize < 8
	case "rdpkru", "wrpkru", "skinit":
		return mode != 8
	}
	return i.Branch || strings.HasPrefix(i.Name, "ud")
}
