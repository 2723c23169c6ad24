package block

import (
	"context"
	"slices"
	"sync"
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

// ThrottleGroup shares limits between its members, which get their turns one after the other.
type ThrottleGroup struct {
	Name string

	mu     sync.Mutex
	config ThrottleConfig    // guarded by mu
	fill   [bucketCount]leak // guarded by mu
	last   time.Time         // guarded by mu: of the last drip
	users  int               // guarded by mu

	turn [2]chan struct{} // one token each for reads and writes: held by the request that waits first
	now  func() time.Time
}

// NewThrottleGroup makes a group without limits. now is the clock; nil for the host's.
func NewThrottleGroup(name string, now func() time.Time) *ThrottleGroup {
	if now == nil {
		now = time.Now
	}
	g := &ThrottleGroup{Name: name, config: NewThrottleConfig(), now: now, last: now()}
	for i := range g.turn {
		g.turn[i] = make(chan struct{}, 1)
	}
	return g
}

// Config are the group's limits.
func (g *ThrottleGroup) Config() ThrottleConfig {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.config
}

// SetConfig changes the limits; buckets start empty.
func (g *ThrottleGroup) SetConfig(c ThrottleConfig) error {
	if err := c.Check(); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.config, g.fill, g.last = c, [bucketCount]leak{}, g.now()
	return nil
}

// member buckets of a direction.
var directions = [2][4]int{{BytesTotal, OpsTotal, BytesRead, OpsRead}, {BytesTotal, OpsTotal, BytesWrite, OpsWrite}}

// reserve lets the request through and counts it, or tells how long to wait first.
func (g *ThrottleGroup) reserve(n int64, write bool) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	passed := max(now.Sub(g.last), 0)
	g.last = now
	dir := 0
	if write {
		dir = 1
	}
	var wait time.Duration
	for i := range g.config.Buckets {
		g.fill[i].drip(&g.config.Buckets[i], passed)
	}
	for _, i := range directions[dir] {
		wait = max(wait, g.fill[i].delay(&g.config.Buckets[i]))
	}
	if wait > 0 {
		return wait
	}
	ops := 1.0
	if size := g.config.OpSize; size > 0 && uint64(n) > size {
		ops = float64(n) / float64(size)
	}
	for _, i := range directions[dir] {
		units := ops
		if i < OpsTotal {
			units = float64(n)
		}
		g.fill[i].level += units
		if g.config.Buckets[i].Length > 1 {
			g.fill[i].burst += units
		}
	}
	return 0
}

// enabled tells whether there is any limit.
func (g *ThrottleGroup) enabled() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.config.Enabled()
}

// ThrottleMember is a user of a group: a backend or the throttle filter.
type ThrottleMember struct {
	Group *ThrottleGroup

	mu      sync.Mutex
	skip    int           // guarded by mu: drained sections, in which nothing is held back
	release chan struct{} // guarded by mu: closed when a drained section begins
}

// Join makes a member of the group.
func (g *ThrottleGroup) Join() *ThrottleMember {
	g.mu.Lock()
	g.users++
	g.mu.Unlock()
	return &ThrottleMember{Group: g, release: make(chan struct{})}
}

// Members is the number of members.
func (g *ThrottleGroup) Members() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.users
}

// MoveTo makes the member one of another group, in whatever drained sections it is; the result takes its place.
func (m *ThrottleMember) MoveTo(g *ThrottleGroup) *ThrottleMember {
	if g == m.Group {
		return m
	}
	next := g.Join()
	m.mu.Lock()
	skip := m.skip
	m.mu.Unlock()
	for range skip {
		next.DrainBegin()
	}
	m.Leave()
	return next
}

// Leave ends the membership. It reports whether the group has no members any more.
func (m *ThrottleMember) Leave() (last bool) {
	m.DrainBegin() // whoever waits goes on
	m.Group.mu.Lock()
	defer m.Group.mu.Unlock()
	m.Group.users--
	return m.Group.users == 0
}

// DrainBegin lets all waiting and new requests pass until DrainEnd.
func (m *ThrottleMember) DrainBegin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.skip++; m.skip == 1 {
		close(m.release)
	}
}

// DrainEnd undoes DrainBegin.
func (m *ThrottleMember) DrainEnd() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.skip--; m.skip == 0 {
		m.release = make(chan struct{})
	}
}

// Wait holds a request of n bytes back until the limits let it pass.
func (m *ThrottleMember) Wait(ctx context.Context, n int64, write bool) error {
	g := m.Group
	if !g.enabled() {
		return nil
	}
	m.mu.Lock()
	release := m.release
	m.mu.Unlock()
	turn := g.turn[0]
	if write {
		turn = g.turn[1]
	}
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-release:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		d := g.reserve(n, write)
		if d == 0 {
			return nil
		}
		t := time.NewTimer(d)
		select {
		case <-t.C:
		case <-release:
			t.Stop()
			return nil
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
}

// SetThrottle makes the backend keep to a group's limits; nil ends that.
func (b *Backend) SetThrottle(g *ThrottleGroup) {
	var m *ThrottleMember
	if g != nil {
		m = g.Join()
	}
	if old := b.throttle.Swap(m); old != nil {
		old.Leave()
	}
}

// Throttle is the group whose limits the backend keeps to, or nil.
func (b *Backend) Throttle() *ThrottleGroup {
	if m := b.throttle.Load(); m != nil {
		return m.Group
	}
	return nil
}
