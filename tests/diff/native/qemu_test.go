//go:build amd64

package native

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	frontend "goemu/tcg/frontend/x86"

	"goemu/internal/testprog"
)

// smallLayout is where testdata/cases.asm executes instructions.
type smallLayout struct{ mode uint8 }

const (
	slotAddr   = 0x8000
	windowAddr = 0xa000
	segBase16  = 0x4000
	slotSize   = 32
	endDist    = 128 // from the instruction to the end of a case
	recordSize = 76
	outSize    = 52
)

func (l smallLayout) Mode() uint8        { return l.mode }
func (l smallLayout) PC() uint64         { return slotAddr - l.SegBase() }
func (l smallLayout) Target() uint64     { return l.PC() + targetDist }
func (l smallLayout) WindowBase() uint64 { return windowAddr }
func (l smallLayout) SegBase() uint64 {
	if l.mode == 2 {
		return segBase16
	}
	return 0
}

// TestSmallCode executes every user-level integer row in 16- and 32-bit protected mode in goemu and in QEMU.
func TestSmallCode(t *testing.T) {
	if testing.Short() {
		t.Skip("not in short mode: boots machines")
	}
	goemu, qemu := testprog.Goemu(t), testprog.Need(t, "qemu-system-x86_64", "nasm")
	for _, mode := range []uint8{2, 4} {
		t.Run(fmt.Sprint(mode*8), func(t *testing.T) {
			dir := t.TempDir()
			cases := smallCases(t, mode, dir)
			image := assemble(t, dir, mode, len(cases))
			want := runMachine(t, dir, qemu, image, len(cases))
			got := runMachine(t, dir, goemu, image, len(cases))
			compareSmall(t, cases, got, want)
		})
	}
}

