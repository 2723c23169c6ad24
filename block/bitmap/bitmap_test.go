package bitmap

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// model is a set of chunks, one bool each.
type model struct {
	size  int64
	shift uint
	dirty []bool
}

func newModel(size int64, shift uint) *model {
	return &model{size: size, shift: shift, dirty: make([]bool, (size+1<<shift-1)>>shift)}
}

func (m *model) fill(off, n int64, v bool) {
	for b := range m.dirty {
		start := int64(b) << m.shift
		if n > 0 && start < off+n && off < min(start+1<<m.shift, m.size) && off < m.size {
			m.dirty[b] = v
		}
	}
}

func (m *model) at(off int64) bool { return m.dirty[off>>m.shift] }

func (m *model) next(off, n int64, v bool) (int64, bool) {
	for ; n > 0 && off < m.size; off, n = off+1, n-1 {
		if m.at(off) == v {
			return off, true
		}
	}
	return 0, false
}

func (m *model) count() (n int64) {
	for _, d := range m.dirty {
		if d {
			n += 1 << m.shift
		}
	}
	return n
}

// check compares everything that can be asked.
func (m *model) check(t require.TestingT, got *Map) {
	require.Equal(t, m.size, got.Size())
	require.Equal(t, m.count(), got.Count())
	for off := int64(0); off < m.size; off++ {
		if m.at(off) != got.Get(off) {
			require.Fail(t, "wrong bit", "byte %d: %v", off, got.Get(off))
		}
	}
	for off := int64(0); off < m.size; off += 61 {
		want, wantOK := m.next(off, m.size, true)
		b, ok := got.NextDirty(off, m.size)
		require.Equal(t, []any{want, wantOK}, []any{b, ok}, "dirty from %d", off)
		want, wantOK = m.next(off, m.size, false)
		b, ok = got.NextZero(off, math.MaxInt64)
		require.Equal(t, []any{want, wantOK}, []any{b, ok}, "clean from %d", off)
	}
}

func TestMapModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shift := uint(rapid.IntRange(0, 4).Draw(t, "shift"))
		size := rapid.Int64Range(1, 700).Draw(t, "size")
		m, want := NewMap(size, shift), newModel(size, shift)
		rng := func() (int64, int64) {
			off := rapid.Int64Range(0, want.size+9).Draw(t, "off")
			return off, rapid.Int64Range(0, want.size).Draw(t, "n")
		}
		t.Repeat(map[string]func(*rapid.T){
			"set":   func(*rapid.T) { off, n := rng(); m.Set(off, n); want.fill(off, n, true) },
			"reset": func(*rapid.T) { off, n := rng(); m.Reset(off, n); want.fill(off, n, false) },
			"clear": func(*rapid.T) { m.Clear(); want.fill(0, want.size, false) },
			"truncate": func(t *rapid.T) {
				size := rapid.Int64Range(1, 700).Draw(t, "new size")
				old := want
				want = newModel(size, shift)
				copy(want.dirty, old.dirty)
				m.Truncate(size)
			},
			"merge": func(t *rapid.T) {
				s2 := uint(rapid.IntRange(0, 4).Draw(t, "other shift"))
				other := NewMap(want.size, s2)
				off, n := rng()
				other.Set(off, n)
				for b := int64(0); b < want.size; b++ {
					if other.Get(b) {
						want.fill(b, 1, true)
					}
				}
				m.Merge(other)
			},
			"area": func(t *rapid.T) {
				off, n := rng()
				limit := rapid.Int64Range(1, 99).Draw(t, "limit")
				start, length, ok := m.NextDirtyArea(off, off+n, limit)
				wantStart, wantOK := want.next(off, n, true)
				require.Equal(t, wantOK, ok)
				if ok {
					end := min(off+n, want.size)
					require.Equal(t, wantStart, start)
					wantEnd, more := want.next(start, min(limit, end-start), false)
					if !more {
						wantEnd = start + min(limit, end-start)
					}
					require.Equal(t, wantEnd, start+length)
				}
			},
			"status": func(t *rapid.T) {
				off := rapid.Int64Range(0, want.size-1).Draw(t, "at")
				n := rapid.Int64Range(1, want.size-off).Draw(t, "len")
				dirty, length := m.Status(off, n)
				require.Equal(t, want.at(off), dirty)
				end, more := want.next(off, n, !dirty)
				if !more {
					end = off + n
				}
				require.Equal(t, end, off+length)
			},
			"serial": func(*rapid.T) {
				fresh := NewMap(want.size, shift)
				for off := int64(0); off < want.size; off += m.SerialAlign() {
					part := make([]byte, m.SerialSize(off, m.SerialAlign()))
					m.Serialize(part, off, m.SerialAlign())
					fresh.Deserialize(part, off, m.SerialAlign())
				}
				fresh.Finish()
				m = fresh
			},
			"": func(t *rapid.T) { want.check(t, m) },
		})
	})
}

