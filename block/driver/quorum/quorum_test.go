package quorum_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/job/jobtest"
)

const size = 1 << 20

// bench is a quorum of raw images a, b and c, and what was told about it.
type bench struct {
	*jobtest.Bench
	mu   sync.Mutex
	told []string
}

func newBench(t *testing.T) *bench {
	b := &bench{Bench: jobtest.New(t)}
	tell := func(format string, a ...any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.told = append(b.told, fmt.Sprintf(format, a...))
	}
	b.Graph.OnQuorumBad = func(q block.QuorumBad) { tell("%s %s %d+%d %v", q.Op, q.Node.Name(), q.Offset, q.Size, q.Err) }
	b.Graph.OnQuorumFailure = func(n *block.Node, off, size int64) { tell("failure %s %d+%d", n.Name(), off, size) }
	for _, name := range []string{"a", "b", "c", "d"} {
		require.NoError(t, os.WriteFile(b.file(name), make([]byte, size), 0o600))
	}
	return b
}

func (b *bench) file(name string) string { return b.Dir + "/" + name }

// heard returns what was told since the last call.
func (b *bench) heard() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	told := b.told
	b.told = nil
	return told
}

// spoil writes a byte into the file of an image, past the quorum.
func (b *bench) spoil(name string, off int64, v byte) {
	f, err := os.OpenFile(b.file(name), os.O_WRONLY, 0)
	require.NoError(b, err)
	defer f.Close()
	_, err = f.WriteAt([]byte{v}, off)
	require.NoError(b, err)
}

// children are options for a quorum of the images a, b and c, to which others may be added; fails has rules of blkdebug for some of them.
func (b *bench) children(fails map[string][]any, options ...any) []any {
	for i, name := range []string{"a", "b", "c"} {
		p := fmt.Sprintf("children.%d.", i)
		options = append(options, p+"driver", "raw", p+"node-name", name)
		if rule := fails[name]; rule != nil {
			options = append(options, p+"file.driver", "blkdebug", p+"file.image.filename", b.file(name), p+"file.image.driver", "file")
			for j := 0; j < len(rule); j += 2 {
				options = append(options, p+"file.inject-error.0."+rule[j].(string), rule[j+1])
			}
			continue
		}
		options = append(options, p+"file.driver", "file", p+"file.filename", b.file(name))
	}
	return append(options, "driver", "quorum")
}

func TestVote(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	q := b.Disk(b.Open("q", b.children(nil, "vote-threshold", 2)...))
	data := bytes.Repeat([]byte{7}, 4096)
	require.NoError(t, q.Write(ctx, 8192, data, 0))
	b.spoil("b", 8192+100, 8)
	got := make([]byte, 4096)
	require.NoError(t, q.Read(ctx, 8192, got))
	require.Equal(t, data, got)
	require.Equal(t, []string{"read b 8192+4096 <nil>"}, b.heard())

	b.spoil("c", 8192+101, 9)
	require.ErrorIs(t, q.Read(ctx, 8192, got), unix.EIO)
	require.Equal(t, []string{"failure q 8192+4096"}, b.heard())

	require.NoError(t, q.Read(ctx, 8192+512, got[:512])) // they differ elsewhere only
	require.Empty(t, b.heard())

	require.NoError(t, q.Write(ctx, 8192, data, 0)) // all get it
	require.NoError(t, q.Read(ctx, 8192, got))
	require.Empty(t, b.heard())
	b.spoil("b", 100, 8)
	b.spoil("c", 100, 8)
	require.NoError(t, q.Read(ctx, 0, got))
	require.EqualValues(t, 8, got[100])
	require.Equal(t, []string{"read a 0+4096 <nil>"}, b.heard())
}

func TestRewrite(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	q := b.Disk(b.Open("q", b.children(nil, "vote-threshold", 2, "rewrite-corrupted", true)...))
	b.spoil("a", 5000, 1)
	got := make([]byte, 8192)
	require.NoError(t, q.Read(ctx, 0, got))
	require.Equal(t, []string{"read a 0+8192 <nil>"}, b.heard())
	require.NoError(t, q.Read(ctx, 0, got))
	require.Empty(t, b.heard())
	file, err := os.ReadFile(b.file("a"))
	require.NoError(t, err)
	require.Equal(t, make([]byte, size), file)
}

func TestFailingChild(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	q := b.Disk(b.Open("q", b.children(map[string][]any{"b": {"event", "none", "iotype", "write", "errno", int(unix.ENOSPC)}}, "vote-threshold", 2)...))
	require.NoError(t, q.Write(ctx, 0, []byte("x"), 0))
	heard := b.heard()
	require.Contains(t, heard[len(heard)-1], "write b ")
	got := make([]byte, 1)
	require.NoError(t, q.Read(ctx, 0, got))
	require.Equal(t, "x", string(got))
}

