package x86

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"goemu/internal/testprog"
)

// lengthSlot is the distance of the instructions in the file given to ndisasm; NOPs fill it up.
const lengthSlot = 32

// TestLengths compares the lengths of random integer instructions with ndisasm.
func TestLengths(t *testing.T) {
	testprog.Need(t, "ndisasm")
	for _, mode := range []uint8{2, 4, 8} {
		t.Run(strconv.Itoa(int(mode)*8), func(t *testing.T) { testLengths(t, mode) })
	}
}

func testLengths(t *testing.T, mode uint8) {
	rnd := rand.New(rand.NewPCG(3, uint64(mode)))
	rows := Rows()
	var blob []byte
	var insns []Insn
	for len(insns) < 6000 {
		r := &rows[rnd.IntN(len(rows))]
		if r.VEX || r.Vector || r.Name == "ud0" { // vendors differ on UD0
			continue
		}
		c := randomEncoding(rnd, r, mode)
		i, ok := Inspect(c, 0, mode)
		if !ok {
			continue
		}
		slot := append(make([]byte, 0, lengthSlot), c[:i.Length]...)
		for len(slot) < lengthSlot {
			slot = append(slot, 0x90)
		}
		blob, insns = append(blob, slot...), append(insns, i)
	}
	differ := 0
	for at, l := range disassembly(t, blob, mode) {
		if at%lengthSlot != 0 || strings.HasPrefix(l.text, "db ") {
			continue
		}
		i, code := insns[at/lengthSlot], blob[at:at+lengthSlot]
		if l.length == i.Length || prefixOnly(l.text) || strings.Contains(l.text, "jmpe") { // JMPE is of another architecture
			continue
		}
		if differ++; differ < 20 {
			t.Errorf("% x in %d-bit code: %s has length %d, ndisasm says %q of %d", code[:maxLength], mode*8, i.Name, i.Length, l.text, l.length)
		}
	}
}

// randomEncoding makes bytes that are probably an instruction of a row.
func randomEncoding(rnd *rand.Rand, r *Row, mode uint8) (c []byte) {
	if rnd.IntN(3) == 0 {
		c = append(c, []byte{0x66, 0x67, 0x2e, 0x64}[rnd.IntN(4)])
	}
	esc := r.Prefix
	if r.PP != 0 {
		c = append(c, esc[0])
		esc = esc[1:]
	}
	if mode == 8 && rnd.IntN(2) == 0 {
		c = append(c, 0x40|byte(rnd.IntN(16)))
	}
	c = append(append(c, esc...), r.Opcode)
	modrm := byte(rnd.Uint32())
	if r.Reg >= 0 {
		modrm = modrm&^0x38 | byte(r.Reg)<<3
	}
	c = append(c, modrm)
	for range 12 {
		c = append(c, byte(rnd.Uint32()))
	}
	return c
}

// line is an instruction in a listing.
type line struct {
	length int
	text   string
}

// disassembly runs ndisasm and gives its lines by offset.
func disassembly(t *testing.T, blob []byte, mode uint8) map[int]line {
	t.Helper()
	file := filepath.Join(t.TempDir(), "code")
	if err := os.WriteFile(file, blob, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ndisasm", "-b", strconv.Itoa(int(mode)*8), file).Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := map[int]line{}
	at := -1
	for _, s := range strings.Split(string(out), "\n") {
		f := strings.Fields(s)
		if len(f) == 1 && strings.HasPrefix(f[0], "-") { // more bytes of the line before
			l := lines[at]
			l.length += (len(f[0]) - 1) / 2
			lines[at] = l
			continue
		}
		if len(f) < 3 {
			continue
		}
		n, err := strconv.ParseInt(f[0], 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		at = int(n)
		lines[at] = line{len(f[1]) / 2, strings.Join(f[2:], " ")}
	}
	return lines
}

// prefixOnly tells whether ndisasm took a prefix for an instruction of its own.
func prefixOnly(text string) bool {
	switch strings.Fields(text)[0] {
	case "o16", "o32", "o64", "a16", "a32", "cs", "fs", "gs", "rep", "repne", "rex", "lock":
		return len(strings.Fields(text)) == 1
	}
	return strings.HasPrefix(text, "rex.")
}