func TestLargeMap(t *testing.T) {
	m := NewMap(1<<50, 16)
	m.Set(1<<49+5, 1)
	off, ok := m.NextDirty(0, math.MaxInt64)
	require.True(t, ok)
	require.Equal(t, int64(1<<49), off)
	m.Reset(1<<49, 1)
	_, ok = m.NextDirty(0, math.MaxInt64)
	require.False(t, ok)
	require.Zero(t, m.Count())
}

func TestSerialForm(t *testing.T) {
	m := NewMap(200*512, 9)
	m.Set(0, 512)
	m.Set(63*512, 1024) // bits 63 and 64
	require.Equal(t, int64(64*512), m.SerialAlign())
	require.Equal(t, int64(32), m.SerialSize(0, m.Size()))
	buf := make([]byte, 32)
	m.Serialize(buf, 0, m.Size())
	require.Equal(t, uint64(1|1<<63), binary.LittleEndian.Uint64(buf))
	require.Equal(t, uint64(1), binary.LittleEndian.Uint64(buf[8:]))

	m.Fill(0, m.Size(), true) // bits behind the end are dropped
	m.Finish()
	require.Equal(t, int64(200*512), m.Count())
	m.Fill(0, m.Size(), false)
	m.Finish()
	require.Zero(t, m.Count())
}

func TestSuccessor(t *testing.T) {
	for _, abdicate := range []bool{true, false} {
		b := New("b", 1<<20, 4096)
		b.Record(0, 1)
		require.True(t, b.Split())
		require.False(t, b.Split(), "one operation at a time")
		require.True(t, b.Infos()[0].Recording)
		require.Equal(t, State{Busy: true}, b.State())
		b.Record(8192, 1)
		require.False(t, b.Get(8192), "the content stands still")
		if abdicate {
			b.Abdicate()
		} else {
			b.Reclaim()
		}
		require.Equal(t, State{Enabled: true}, b.State())
		require.True(t, b.Get(8192))
		require.Equal(t, !abdicate, b.Get(0))
		require.False(t, b.HasSuccessor())
	}
	b := New("off", 1<<20, 4096)
	b.Change(func(s *State) { s.Enabled = false })
	require.True(t, b.Split())
	b.Record(0, 1)
	require.False(t, b.Infos()[0].Recording)
	b.EnableSuccessor()
	b.Record(4096, 1)
	b.Reclaim()
	require.Equal(t, int64(4096), b.Count())
	require.True(t, b.State().Enabled)
}

func TestMergeAndRestore(t *testing.T) {
	a, b := New("a", 1<<20, 4096), New("b", 1<<20, 65536)
	a.Set(0, 4096)
	b.Set(65536, 1)
	before, ok := a.Merge(b)
	require.True(t, ok)
	require.Equal(t, int64(4096+65536), a.Count())
	a.Restore(before)
	require.Equal(t, int64(4096), a.Count())
	_, ok = a.Merge(New("c", 1<<19, 4096))
	require.False(t, ok, "sizes differ")
	_, ok = a.Merge(a)
	require.True(t, ok)
	require.Equal(t, int64(4096), a.Count())
	a.Truncate(2048)
	require.Equal(t, int64(4096), a.Count(), "the last chunk counts whole")
}