func TestTooFewVotes(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		kind string
		do   func(d *block.Backend) error
		told []string
	}{
		{"read", func(d *block.Backend) error { return d.Read(ctx, 0, make([]byte, 512)) },
			[]string{"read a 0+512 no space left on device", "read c 0+512 no space left on device", "failure q 0+512"}},
		{"write", func(d *block.Backend) error { return d.Write(ctx, 512, make([]byte, 512), 0) },
			[]string{"write a 512+512 no space left on device", "write c 512+512 no space left on device", "failure q 512+512"}},
		{"write-zeroes", func(d *block.Backend) error { return d.WriteZeroes(ctx, 512, 512, 0) },
			[]string{"write a 512+512 no space left on device", "write c 512+512 no space left on device", "failure q 512+512"}},
		{"flush", func(d *block.Backend) error {
			return firstError(d.Write(ctx, 0, make([]byte, 512), 0), d.Flush(ctx))
		}, []string{"flush a 0+0 no space left on device", "flush c 0+0 no space left on device"}},
	} {
		t.Run(c.kind, func(t *testing.T) {
			b := newBench(t)
			rule := []any{"event", "none", "iotype", c.kind, "errno", int(unix.ENOSPC)}
			d := b.Disk(b.Open("q", b.children(map[string][]any{"a": rule, "c": rule}, "vote-threshold", 2)...))
			require.ErrorIs(t, c.do(d), unix.ENOSPC)
			require.Equal(t, c.told, b.heard())
		})
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestFIFO(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	rule := []any{"event", "none", "iotype", "read", "errno", int(unix.EIO), "once", true}
	d := b.Disk(b.Open("q", b.children(map[string][]any{"a": rule}, "vote-threshold", 1, "read-pattern", "fifo")...))
	b.spoil("a", 0, 1)
	b.spoil("b", 0, 2)
	got := make([]byte, 512)
	for i, told := range [][]string{{"read a 0+512 input/output error"}, nil} {
		require.NoError(t, d.Read(ctx, 0, got))
		require.EqualValues(t, 2-i, got[0])
		require.Equal(t, told, b.heard())
	}
}

// TestModel compares a quorum, in which one image after the other is spoilt, with a plain array.
func TestModel(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	d := b.Disk(b.Open("q", b.children(nil, "vote-threshold", 2, "rewrite-corrupted", true)...))
	model := make([]byte, size)
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		off := r.Int64N(size - 20000)
		n := 1 + r.Int64N(20000)
		switch r.IntN(4) {
		case 0:
			data := bytes.Repeat([]byte{byte(r.IntN(256))}, int(n))
			copy(model[off:], data)
			require.NoError(t, d.Write(ctx, off, data, 0))
		case 1:
			clear(model[off : off+n])
			require.NoError(t, d.WriteZeroes(ctx, off, n, block.MayUnmap))
		case 2: // spoilt, and mended by the read
			b.spoil([]string{"a", "b", "c"}[r.IntN(3)], off, byte(r.IntN(256)))
			fallthrough
		default:
			got := make([]byte, n)
			require.NoError(t, d.Read(ctx, off, got))
			require.True(t, bytes.Equal(model[off:off+n], got))
		}
	}
	for _, name := range []string{"a", "b", "c"} {
		file, err := os.ReadFile(b.file(name))
		require.NoError(t, err)
		require.True(t, bytes.Equal(model, file))
	}
}

// TestChildren adds and removes images while requests go on.
func TestChildren(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	q := b.Open("q", b.children(nil, "vote-threshold", 2)...)
	disk := b.Disk(q)
	extra := b.Open("d", "driver", "raw", "file.driver", "file", "file.filename", b.file("d"))
	stop, done := make(chan struct{}), make(chan error)
	go func() {
		for i := byte(0); ; i++ {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := firstError(disk.Write(ctx, 512, bytes.Repeat([]byte{i}, 512), 0), disk.Read(ctx, 512, make([]byte, 512)), disk.Flush(ctx)); err != nil {
				done <- err
				return
			}
		}
	}()
	for range 20 {
		b.Locked(func() {
			require.NoError(t, b.Graph.AddChild(q, extra))
			require.Equal(t, "children.3", q.Children()[3].Name())
			require.EqualError(t, b.Graph.AddChild(q, extra), "The node d already has a parent")
			require.NoError(t, b.Graph.RemoveChild(q.Child("children.3")))
		})
	}
	close(stop)
	require.NoError(t, <-done)
	for _, s := range b.heard() { // the image that was added with other content
		require.Contains(t, s, "read d ")
	}
	b.Locked(func() {
		require.NoError(t, b.Graph.AddChild(q, extra))
		require.NoError(t, b.Graph.RemoveChild(q.Child("children.0")))
		require.NoError(t, b.Graph.RemoveChild(q.Child("children.1")))
		require.EqualError(t, b.Graph.RemoveChild(q.Child("children.2")), "The number of children cannot be lower than the vote threshold 2")
		require.EqualError(t, b.Graph.RemoveChild(extra.Child("file")), "The node d does not support removing a child")
		q.RefreshFilename()
		require.Contains(t, q.Filename(), b.file("c"))
		require.NotContains(t, q.Filename(), b.file("b"))
	})
}
