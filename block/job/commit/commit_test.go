package commit_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/job"
	"goemu/block/job/commit"
	"goemu/block/job/jobtest"
)

// chain opens the three images.
func chain(b *jobtest.Bench) (top, mid, base *block.Node) {
	top = b.Open("top")
	b.Locked(func() {
		mid = top.Backing().Node()
		base = mid.Backing().Node()
	})
	return top, mid, base
}

func TestCommit(t *testing.T) {
	b := jobtest.New(t)
	model := b.Chain()
	top, mid, base := chain(b)
	d := b.Disk(top)
	j := b.Start(func() (*job.Job, error) {
		return commit.New(context.Background(), b.Jobs, commit.Options{Active: top, Top: mid, Base: base})
	})
	b.Scribble(d, model, 77, 10) // the guest goes on meanwhile
	require.NoError(t, j.AwaitEnd())
	require.Equal(t, model, b.Content(d))
	b.Locked(func() {
		require.Same(t, base, top.Backing().Node())
		name, format := top.BackingFile()
		require.Equal(t, []string{b.Path("base"), "qcow2"}, []string{name, format})
		require.True(t, base.ReadOnly())
		for _, n := range b.Graph.Nodes() {
			require.NotEqual(t, b.Path("mid"), n.Filename(), "the merged image is closed")
		}
	})
	require.NoError(t, d.Flush(context.Background()))
	b.Judge("top")
	b.Judge("base")
}

func TestCancel(t *testing.T) {
	b := jobtest.New(t)
	model := b.Chain()
	top, mid, base := chain(b)
	d := b.Disk(top)
	j := b.Start(func() (*job.Job, error) {
		return commit.New(context.Background(), b.Jobs, commit.Options{Active: top, Top: mid, Base: base, Speed: 1})
	})
	time.Sleep(10 * time.Millisecond)
	b.Locked(func() { require.NoError(t, j.Cancel(true)) })
	require.Error(t, j.AwaitEnd())
	require.Equal(t, model, b.Content(d))
	b.Locked(func() {
		require.Same(t, mid, top.Backing().Node())
		require.True(t, base.ReadOnly())
	})
}

func TestRefusals(t *testing.T) {
	b := jobtest.New(t)
	b.Chain()
	top, mid, base := chain(b)
	b.Locked(func() {
		_, err := commit.New(context.Background(), b.Jobs, commit.Options{ID: "j", Active: top, Top: mid, Base: mid})
		require.EqualError(t, err, "Invalid files for merge: top and base are the same")
		_, err = commit.New(context.Background(), b.Jobs, commit.Options{ID: "j", Active: top, Top: base, Base: mid})
		require.ErrorContains(t, err, "is not in the backing chain of")
		_, err = commit.New(context.Background(), b.Jobs, commit.Options{Active: top, Top: mid, Base: base})
		require.EqualError(t, err, "Invalid job ID ''")
		require.True(t, base.ReadOnly())
	})
}
