package x86

import (
	"fmt"
	"testing"

	"goemu/target/x86"
	"goemu/tcg/ir"
)

// encodings gives every form of a SIMD row as machine code for 64-bit mode: registers and memory, legacy and VEX, both lengths.
func (r *vecRow) encodings(m int) (codes [][]byte) {
	modrms := [][]byte{}
	if r.attr&vMem == 0 {
		modrms = append(modrms, []byte{0xc0 | r.regField(1)<<3 | 2}, []byte{0xc0 | r.regField(5)<<3 | 5})
	}
	if r.attr&vReg == 0 {
		modrms = append(modrms, []byte{r.regField(3)<<3 | 4, 0x4b}) // [rbx + 2*rcx]
	}
	escape := [][]byte{{0x0f}, {0x0f, 0x38}, {0x0f, 0x3a}}[m]
	pfx := [][]byte{nil, {0x66}, {0xf3}, {0xf2}}
	add := func(head []byte, modrm []byte) {
		c := append(append([]byte{}, head...), r.op)
		c = append(c, modrm...)
		if r.attr&vImm != 0 {
			c = append(c, 0x35)
		}
		codes = append(codes, c)
	}
	for _, mr := range modrms {
		if r.attr&vexOnly == 0 {
			for _, rex := range [][]byte{nil, {0x4c}, {0x45}} {
				add(append(append(append([]byte{}, pfx[r.pfx]...), rex...), escape...), mr)
			}
			if r.pfx == p66 && r.attr&mmx != 0 {
				add(escape, mr)
			}
		}
		for l := range byte(2) {
			if r.attr&legOnly != 0 || l == 1 && r.attr&vl0 != 0 || l == 0 && r.attr&vl1 != 0 {
				continue
			}
			v := byte(4)
			if r.attr&nods != 0 || r.attr&lig != 0 && r.vop == ir.VMov {
				v = 0
			}
			w := byte(0)
			if r.attr&vw1 != 0 {
				w = 0x80
			}
			add([]byte{0xc4, 0xe0 | byte(m+1), w | (^v&15)<<3 | l<<2 | r.pfx}, mr)
		}
	}
	return codes
}

// regField is ModRM.reg: n, or the group's number.
func (r *vecRow) regField(n byte) byte {
	if r.reg != 0 {
		return r.reg - 1
	}
	return n
}

// Every SIMD row translates in every form to a valid block that does not raise an exception.
func TestVectorRows(t *testing.T) {
	tr := New(Config{Features: AllFeatures()})
	for m, rows := range vecMaps {
		for i := range rows {
			r := &rows[i]
			for _, code := range r.encodings(m) {
				for _, hf := range []uint32{modes["longuser"], modes["longuser"] | x86.HFSSESoft | x86.HFFPSoft} {
					checkVector(t, tr, hf, r.name, code)
				}
			}
		}
	}
}

func checkVector(t *testing.T, tr *Translator, hf uint32, name string, code []byte) {
	t.Helper()
	b, err := tr.Translate(0x1000, 0, hf, bytesAt{0x1000, code}, 1)
	if err != nil {
		t.Fatalf("%s % x: %v", name, code, err)
	}
	if err := ir.Verify(b, len(Globals)); err != nil {
		t.Fatalf("%s % x: %v\n%s", name, code, err, ir.Text(b, Globals))
	}
	if int(tr.d.length) != len(code) {
		t.Errorf("%s % x: length %d", name, code, tr.d.length)
	}
	last := b.Insts[len(b.Insts)-1]
	if x := b.Exits[last.Imm]; last.Op == ir.OpGoto && x.Kind == ir.ExitTo && x.Reason == x86.ExitException {
		t.Errorf("%s % x: raises an exception\n%s", name, code, ir.Text(b, Globals))
	}
}

// No two rows claim the same encoding.
func TestVectorRowsDistinct(t *testing.T) {
	for m, rows := range vecMaps {
		seen := map[string]string{}
		for i := range rows {
			r := &rows[i]
			for _, k := range []struct {
				vex bool
				bit vecAttr
			}{{false, vexOnly}, {true, legOnly}} {
				for _, w := range []bool{false, true} {
					if r.attr&k.bit != 0 || !r.fits(k.vex, w, r.reg-1) && r.reg != 0 || !r.fits(k.vex, w, 0) && r.reg == 0 {
						continue
					}
					key := fmt.Sprint(m, r.pfx, r.op, r.reg, k.vex, w)
					if o, dup := seen[key]; dup {
						t.Errorf("%s and %s have the same encoding", o, r.name)
					}
					seen[key] = r.name
				}
			}
		}
	}
}

// Every x87 row translates, and the rest of the escape space is #UD.
func TestX87Rows(t *testing.T) {
	tr := New(Config{Features: AllFeatures()})
	rows := 0
	for esc := range byte(8) {
		for modrm := range 256 {
			row := x87Lookup(esc, byte(modrm)>>6, byte(modrm)>>3&7, byte(modrm)&7)
			code := []byte{0xd8 + esc, byte(modrm), 0x24, 0, 0, 0, 0, 0}
			if row.gen == nil {
				continue
			}
			rows++
			for _, hf := range []uint32{modes["longuser"], modes["longuser"] | x86.HFFPSoft, modes["longuser"] | 5<<x86.HFTopShift} {
				b, err := tr.Translate(0x1000, 0, hf, bytesAt{0x1000, code}, 1)
				if err != nil {
					t.Fatalf("%s: %v", row.name, err)
				}
				if err := ir.Verify(b, len(Globals)); err != nil {
					t.Fatalf("%s: %v\n%s", row.name, err, ir.Text(b, Globals))
				}
			}
		}
	}
	if rows < 1500 {
		t.Errorf("%d x87 encodings", rows)
	}
}
