package stream_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/job"
	"goemu/block/job/jobtest"
	"goemu/block/job/stream"
)

func TestStream(t *testing.T) {
	for _, row := range []struct{ base, backing string }{{"", ""}, {"base", "base"}} {
		t.Run("onto "+row.base, func(t *testing.T) {
			b := jobtest.New(t)
			model := b.Chain()
			top := b.Open("top")
			d := b.Disk(top)
			j := b.Start(func() (*job.Job, error) {
				o := stream.Options{Node: top, Flags: job.ManualDismiss}
				if row.base != "" {
					o.Base = top.Backing().Node().Backing().Node()
				}
				return stream.New(context.Background(), b.Jobs, o)
			})
			require.Equal(t, "drive0", j.ID())
			b.Scribble(d, model, 77, 10) // the guest goes on meanwhile
			require.NoError(t, j.AwaitEnd())
			require.Equal(t, model, b.Content(d))
			b.Locked(func() {
				name, _ := top.BackingFile()
				if row.backing == "" {
					require.Nil(t, top.Backing())
					require.Empty(t, name)
				} else {
					require.Equal(t, b.Path(row.backing), name)
					require.Equal(t, b.Path(row.backing), top.Backing().Node().Filename())
				}
				require.NoError(t, j.Dismiss())
			})
			require.NoError(t, d.Flush(context.Background()))
			b.Judge("top")
		})
	}
}

func TestBusy(t *testing.T) {
	b := jobtest.New(t)
	b.Chain()
	top := b.Open("top")
	b.Disk(top)
	b.Locked(func() {
		o := stream.Options{Node: top}
		_, err := stream.New(context.Background(), b.Jobs, o)
		require.NoError(t, err)
		require.EqualError(t, top.Blocked(block.OpStream), "Node 'drive0' is busy: block device is in use by block job: stream")
		o.ID = "other"
		_, err = stream.New(context.Background(), b.Jobs, o)
		require.ErrorContains(t, err, "Cannot change 'backing' link from 'top' to '#block")
	})
}
