package block

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Bucket is one limit of a throttle group: a leaky bucket. Avg is the rate, in bytes or requests per second, 0 for no limit; Max the rate
// allowed in bursts of Length seconds.
type Bucket struct {
	Avg, Max, Length uint64
}

// The limits of a throttle group, by number.
const (
	BytesTotal = iota
	BytesRead
	BytesWrite
	OpsTotal
	OpsRead
	OpsWrite

	bucketCount
)

// ThrottleConfig are the limits of a group. A request longer than OpSize counts as several; 0 turns that off.
type ThrottleConfig struct {
	Buckets [bucketCount]Bucket
	OpSize  uint64
}

// maxThrottle is the largest value of a limit.
const maxThrottle = 1_000_000_000_000_000

// Enabled tells whether there is any limit.
func (c *ThrottleConfig) Enabled() bool {
	return slices.ContainsFunc(c.Buckets[:], func(b Bucket) bool { return b.Avg > 0 })
}

// Check refuses limits that contradict each other, in QEMU's words.
func (c *ThrottleConfig) Check() error {
	b := &c.Buckets
	bps := b[BytesTotal].Avg > 0 && (b[BytesRead].Avg > 0 || b[BytesWrite].Avg > 0)
	ops := b[OpsTotal].Avg > 0 && (b[OpsRead].Avg > 0 || b[OpsWrite].Avg > 0)
	bpsMax := b[BytesTotal].Max > 0 && (b[BytesRead].Max > 0 || b[BytesWrite].Max > 0)
	opsMax := b[OpsTotal].Max > 0 && (b[OpsRead].Max > 0 || b[OpsWrite].Max > 0)
	if bps || ops || bpsMax || opsMax {
		return Errorf(unix.EINVAL, "bps/iops/max total values and read/write values cannot be used at the same time")
	}
	if c.OpSize > 0 && b[OpsTotal].Avg == 0 && b[OpsRead].Avg == 0 && b[OpsWrite].Avg == 0 {
		return Errorf(unix.EINVAL, "iops size requires an iops value to be set")
	}
	for i := range b {
		if err := b[i].check(); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bucket) check() error {
	switch {
	case b.Avg > maxThrottle || b.Max > maxThrottle:
		return Errorf(unix.EINVAL, "bps/iops/max values must be within [0, %d]", int64(maxThrottle))
	case b.Length == 0:
		return Errorf(unix.EINVAL, "the burst length cannot be 0")
	case b.Length > 1 && b.Max == 0:
		return Errorf(unix.EINVAL, "burst length set without burst rate")
	case b.Max > 0 && b.Length > maxThrottle/b.Max:
		return Errorf(unix.EINVAL, "burst length too high for this burst rate")
	case b.Max > 0 && b.Avg == 0:
		return Errorf(unix.EINVAL, "bps_max/iops_max require corresponding bps/iops values")
	case b.Max > 0 && b.Max < b.Avg:
		return Errorf(unix.EINVAL, "bps_max/iops_max cannot be lower than bps/iops")
	}
	return nil
}

// NewThrottleConfig is a configuration without limits.
func NewThrottleConfig() (c ThrottleConfig) {
	for i := range c.Buckets {
		c.Buckets[i].Length = 1
	}
	return c
}

// leak is the filling of a bucket.
type leak struct {
	level float64 // of the average rate
	burst float64 // of the burst rate, when bursts are longer than a second
}

// burstPart is the part of a second that a bucket without burst limits holds.
const burstPart = 10

// drip lets a time's worth run out.
func (l *leak) drip(b *Bucket, d time.Duration) {
	s := d.Seconds()
	l.level = max(l.level-float64(b.Avg)*s, 0)
	if b.Length > 1 {
		l.burst = max(l.burst-float64(b.Max)*s, 0)
	}
}

// delay is how long the next request has to wait.
func (l *leak) delay(b *Bucket) time.Duration {
	if b.Avg == 0 {
		return 0
	}
	size := float64(b.Max) * float64(b.Length)
	burst := float64(b.Max) / burstPart
	if b.Max == 0 {
		size = float64(b.Avg) / burstPart
	}
	wait := seconds(l.level-size, float64(b.Avg))
	if b.Length > 1 {
		wait = max(wait, seconds(l.burst-burst, float64(b.Max)))
	}
	return wait
}

func seconds(units, rate float64) time.Duration {
	if units <= 0 {
		return 0
	}
	return time.Duration(units / rate * float64(time.Second))
}
