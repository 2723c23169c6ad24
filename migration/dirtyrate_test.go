package migration

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/internal/memory"
)

// TestDirtyRate measures a block of which every page is written to: all of its MiB in the period, in either way.
func TestDirtyRate(t *testing.T) {
	b, err := memory.NewRAMBlock("pc.ram", 4<<20)
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Free()) }()
	for _, mode := range []DirtyRateMode{PageSampling, DirtyBitmap} {
		synctest.Test(t, func(t *testing.T) {
			e := New()
			e.M.RAM = func() []*memory.RAMBlock { return []*memory.RAMBlock{b} }
			require.Equal(t, DirtyRate{Status: "unstarted", Mode: PageSampling}, e.DirtyRate())
			require.NoError(t, e.MeasureDirtyRate(2, nil, mode))
			require.EqualError(t, e.MeasureDirtyRate(1, nil, mode), "the dirty rate is already being measured.")
			synctest.Wait()
			for i := range b.Bytes() {
				b.Bytes()[i]++
			}
			b.MarkDirty(0, b.Size())
			time.Sleep(3 * time.Second)
			r := e.DirtyRate()
			require.Equal(t, "measured", r.Status)
			require.Equal(t, int64(2), r.Rate, mode)
			require.Equal(t, int64(2), r.Period)
			require.Positive(t, r.Began)

			require.NoError(t, e.MeasureDirtyRate(60, nil, mode))
			e.rate.close()
			require.Equal(t, "unstarted", e.DirtyRate().Status)
		})
	}
	require.False(t, b.Tracked())
	e, few, many := New(), int64(127), int64(16384)
	for want, err := range map[string]error{
		"calc-time is out of range[1, 60].":                         e.MeasureDirtyRate(61, nil, PageSampling),
		"sample-pages is out of range[128, 16384].":                 e.MeasureDirtyRate(1, &few, PageSampling),
		"either sample-pages or dirty-ring can be specified.":       e.MeasureDirtyRate(1, &many, DirtyRing),
		"mode dirty-ring is not enabled, use other method instead.": e.MeasureDirtyRate(1, nil, DirtyRing),
	} {
		require.EqualError(t, err, want)
	}
}
