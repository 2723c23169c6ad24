package mirror_test

import (
	"bytes"
	"context"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/job"
	"goemu/block/job/jobtest"
	"goemu/block/job/mirror"
)

// ready waits until a job can be completed.
func ready(t *testing.T, j *job.Job) {
	t.Helper()
	require.Eventually(t, func() bool { return j.Info().Ready }, 30*time.Second, time.Millisecond)
}

// writing lets a guest write all the while; stop ends that.
func writing(b *jobtest.Bench, d *block.Backend, model []byte) (stop func()) {
	var end atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for seed := uint64(100); !end.Load(); seed++ {
			b.Scribble(d, model, seed, 5)
		}
	}()
	return func() { end.Store(true); <-done }
}

func TestMirror(t *testing.T) {
	for _, row := range []struct {
		name string
		o    mirror.Options
	}{
		{"full", mirror.Options{}},
		{"full, write-blocking", mirror.Options{Blocking: true}},
		{"top", mirror.Options{Sync: mirror.Top}},
		{"full, unmap, fine", mirror.Options{Unmap: true, Granularity: 4096}},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := jobtest.New(t)
			model := b.Chain()
			b.Create("copy", "")
			top, target := b.Open("top"), b.Open("copy")
			d := b.Disk(top)
			stop := writing(b, d, model)
			j := b.Start(func() (*job.Job, error) {
				o := row.o
				o.Source, o.Target = top, target
				if o.Sync == mirror.Top {
					o.Base = top.Backing().Node()
				}
				return mirror.New(context.Background(), b.Jobs, o)
			})
			ready(t, j)
			time.Sleep(20 * time.Millisecond)
			b.Locked(func() { require.NoError(t, j.Complete()) })
			require.NoError(t, j.AwaitEnd())
			stop()
			b.Locked(func() { require.Same(t, target, d.Node(), "the target has taken the source's place") })
			require.Equal(t, model, b.Content(d))
			if row.o.Sync == mirror.Top {
				b.Locked(func() { require.Equal(t, b.Path("mid"), target.Backing().Node().Filename()) })
			}
			require.NoError(t, d.Flush(context.Background()))
			b.Judge("copy")
			b.Judge("top")
		})
	}
}

func TestUsedTarget(t *testing.T) {
	b := jobtest.New(t)
	b.Create("empty", "")
	b.Create("copy", "")
	source, target := b.Open("empty"), b.Open("copy")
	d := b.Disk(source)
	var c *block.Backend
	b.Locked(func() {
		c = b.Graph.NewBackend("", "", block.PermWrite, block.PermAll)
		require.NoError(t, c.Insert(target))
	})
	b.Scribble(c, make([]byte, jobtest.Size), 7, 10)
	b.Locked(c.Delete)
	j := b.Start(func() (*job.Job, error) {
		return mirror.New(context.Background(), b.Jobs, mirror.Options{Source: source, Target: target, ZeroTarget: true})
	})
	ready(t, j)
	b.Locked(func() {
		n := b.Graph.NewBackend("", "", block.PermResize, block.PermAll)
		require.ErrorContains(t, n.Insert(source), "Permission conflict", "the source keeps its length")
		n.Delete()
		require.NoError(t, j.Complete())
	})
	require.NoError(t, j.AwaitEnd())
	require.Equal(t, make([]byte, jobtest.Size), b.Content(d), "what was in the target before is gone")
}

func TestSoftCancel(t *testing.T) {
	b := jobtest.New(t)
	model := b.Chain()
	b.Create("copy", "")
	top, target := b.Open("top"), b.Open("copy")
	d := b.Disk(top)
	j := b.Start(func() (*job.Job, error) {
		return mirror.New(context.Background(), b.Jobs, mirror.Options{Source: top, Target: target})
	})
	ready(t, j)
	b.Scribble(d, model, 5, 20)
	b.Locked(func() { require.NoError(t, j.Cancel(false)) })
	require.NoError(t, j.AwaitEnd())
	b.Locked(func() { require.Same(t, top, d.Node(), "the source stays") })
	b.Scribble(d, append([]byte(nil), model...), 6, 3) // no longer part of the copy
	var copied []byte
	b.Locked(func() {
		c := b.Graph.NewBackend("", "", block.PermConsistentRead, block.PermAll)
		require.NoError(t, c.Insert(target))
		copied = b.Content(c)
		c.Delete()
	})
	require.Equal(t, model, copied)
	require.Equal(t, []string{"created", "running", "ready", "event1", "waiting", "pending", "event3", "concluded", "null"}, b.Events())
}

