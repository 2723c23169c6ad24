// Package speed measures the translator.
package speed

import (
	"debug/elf"
	"errors"
	"os"
	"syscall"
	"testing"

	"goemu/target/x86"
	"goemu/tcg"
	"goemu/tcg/backend/amd64"
	front "goemu/tcg/frontend/x86"
	"goemu/tcg/ir"
	"goemu/tcg/opt"
)

const (
	maxInsns = 64
	pageSize = 4096
)

// fetcher gives out code by its address.
type fetcher struct {
	code []byte
	base uint64
}

// Fetch implements the frontend's Fetcher.
func (f fetcher) Fetch(at uint64) []byte {
	if at-f.base >= uint64(len(f.code)) {
		return nil
	}
	return f.code[at-f.base : min(at-f.base+pageSize-at%pageSize, uint64(len(f.code)))]
}

// ownCode is the code of the test program.
func ownCode(b *testing.B) fetcher {
	name, err := os.Executable()
	if err != nil {
		b.Skip(err)
	}
	f, err := elf.Open(name)
	if err != nil || f.Machine != elf.EM_X86_64 {
		b.Skip("the test program is nothing to translate")
	}
	defer f.Close()
	text := f.Section(".text")
	code, err := text.Data()
	if err != nil {
		b.Fatal(err)
	}
	return fetcher{code, text.Addr}
}

// cpuTime is what the process used of its processors so far, which other programs on the machine disturb less than real time.
func cpuTime() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkTranslate translates this program's code, block after block.
func BenchmarkTranslate(b *testing.B) {
	if !amd64.Supported {
		b.Skip("generated code cannot run on this host")
	}
	f := ownCode(b)
	e, err := amd64.New(front.Globals, amd64.Options{CacheSize: 64 << 20, Vec: x86.VecLayout, Bulk: &front.Bulk,
		Soft: func(tcg.CPU, *ir.Inst, *[4]uint64) (ret, ret2, image uint64) { return }})
	if err != nil {
		b.Skip(err)
	}
	defer e.Close()
	t, o := front.New(front.Config{Features: x86.TCGFeatures, Single: true}), opt.New(front.Globals)
	pc, insns, size, blocks := f.base, 0, 0, 0
	b.ReportAllocs()
	start := cpuTime()
	for b.Loop() {
		blk, err := t.Translate(pc, 0, x86.HFCS64|x86.HFLMA|x86.HFPE|x86.HFOSFXSR|x86.HFAVX|x86.HFCPLMask, f, maxInsns)
		if err != nil || pc-f.base > uint64(len(f.code))-pageSize {
			pc = f.base
			continue
		}
		o.Run(blk)
		c, err := e.Compile(blk, 1)
		if errors.As(err, &tcg.ErrFull{}) {
			e.Flush()
		} else if err != nil {
			b.Fatal(err)
		}
		pc += uint64(max(blk.Bytes, 1)) // what is no instruction has no length
		insns, size, blocks = insns+blk.Insns, size+c.Size, blocks+1
	}
	b.ReportMetric(float64(cpuTime()-start)/float64(insns), "cpu-ns/insn")
	b.ReportMetric(float64(size)/float64(insns), "bytes/insn")
	b.ReportMetric(float64(insns)/float64(blocks), "insns/block")
}
