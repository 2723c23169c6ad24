//go:build amd64

package native

import (
	"bytes"
	"encoding/binary"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"goemu/tcg"
	frontend "goemu/tcg/frontend/x86"
	"goemu/tcg/opt"
)

// A program is a loop, counted by R15, over random instructions with conditional branches across some of them.
const (
	loopRounds = 3
	loopSize   = 5 // dec r15; jnz
	loopReg    = 15
)

// program makes a random one from a sequence.
func (f *vecFixture) program(g *Gen, rows []frontend.Row) *sequence {
	q, n := &sequence{}, loopSize
	for {
		part, name, ok := f.integerPart(g, rows)
		if f.rnd.IntN(8) == 0 {
			part, name, ok = f.vectorPart()
		}
		if !ok || usesLoopReg(part, f.h.PC()) {
			continue
		}
		if f.rnd.IntN(3) == 0 {
			part = append([]byte{0x70 | byte(f.rnd.IntN(16)), byte(len(part))}, part...)
			name = "jcc, " + name
		}
		if n += len(part); n > sequenceRoom {
			return q
		}
		q.parts, q.names = append(q.parts, part), append(q.names, name)
	}
}

// usesLoopReg tells whether an instruction names R15.
func usesLoopReg(code []byte, pc uint64) bool {
	i, ok := frontend.Inspect(code, pc, 8)
	if i.Opcode&7 == loopReg&7 && (i.Name == "bswap" || i.Name == "xchg" && i.Opcode >= 0x90 || i.Name == "mov" && i.Opcode >= 0xb0) {
		return true // in the opcode
	}
	return !ok || i.Reg == loopReg || i.RM == loopReg || i.VVVV == loopReg
}

// withLoop is the program's code.
func withLoop(q *sequence) []byte {
	c := q.code()
	return append(c, 0x49, 0xff, 0xcf, 0x75, byte(-len(c)-loopSize))
}

// linker executes code as an accelerator does: blocks are kept and their exits are linked.
type linker struct {
	m      *Machine
	blocks map[uint64]tcg.Code
	byID   map[uint64]tcg.Code
}

func newLinker(m *Machine) *linker {
	return &linker{m, map[uint64]tcg.Code{}, map[uint64]tcg.Code{}}
}

func (l *linker) block(pc uint64, c code) (tcg.Code, error) {
	if b, ok := l.blocks[pc]; ok {
		return b, nil
	}
	hot := pc&1 != 0
	l.m.Front.Through = 0
	if hot {
		l.m.Front.Through = 4
	}
	b, err := l.m.Front.Translate(pc, 0, l.m.Env.BlockFlags(), c, 64)
	if err != nil {
		return tcg.Code{}, err
	}
	b.Hot = hot
	if l.m.Passes != nil {
		l.m.Passes(b)
	}
	id := uint64(len(l.blocks) + 1)
	x, err := l.m.Engine.Compile(b, id)
	l.blocks[pc], l.byID[id] = x, x
	return x, err
}

// run executes from start until end; false if that does not happen.
func (l *linker) run(start, end uint64, bytes []byte) (bool, error) {
	l.m.Engine.Flush()
	atomic.StoreUint32(&l.m.Env.ExitReq, 0)
	watchdog := time.AfterFunc(time.Second, func() { atomic.StoreUint32(&l.m.Env.ExitReq, 1) }) // for a program that spoils its counter
	defer watchdog.Stop()
	b, err := l.block(start, code{start, bytes})
	for range 1000 {
		if err != nil {
			return false, err
		}
		leave, e := l.m.Engine.Run(l.m, b), l.m.Env
		from, slot := l.byID[e.ExitTB], int(e.ExitSlot)
		if leave != tcg.LeaveDirect || e.PC < start || e.PC > end {
			return false, nil
		}
		if e.PC == end {
			return true, nil
		}
		if b, err = l.block(e.PC, code{start, bytes}); err == nil {
			l.m.Engine.Link(from, slot, b, false)
		}
	}
	return false, nil
}

// tryProgram runs a program on both; ok is false if it faults or needs a helper.
func (f *vecFixture) tryProgram(q *sequence, s *State) (diff string, ok bool) {
	c := withLoop(q)
	trace(&frontend.VectorCase{Name: "program\n" + q.String(), Code: c})
	s.GPR[loopReg] = loopRounds
	copy(f.h.Window, f.mem)
	f.m.SetState(s)
	f.setFPU(s)
	if s.Flags&4 != 0 {
		defer f.hideTLB()()
	}
	done, err := newLinker(f.m).run(f.h.PC(), f.h.PC()+uint64(len(c)), c)
	if err != nil {
		return err.Error(), true
	}
	if !done {
		return "", false
	}
	got := *s
	f.m.State(&got)
	f.getFPU(&got)
	mem := bytes.Clone(f.h.Window)
	copy(f.h.Window, f.mem)
	saved := *f.h.In
	*f.h.In = *s
	f.h.Run(c)
	f.h.In.Saved = saved.Saved
	return compareVec(&frontend.VectorCase{}, &got, f.h.Out, mem, f.h.Window), true
}

// TestPrograms compares linked blocks with the host: flags and registers that flow from block to block.
func TestPrograms(t *testing.T) {
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
			if e.opt {
				f.m.Passes = opt.New(frontend.Globals).Run
			}
			n := tries(4000)
			if *long {
				n = 100000
			}
			f.programs(rows, n)
		})
	}
}

func (f *vecFixture) programs(rows []frontend.Row, n int) {
	g, ran := NewGen(f.h, 31), 0
	for bad, i := 0, 0; i < n && bad < 3; i++ {
		q, s := f.program(g, rows), f.state()
		binary.LittleEndian.PutUint16(s.fx()[fxSW:], 0)
		diff, ok := f.tryProgram(q, &s)
		if ok {
			ran++
		}
		if diff == "" {
			continue
		}
		for k := len(q.parts) - 1; k >= 0; k-- { // what the difference does not need goes
			if p := q.without(k); len(p.parts) > 0 {
				if d, ok := f.tryProgram(p, &s); ok && d != "" {
					q, diff = p, d
				}
			}
		}
		f.Errorf("program\n%s%s MXCSR %#x flags %#x registers %#x", q, diff, s.MXCSR(), s.Flags, s.GPR)
		bad++
	}
	if ran*3 < n && !f.Failed() {
		f.Errorf("only %d of %d programs ran", ran, n)
	}
}
