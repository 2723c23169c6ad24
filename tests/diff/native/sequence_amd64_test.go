//go:build amd64

package native

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"goemu/tcg"
	frontend "goemu/tcg/frontend/x86"
	"goemu/tcg/opt"
)

// sequenceRoom is how many bytes of code fit before the stub's exits.
const sequenceRoom = targetDist - 6

// sequence is several instructions that run as one block.
type sequence struct {
	parts [][]byte
	names []string
}

func (q *sequence) code() []byte { return bytes.Join(q.parts, nil) }

// without is the sequence without part i.
func (q *sequence) without(i int) *sequence {
	r := &sequence{}
	for k := range q.parts {
		if k != i {
			r.parts, r.names = append(r.parts, q.parts[k]), append(r.names, q.names[k])
		}
	}
	return r
}

func (q *sequence) String() string {
	var b strings.Builder
	for i := range q.parts {
		fmt.Fprintf(&b, "  %-24x %s\n", q.parts[i], q.names[i])
	}
	return b.String()
}

// notInSequences are rows that transfer control, use the stack or address memory by fixed registers.
var notInSequences = map[string]bool{"push": true, "pop": true, "enter": true, "leave": true, "pushf": true, "popf": true, "xlat": true,
	"movs": true, "stos": true, "lods": true, "scas": true, "cmps": true, "shld": true, "shrd": true, "lahf": true}

// testRAX defines flags that an instruction left undefined.
var testRAX = []byte{0x48, 0x85, 0xc0}

// integerPart is a random instruction on general registers and memory at RBX, which it leaves alone.
func (f *vecFixture) integerPart(g *Gen, rows []frontend.Row) ([]byte, string, bool) {
	r := &rows[g.Rnd.IntN(len(rows))]
	if !generalRow(r) || branches[r.Name] || notInSequences[r.Name] {
		return nil, "", false
	}
	c, i, ok := g.Encode(r)
	switch {
	case !ok, !i.On(&hostFeatures), i.Mem && (i.Base != 3 || i.Index >= 0 || i.Disp < -0x400 || i.Disp > 0x400 || i.AddrSize != 8):
		return nil, "", false
	case fixed(i.Reg), !i.Mem && fixed(i.RM), fixed(i.VVVV), i.Opcode >= 0xa0 && i.Opcode <= 0xa3 && i.Name == "mov":
		return nil, "", false
	}
	if i.Undefined != 0 {
		c = append(bytes.Clone(c), testRAX...)
	}
	return c, i.Name, true
}

// fixed tells whether a register must keep its value: RBX (also as BH) and RSP.
func fixed(reg int) bool { return reg == 3 || reg == 4 || reg == 7 }

// vectorPart is a random SIMD instruction.
func (f *vecFixture) vectorPart() ([]byte, string, bool) {
	c := frontend.RandomVector(f.rnd, f.rnd.IntN(frontend.NumVectorRows()))
	return c.Code, c.Name, c.On(&hostFeatures) && !c.Helper && !c.X87 && !c.Approx
}

func (f *vecFixture) sequence(g *Gen, rows []frontend.Row) *sequence {
	q, n := &sequence{}, 0
	for n < sequenceRoom && len(q.parts) < 14 {
		part, name, ok := f.vectorPart()
		if f.rnd.IntN(3) != 0 {
			part, name, ok = f.integerPart(g, rows)
		}
		if !ok {
			continue
		}
		if n += len(part); n > sequenceRoom {
			break
		}
		q.parts, q.names = append(q.parts, part), append(q.names, name)
	}
	return q
}

// trySequence runs a sequence on both; ok is false if it faults or needs a helper.
func (f *vecFixture) trySequence(q *sequence, s *State) (diff string, ok bool) {
	code := q.code()
	trace(&frontend.VectorCase{Name: "sequence\n" + q.String(), Code: code})
	copy(f.h.Window, f.mem)
	f.m.SetState(s)
	f.setFPU(s)
	if s.Flags&4 != 0 { // for one half of the cases, the same one every time
		defer f.hideTLB()()
	}
	end := f.h.PC() + uint64(len(code))
	for f.m.Env.PC = f.h.PC(); f.m.Env.PC != end; {
		pc := f.m.Env.PC
		if pc < f.h.PC() || pc > end {
			return fmt.Sprintf("  went to %#x\n", pc), true
		}
		leave, err := f.m.Run(pc, code[pc-f.h.PC():])
		if err != nil {
			return err.Error(), true
		}
		if leave != tcg.LeaveDirect || f.m.Env.PC == pc {
			return "", false
		}
	}
	got := *s
	f.m.State(&got)
	f.getFPU(&got)
	mem := bytes.Clone(f.h.Window)
	copy(f.h.Window, f.mem)
	saved := *f.h.In
	*f.h.In = *s
	f.h.Run(code)
	f.h.In.Saved = saved.Saved
	mask := uint64(allFlags)
	if n := len(q.parts); n > 0 { // nothing defines the auxiliary flag after logic instructions, and nobody reads it
		mask &^= 1 << 4
	}
	got.Flags = got.Flags&mask | f.h.Out.Flags&^mask
	return compareVec(&frontend.VectorCase{}, &got, f.h.Out, mem, f.h.Window), true
}

// TestSequences compares blocks of several random instructions with the host: what flows between instructions through registers, flags
// and memory, with the optimiser at work.
func TestSequences(t *testing.T) {
	rows := frontend.Rows()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			eng, err := e.make()
			if err != nil {
				t.Fatal(err)
			}
			defer eng.Close()
			if strings.HasPrefix(e.name, "jit") {
				eng = newJIT(t)
			}
			f := newVecFixture(t, eng)
			f.m.Limit = 64
			if e.opt {
				f.m.Passes = opt.New(frontend.Globals).Run
			}
			n := tries(8000)
			if *long {
				n = 200000
			}
			f.sequences(rows, n)
		})
	}
}

func (f *vecFixture) sequences(rows []frontend.Row, n int) {
	g := NewGen(f.h, 22)
	ran := 0
	for bad := 0; n > 0 && bad < 3; n-- {
		q, s := f.sequence(g, rows), f.state()
		binary.LittleEndian.PutUint16(s.fx()[fxSW:], 0)
		diff, ok := f.trySequence(q, &s)
		if ok {
			ran++
		}
		if diff == "" {
			continue
		}
		q, diff = f.shrink(q, &s, diff)
		f.Errorf("sequence\n%s%s MXCSR %#x flags %#x registers %#x", q, diff, s.MXCSR(), s.Flags, s.GPR)
		bad++
	}
	if ran*3 < n {
		f.Errorf("only %d sequences ran", ran)
	}
	f.Logf("%d sequences ran", ran)
}

// shrink removes instructions that the difference does not need.
func (f *vecFixture) shrink(q *sequence, s *State, diff string) (*sequence, string) {
	for i := len(q.parts) - 1; i >= 0; i-- {
		if p := q.without(i); len(p.parts) > 0 {
			if d, ok := f.trySequence(p, s); ok && d != "" {
				q, diff = p, d
			}
		}
	}
	return q, diff
}
