package kvm

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"goemu/accel"
)

// statsFile is a file of statistics with names of 8 bytes; each descriptor is flags, exponent, size, offset, bucket size and name.
func statsFile(values []uint64, descs ...[6]any) []byte {
	const nameSize = 8
	b := le.AppendUint32(nil, 0)
	b = le.AppendUint32(b, nameSize)
	b = le.AppendUint32(b, uint32(len(descs)))
	b = le.AppendUint32(b, sizeStatsHeader)                           // the file's name, which nobody reads
	b = le.AppendUint32(b, sizeStatsHeader)                           // the descriptors
	b = le.AppendUint32(b, uint32(sizeStatsHeader+len(descs)*(16+8))) // the values
	for _, d := range descs {
		b = le.AppendUint32(b, uint32(d[0].(int)))
		b = le.AppendUint16(b, uint16(d[1].(int)))
		b = le.AppendUint16(b, uint16(d[2].(int)))
		b = le.AppendUint32(b, uint32(d[3].(int)))
		b = le.AppendUint32(b, uint32(d[4].(int)))
		b = append(append(b, d[5].(string)...), make([]byte, nameSize-len(d[5].(string)))...)
	}
	for _, v := range values {
		b = le.AppendUint64(b, v)
	}
	return b
}

// TestStats reads statistics of all kinds; those of unknown types, units and bases are left out.
func TestStats(t *testing.T) {
	f := newFake()
	f.stats = statsFile([]uint64{7, 1, 10, 20, 30, 9}, [6]any{0x000, 0, 1, 0, 0, "exits"}, [6]any{0x041, 0, 1, 8, 0, "blocking"}, [6]any{0x024, -9, 3, 16, 0, "hist_ns"},
		[6]any{0x113, 10, 3, 16, 5, "linear"}, [6]any{0x002, 0, 1, 40, 0, "peak"}, [6]any{0x005, 0, 1, 0, 0, "type"}, [6]any{0x050, 0, 1, 0, 0, "unit"},
		[6]any{0x200, 0, 1, 0, 0, "base"}, [6]any{0, 0, 0, 0, 0, "none"})
	_, a, err := f.machine(t, accel.ChipsNone)
	require.NoError(t, err)
	require.True(t, a.HasStats())
	want := []accel.Stat{
		{Name: "exits", Type: accel.StatCumulative, Base: 10, Values: []uint64{7}},
		{Name: "blocking", Type: accel.StatInstant, Unit: accel.StatBoolean, Base: 10, Values: []uint64{1}},
		{Name: "hist_ns", Type: accel.StatLog2Histogram, Unit: accel.StatSeconds, Base: 10, Exponent: -9, Values: []uint64{10, 20, 30}},
		{Name: "linear", Type: accel.StatLinearHistogram, Unit: accel.StatBytes, Base: 2, Exponent: 10, BucketSize: 5, Values: []uint64{10, 20, 30}},
		{Name: "peak", Type: accel.StatPeak, Base: 10, Values: []uint64{9}},
	}
	open := len(f.open_)
	for _, cpu := range []int{-1, 0} {
		list, err := a.Stats(cpu)
		require.NoError(t, err)
		require.Equal(t, want, list)
	}
	require.Len(t, f.open_, open, "descriptors")

	_, err = a.Stats(1)
	require.EqualError(t, err, "KVM stats: there is no CPU 1")
	for size, text := range map[int]string{10: "KVM stats: failed to read stats header: expected 24 actual 10", 30: "KVM stats: failed to read stats descriptors: expected 216 actual 6",
		len(f.stats) - 1: "KVM stats: failed to read data: expected 48 actual 47"} {
		whole := f.stats
		f.stats = whole[:size]
		_, err = a.Stats(-1)
		require.EqualError(t, err, text)
		f.stats = whole
	}
	f.stats = statsFile(nil, [6]any{0, 0, 1, 1 << 30, 0, "far"})
	_, err = a.Stats(-1)
	require.EqualError(t, err, "KVM stats: 1073741832 bytes of values")
	f.fail = map[request]error{reqGetStatsFD: unix.EMFILE}
	_, err = a.Stats(-1)
	require.EqualError(t, err, "KVM stats: ioctl failed: Too many open files")
}
