package filter_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/job/jobtest"
)

func TestCopyOnRead(t *testing.T) {
	ctx := context.Background()
	for _, bottom := range []bool{false, true} {
		b := jobtest.New(t)
		model := b.Chain()
		top := b.Open("top")
		options := []any{"driver", "copy-on-read", "file", "top"}
		if bottom {
			b.Locked(func() { options = append(options, "bottom", top.Backing().Node().Name()) })
		}
		f := b.Open("f", options...)
		d := b.Disk(f)
		require.Equal(t, model, b.Content(d))
		for off := int64(0); off < jobtest.Size; off += jobtest.Cluster {
			depth, _, err := top.AllocatedAbove(ctx, nil, false, off, jobtest.Cluster)
			require.NoError(t, err)
			want := []int{0, 1}
			if bottom { // what the lowest image holds stays there
				want = []int{0, 1, 3}
			}
			require.Contains(t, want, depth, "offset %#x", off)
		}
		require.Equal(t, model, b.Content(d))
	}
}

func TestCompress(t *testing.T) {
	b := jobtest.New(t)
	b.Create("a", "")
	a := b.Open("a")
	d := b.Disk(b.Open("f", "driver", "compress", "file", "a"))
	data := make([]byte, 3*jobtest.Cluster)
	for i := range data {
		data[i] = byte(i / 1000)
	}
	require.NoError(t, d.Write(context.Background(), jobtest.Cluster, data, 0))
	got := make([]byte, len(data))
	require.NoError(t, d.Read(context.Background(), jobtest.Cluster, got))
	require.Equal(t, data, got)
	s, err := a.Status(context.Background(), true, jobtest.Cluster, jobtest.Cluster)
	require.NoError(t, err)
	require.NotZero(t, s.Flags&block.StatusCompressed)
	b.Locked(func() {
		_, err := b.Graph.Open(context.Background(), "", block.OptionsOf("driver", "compress", "file.driver", "null-co"), block.Mode{})
		require.EqualError(t, err, "Compression is not supported for underlying format: null-co")
	})
}

func TestThrottle(t *testing.T) {
	b := jobtest.New(t)
	g, limits := block.NewThrottleGroup("g"), block.NewThrottleConfig()
	limits.Buckets[block.OpsTotal].Avg = 20
	require.NoError(t, g.SetConfig(limits))
	b.Graph.Object = func(id string) any {
		if id == "g" {
			return g
		}
		return nil
	}
	d := b.Disk(b.Open("f", "driver", "throttle", "throttle-group", "g", "file.driver", "null-co", "file.size", int64(jobtest.Size)))
	start := time.Now()
	for range 8 {
		require.NoError(t, d.Read(context.Background(), 0, make([]byte, 512)))
	}
	require.Greater(t, time.Since(start), 100*time.Millisecond, "8 requests at 20 a second, the first of them free")
	b.Locked(func() {
		for options, text := range map[string]string{"": "Please specify a throttle group", "h": "Throttle group 'h' does not exist"} {
			o := block.OptionsOf("driver", "throttle", "file.driver", "null-co")
			if options != "" {
				o.Set("throttle-group", options)
			}
			_, err := b.Graph.Open(context.Background(), "", o, block.Mode{})
			require.EqualError(t, err, text)
		}
	})
	limits.Buckets[block.OpsTotal] = block.Bucket{Max: 20, Length: 1}
	require.EqualError(t, g.SetConfig(limits), "bps_max/iops_max require corresponding bps/iops values")
}

// TestUnthrottle has requests wait for the limits of their backend and of a filter below; both let them go when somebody waits for them.
func TestUnthrottle(t *testing.T) {
	const requests = 3
	b := jobtest.New(t)
	groups := map[string]*block.ThrottleGroup{}
	for _, name := range []string{"device", "filter"} {
		limits := block.NewThrottleConfig()
		limits.Buckets[block.BytesWrite].Avg = 1
		groups[name] = block.NewThrottleGroup(name)
		require.NoError(t, groups[name].SetConfig(limits))
	}
	b.Graph.Object = func(id string) any { return groups[id] }
	d := b.Disk(b.Open("f", "driver", "raw", "file.driver", "throttle", "file.throttle-group", "filter", "file.file.driver", "null-co",
		"file.file.size", int64(jobtest.Size)))
	for _, limited := range []string{"filter", "device"} {
		if limited == "device" {
			d.SetThrottle(groups["device"])
		}
		ended := make(chan error)
		ask := func(ctx context.Context) { ended <- d.Write(ctx, 0, make([]byte, 512), 0) }
		late, cancel := context.WithCancel(t.Context())
		go ask(t.Context())
		if limited == "filter" {
			require.NoError(t, <-ended) // it fills the filter's bucket for minutes
		}
		for range requests {
			go ask(t.Context())
		}
		restore := block.Unthrottle(d)
		for range requests {
			require.NoError(t, <-ended)
		}
		if limited == "device" {
			require.NoError(t, <-ended)
		}
		restore()
		cancel()
		go ask(late)
		require.ErrorIs(t, <-ended, context.Canceled, "%s: the limits hold again", limited)
	}
}
