package ir

import "testing"

func newTestBuilder() *Builder {
	return NewBuilder([]GlobalInfo{{Name: "rax", Offset: 0x100}, {Name: "rcx", Offset: 0x108}})
}

func TestBuilderForwardsGlobals(t *testing.T) {
	b := newTestBuilder()
	v := b.Add(8, b.Get(0), b.Get(1))
	b.Set(0, v)
	if b.Get(0) != v {
		t.Error("Get after Set is not the value set")
	}
	n := len(b.Block().Insts)
	b.Set(0, v)
	if len(b.Block().Insts) != n {
		t.Error("Set of the known value is emitted again")
	}
	b.Call(1, None, None, None)
	if b.Get(0) == v {
		t.Error("the value is still known after a helper")
	}
}

func TestBuilderForwardsFlags(t *testing.T) {
	b := newTestBuilder()
	f := b.CmpF(8, b.Get(0), b.Get(1))
	b.SetFlags(f)
	if b.Flags() != f {
		t.Error("Flags after SetFlags is not the value set")
	}
	b.Call(1, None, None, None)
	if b.Flags() == f {
		t.Error("flags are still known after a helper")
	}
}

func TestBuilderFolds(t *testing.T) {
	b := newTestBuilder()
	g := b.Get(0)
	c := func(v uint64) Val { return b.Const(v) }
	for _, x := range []struct {
		name      string
		got, want Val
	}{
		{"const shared", c(77), c(77)},
		{"add", b.Add(4, c(0xffffffff), c(2)), c(1)},
		{"sub", b.Sub(8, c(1), c(2)), c(^uint64(0))},
		{"add 0", b.Add(8, g, c(0)), g},
		{"shl", b.Shl(8, c(3), c(65)), c(6)},
		{"sar", b.Sar(1, c(0x80), c(3)), c(0xf0)},
		{"ext", b.Ext(1, c(0x1234)), c(0x34)},
		{"sext", b.Sext(1, c(0x80)), c(^uint64(0x7f))},
		{"ext of load", b.Ext(2, b.LdEnv(1, 8)), Val(len(b.Block().Vals) - 1)},
		{"deposit", b.Deposit(c(0xffff), c(0x12), 8, 8), c(0x12ff)},
		{"extract", b.Extract(c(0xabcd), 8, 8), c(0xab)},
		{"lea const", b.Lea(4, c(0xffffffff), c(1), 1, 4), c(5)},
		{"lea base only", b.Lea(8, g, None, 0, 0), g},
		{"not", b.Not(4, c(0)), c(0xffffffff)},
	} {
		if x.got != x.want {
			t.Errorf("%s: got v%d, want v%d", x.name, x.got, x.want)
		}
	}
}

func TestBuilderRollback(t *testing.T) {
	b := newTestBuilder()
	b.Insn(0x10, 1)
	m := b.Mark()
	b.Insn(0x11, 2)
	b.Set(0, b.Const(5))
	b.GotoPC(0x13)
	b.Rollback(m)
	blk := b.Block()
	if len(blk.Insts) != 1 || len(blk.Exits) != 0 || blk.Insns != 1 || blk.Bytes != 1 || len(blk.Vals) != 1 {
		t.Errorf("rolled back to %+v", blk)
	}
}

func BenchmarkBuilder(b *testing.B) {
	bld := newTestBuilder()
	b.ReportAllocs()
	for b.Loop() {
		bld.Reset(0)
		for i := range 16 {
			bld.Insn(uint64(i), 3)
			v, f := bld.AddF(8, bld.Get(0), bld.Const(uint64(i)))
			bld.Set(0, v)
			bld.SetFlags(f)
		}
		bld.GotoPC(0)
	}
}