func TestCommitOfActiveLayer(t *testing.T) {
	b := jobtest.New(t)
	model := b.Chain()
	top := b.Open("top")
	d := b.Disk(top)
	stop := writing(b, d, model)
	var base *block.Node
	j := b.Start(func() (*job.Job, error) {
		base = top.Backing().Node().Backing().Node()
		require.True(t, base.ReadOnly())
		return mirror.NewCommit(context.Background(), b.Jobs, mirror.Options{Source: top, Target: base})
	})
	require.Equal(t, "commit", j.Type())
	ready(t, j)
	b.Locked(func() { require.NoError(t, j.Complete()) })
	require.NoError(t, j.AwaitEnd())
	stop()
	b.Locked(func() { require.Same(t, base, d.Node()) })
	require.Equal(t, model, b.Content(d))
	require.NoError(t, d.Flush(context.Background()))
	b.Judge("base")
}

func TestTargetError(t *testing.T) {
	b := jobtest.New(t)
	b.Chain()
	b.Create("copy", "")
	top := b.Open("top")
	target := b.Open("copy", "file.driver", "blkdebug", "file.image.driver", "file", "file.image.filename", b.Path("copy"),
		"file.inject-error.0.event", "write_aio", "file.inject-error.0.errno", int64(unix.ENOSPC))
	d := b.Disk(top)
	j := b.Start(func() (*job.Job, error) {
		return mirror.New(context.Background(), b.Jobs, mirror.Options{Source: top, Target: target})
	})
	require.ErrorIs(t, j.AwaitEnd(), unix.ENOSPC)
	b.Locked(func() { require.Same(t, top, d.Node()) })
	require.Contains(t, b.Events(), "event5", "BLOCK_JOB_ERROR")
}

// A granule that cannot be written keeps those that go with it from nothing: they are copied and counted.
func TestTargetErrorInGranule(t *testing.T) {
	const granule, length = 64 << 10, 3*64<<10 + 512
	b := jobtest.New(t)
	require.NoError(t, os.WriteFile(b.Path("from"), bytes.Repeat([]byte{7}, length), 0o600))
	require.NoError(t, os.WriteFile(b.Path("to"), make([]byte, length), 0o600))
	source := b.Open("from", "driver", "raw", "file.driver", "file", "file.filename", b.Path("from"))
	target := b.Open("to", "driver", "raw", "file.driver", "blkdebug", "file.image.driver", "file", "file.image.filename", b.Path("to"),
		"file.inject-error.0.event", "none", "file.inject-error.0.sector", 0, "file.inject-error.0.iotype", "write")
	j := b.Start(func() (*job.Job, error) {
		return mirror.New(context.Background(), b.Jobs, mirror.Options{ID: "j", Source: source, Target: target, Flags: job.ManualDismiss})
	})
	require.ErrorIs(t, j.AwaitEnd(), unix.EIO)
	require.Equal(t, int64(length%granule), j.Info().Offset)
}

// Jobs that a drained section holds back stop, and are told to go on, before they are cancelled.
func TestCancelDrained(t *testing.T) {
	b := jobtest.New(t)
	b.Chain()
	b.Create("copy", "")
	top, target := b.Open("top"), b.Open("copy")
	j := b.Start(func() (*job.Job, error) {
		return mirror.New(context.Background(), b.Jobs, mirror.Options{ID: "j", Source: top, Target: target})
	})
	ready(t, j)
	b.Graph.Lock()
	drained := b.Graph.DrainAllBegin()
	b.Graph.Unlock()
	b.Jobs.CancelAll()
	b.Locked(func() { block.DrainNodesEnd(drained) })
	require.Equal(t, []string{"created", "running", "ready", "event1", "standby", "ready", "aborting"}, b.Events()[:7])
}