// smallCases generates the cases and writes them to dir.
func smallCases(t *testing.T, mode uint8, dir string) (cases []Case) {
	l := smallLayout{mode}
	g := NewGen(l, *seed<<8|uint64(mode))
	template := make([]byte, WindowSize)
	for i := range template {
		template[i] = byte(g.Rnd.Uint32())
	}
	g.KeepMem = true
	tries := 40
	if *long {
		tries = 400
	}
	blob := bytes.Clone(template)
	rows := frontend.Rows()
	for i := range rows {
		r := &rows[i]
		if r.System || r.Vector || r.Only64 {
			continue
		}
		for range tries {
			c := Case{Mem: bytes.Clone(template)}
			var ok bool
			if c.Code, c.Info, ok = g.Encode(r); !ok || !g.Fill(&c) || !g.Branch(&c) || undefinedResult(&c) {
				continue
			}
			if rec, ok := record(&c, l, template); ok {
				blob, cases = append(blob, rec...), append(cases, c)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "cases.bin"), blob, 0o600); err != nil {
		t.Fatal(err)
	}
	return cases
}

// record is a case as the guest program wants it; ok is false if it does not fit there.
func record(c *Case, l smallLayout, template []byte) (rec []byte, ok bool) {
	sp := c.In.GPR[4]
	if l.mode == 2 {
		sp &= 0xffff
	}
	sp += l.SegBase() - windowAddr
	if sp < 0x400 || sp > WindowSize-0x400 { // exceptions push there
		return nil, false
	}
	rec = make([]byte, recordSize)
	n := copy(rec[:slotSize-6], c.Code)
	rec[n] = 0xe9
	if l.mode == 2 {
		binary.LittleEndian.PutUint16(rec[n+1:], uint16(endDist-n-3))
	} else {
		binary.LittleEndian.PutUint32(rec[n+1:], uint32(endDist-n-5))
	}
	for i := range 8 {
		binary.LittleEndian.PutUint32(rec[slotSize+4*i:], uint32(c.In.GPR[i]))
	}
	binary.LittleEndian.PutUint32(rec[slotSize+32:], uint32(c.In.Flags)&^0x200)
	binary.LittleEndian.PutUint32(rec[slotSize+36:], ^uint32(0))
	for at := range template {
		if template[at] != c.Mem[at] {
			binary.LittleEndian.PutUint32(rec[slotSize+36:], uint32(at))
			copy(rec[slotSize+40:slotSize+44], c.Mem[at:])
			break
		}
	}
	return rec, true
}

// assemble makes the guest program.
func assemble(t *testing.T, dir string, mode uint8, n int) string {
	t.Helper()
	image := filepath.Join(dir, "image")
	cmd := exec.Command("nasm", "-f", "bin", fmt.Sprintf("-DMODE=%d", mode*8), fmt.Sprintf("-DNCASES=%d", n), "-I", dir+"/", "-o", image, "testdata/cases.asm")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return image
}

// slowestCase is the time that a case takes on a host that is busy with other things, and then some.
const slowestCase = 10 * time.Millisecond

// runMachine boots the image and gives what it wrote to the debug console.
func runMachine(t *testing.T, dir, emulator, image string, n int) []byte {
	t.Helper()
	file := filepath.Join(dir, filepath.Base(emulator)+".out")
	cmd := exec.Command(emulator, "-M", "pc", "-accel", "tcg", "-cpu", "max", "-m", "64", "-nodefaults", "-display", "none", "-no-reboot",
		"-kernel", image, "-chardev", "file,id=d,path="+file, "-device", "isa-debugcon,chardev=d,iobase=0xe9")
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	limit := 2*time.Minute + time.Duration(n)*slowestCase
	timer := time.AfterFunc(limit, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	timer.Stop()
	out, _ := os.ReadFile(file)
	if len(out) != n*outSize {
		t.Fatalf("%s: %d of %d cases, %v\n%s", emulator, len(out)/outSize, n, err, errs.String())
	}
	return out
}

// compareSmall compares the outcomes of all cases.
func compareSmall(t *testing.T, cases []Case, got, want []byte) {
	bad := map[string]int{}
	faults := 0
	for i := range cases {
		c := &cases[i]
		g, w := words(got[i*outSize:]), words(want[i*outSize:])
		mask := uint32(allFlags|1<<10) &^ uint32(undefined(c))
		if w[10] != ^uint32(0) { // an exception
			faults++
			mask = allFlags | 1<<10
		}
		if qemuDiffers(c) || refusedWrite(c, &g, &w) {
			continue
		}
		g[8], w[8] = g[8]&mask, w[8]&mask
		if g == w {
			continue
		}
		if bad[c.Info.Name]++; bad[c.Info.Name] > 2 {
			continue
		}
		s := ""
		for k, name := range [...]string{"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "flags", "taken", "exception", "error code", "memory sum"} {
			if g[k] != w[k] {
				s += fmt.Sprintf("  %s = %#x, QEMU %#x\n", name, g[k], w[k])
			}
		}
		t.Errorf("%s, % x: %s\n%s", c.Info.Name, c.Code, c.describe(), s)
	}
	if faults > len(cases)/2 {
		t.Errorf("%d of %d cases raised exceptions", faults, len(cases))
	}
	t.Logf("%d cases, %d exceptions", len(cases), faults)
}

// qemuDiffers tells where QEMU 7.2 does not do what CPUs do, or the architecture leaves the choice.
func qemuDiffers(c *Case) bool {
	i := &c.Info
	switch i.Name {
	case "test": // the second encoding in group 3
		return i.Opcode&^1 == 0xf6 && i.Reg == 1
	case "prefetch":
		return !i.Mem
	case "bswap", "movbe", "crc32", "blsi": // operand sizes; carry
		return true
	case "ret": // sign of the immediate
		return i.Imm >= 0x8000
	}
	return i.VEX && i.AddrSize == 2 // VEX in 16-bit code
}

// refusedWrite tells whether goemu raised #GP for a write to the code segment, which QEMU carries out.
func refusedWrite(c *Case, got, want *[outSize / 4]uint32) bool {
	const cs, excGP, exception, none = 1, 13, 10, ^uint32(0)
	return c.Info.Seg == cs && got[exception] == excGP && got[exception+1] == 0 && want[exception] == none
}

func words(b []byte) (w [outSize / 4]uint32) {
	for i := range w {
		w[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return w
}
