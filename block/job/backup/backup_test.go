package backup_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/bitmap"
	"goemu/block/job"
	"goemu/block/job/backup"
	"goemu/block/job/jobtest"
)

// content reads a node that nobody else uses.
func content(b *jobtest.Bench, n *block.Node) (out []byte) {
	b.Locked(func() {
		c := b.Graph.NewBackend("", "", block.PermConsistentRead, block.PermAll)
		require.NoError(b, c.Insert(n))
		out = b.Content(c)
		c.Delete()
	})
	return out
}

func TestBackup(t *testing.T) {
	for _, row := range []struct {
		name string
		o    backup.Options
	}{
		{"full", backup.Options{}},
		{"compressed", backup.Options{Compress: true}},
		{"one worker", backup.Options{Workers: 1}},
		{"limited", backup.Options{Speed: 40 << 20}},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := jobtest.New(t)
			model := b.Chain()
			b.Create("copy", "")
			top, target := b.Open("top"), b.Open("copy")
			d := b.Disk(top)
			j := b.Start(func() (*job.Job, error) {
				o := row.o
				o.Source, o.Target = top, target
				return backup.New(context.Background(), b.Jobs, o)
			})
			require.Equal(t, "drive0", j.ID())
			now := append([]byte(nil), model...)
			b.Scribble(d, now, 9, 30) // must not reach the copy
			require.NoError(t, j.AwaitEnd())
			require.Equal(t, now, b.Content(d))
			require.Equal(t, model, content(b, target))
			b.Locked(func() { require.Same(t, top, d.Node(), "the filter is gone") })
			b.Judge("copy")
		})
	}
}

func TestNone(t *testing.T) {
	b := jobtest.New(t)
	model := b.Chain()
	b.Create("copy", "top")
	top := b.Open("top")
	d := b.Disk(top)
	target := b.Open("copy", "file.driver", "file", "file.filename", b.Path("copy"), "backing", "top")
	j := b.Start(func() (*job.Job, error) {
		return backup.New(context.Background(), b.Jobs, backup.Options{Source: top, Target: target, Sync: backup.None})
	})
	now := append([]byte(nil), model...)
	b.Scribble(d, now, 9, 30)
	require.Equal(t, model, content(b, target), "the target shows the disk as it was: fleecing")
	b.Locked(func() { require.NoError(t, j.Cancel(false)) })
	require.Error(t, j.AwaitEnd())
	require.Equal(t, now, b.Content(d))
}

func TestIncremental(t *testing.T) {
	b := jobtest.New(t)
	model := b.Chain()
	b.Create("copy", "")
	top, target := b.Open("top"), b.Open("copy")
	d := b.Disk(top)
	var marks *bitmap.Bitmap
	b.Locked(func() {
		var err error
		marks, err = top.AddBitmap(context.Background(), "b0", 65536)
		require.NoError(t, err)
	})
	run := func(o backup.Options) {
		o.Source, o.Target, o.Bitmap = top, target, marks
		j := b.Start(func() (*job.Job, error) { return backup.New(context.Background(), b.Jobs, o) })
		require.NoError(t, j.AwaitEnd())
	}
	run(backup.Options{})
	for round := range uint64(3) {
		b.Scribble(d, model, round, 4)
		require.NotZero(t, marks.Count())
		run(backup.Options{Sync: backup.Bitmap})
		require.Zero(t, marks.Count())
		require.Equal(t, model, content(b, target))
	}
	b.Scribble(d, model, 50, 4)
	before := marks.Count()
	run(backup.Options{Sync: backup.Bitmap, BitmapMode: backup.Never})
	require.Equal(t, before, marks.Count())
	require.Equal(t, model, content(b, target))
}

func TestCancelKeepsBitmap(t *testing.T) {
	b := jobtest.New(t)
	model := b.Chain()
	b.Create("copy", "")
	top, target := b.Open("top"), b.Open("copy")
	d := b.Disk(top)
	marks, err := top.AddBitmap(context.Background(), "b0", 65536)
	require.NoError(t, err)
	b.Scribble(d, model, 1, 20)
	before := marks.Count()
	j := b.Start(func() (*job.Job, error) {
		return backup.New(context.Background(), b.Jobs, backup.Options{Source: top, Target: target, Sync: backup.Bitmap, Bitmap: marks, Speed: 1})
	})
	time.Sleep(10 * time.Millisecond)
	b.Locked(func() { require.NoError(t, j.Cancel(true)) })
	require.Error(t, j.AwaitEnd())
	require.Equal(t, before, marks.Count())
	require.False(t, marks.HasSuccessor())
}

func TestRefusals(t *testing.T) {
	b := jobtest.New(t)
	b.Create("a", "")
	n := b.Open("a")
	raw := b.Open("r", "driver", "null-co", "size", int64(512))
	b.Locked(func() {
		_, err := backup.New(context.Background(), b.Jobs, backup.Options{Source: n, Target: n})
		require.EqualError(t, err, "Source and target cannot be the same")
		_, err = backup.New(context.Background(), b.Jobs, backup.Options{ID: "j", Source: n, Target: raw})
		require.EqualError(t, err, "Source and target image have different sizes")
	})
}