func TestRefusals(t *testing.T) {
	b := jobtest.New(t)
	b.Create("a", "")
	n := b.Open("a")
	b.Locked(func() {
		_, err := mirror.New(context.Background(), b.Jobs, mirror.Options{Source: n, Target: n})
		require.EqualError(t, err, "Can't mirror node into itself")
		_, err = mirror.New(context.Background(), b.Jobs, mirror.Options{Source: n, Target: n, Granularity: 1000})
		require.EqualError(t, err, "Parameter 'granularity' expects a power of 2")
	})
}

// A target whose backing file is not there yet gets whole clusters: the rest of one cannot come from there.
func TestWholeClusters(t *testing.T) {
	for _, blocking := range []bool{false, true} {
		b := jobtest.New(t)
		model := b.Chain()
		b.Create("copy", "mid")
		top := b.Open("top")
		target := b.Open("copy", "file.driver", "file", "file.filename", b.Path("copy"), "backing", nil)
		d := b.Disk(top)
		j := b.Start(func() (*job.Job, error) {
			return mirror.New(context.Background(), b.Jobs, mirror.Options{Source: top, Target: target, Sync: mirror.Top, Base: top.Backing().Node(), Blocking: blocking, Granularity: 4096})
		})
		ready(t, j)
		b.Scribble(d, model, 9, 20)
		b.Locked(func() { require.NoError(t, j.Complete()) })
		require.NoError(t, j.AwaitEnd())
		require.Equal(t, model, b.Content(d))
	}
}

// TestRepairQuorum puts a copy of what a quorum shows in the place of one of its images, unless somebody else uses that.
func TestRepairQuorum(t *testing.T) {
	for _, shared := range []bool{false, true} {
		b := jobtest.New(t)
		for _, name := range []string{"a", "b", "c", "copy"} {
			b.Create(name, "")
		}
		broken, target := b.Open("c"), b.Open("copy")
		q := b.Open("q", "driver", "quorum", "vote-threshold", 2, "children.0.driver", "qcow2", "children.0.file.filename", b.Path("a"),
			"children.1.driver", "qcow2", "children.1.file.filename", b.Path("b"), "children.2", "c")
		d := b.Disk(q)
		model := make([]byte, jobtest.Size)
		b.Scribble(d, model, 1, 20)
		var told string
		b.Graph.Report = func(text string) { told = text }
		j := b.Start(func() (*job.Job, error) {
			require.True(t, q.CanReplace(broken))
			require.False(t, q.CanReplace(broken.Child("file").Node()))
			return mirror.New(context.Background(), b.Jobs, mirror.Options{ID: "j", Source: q, Target: target, Replaces: "c"})
		})
		ready(t, j)
		if shared {
			var c *block.Child
			b.Locked(func() {
				var err error
				c, err = b.Graph.Use(&block.User{Name: "other"}, broken, "root", 0, block.PermAll)
				require.NoError(t, err)
			})
			defer b.Locked(func() { b.Graph.Leave(c) })
		}
		b.Locked(func() {
			require.NoError(t, j.Complete())
			require.ErrorContains(t, broken.Blocked(block.OpResize), "block device is in use by block-job-complete")
		})
		if err := j.AwaitEnd(); shared {
			require.ErrorIs(t, err, unix.EPERM)
			require.Equal(t, "Can no longer replace 'c' by 'copy', because it can no longer be guaranteed that doing so would not lead to an abrupt change of visible data", told)
		} else {
			require.NoError(t, err)
		}
		b.Locked(func() {
			require.NoError(t, broken.Blocked(block.OpResize))
			want := target
			if shared {
				want = broken
			}
			require.Same(t, want, q.Child("children.2").Node())
			require.Same(t, q, d.Node())
		})
		b.Scribble(d, model, 2, 20)
		require.Equal(t, model, b.Content(d))
		if !shared {
			b.Judge("copy")
		}
	}
}
