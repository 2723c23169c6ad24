package block

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"goemu/internal/clock"
)

// The directions of requests, which wait in separate queues.
const (
	throttleReads = iota
	throttleWrites

	throttleDirections
)

// directions are the buckets that a request fills, by direction.
var directions = [throttleDirections][4]int{{BytesTotal, OpsTotal, BytesRead, OpsRead}, {BytesTotal, OpsTotal, BytesWrite, OpsWrite}}

// ThrottleGroup shares limits between its members, which get their turns one after the other. Its clock is the host's, or the virtual one
// if a test protocol moves that (StepThrottles).
type ThrottleGroup struct {
	Name string

	stepped bool // its clock is the virtual one

	mu      sync.Mutex
	config  ThrottleConfig                // guarded by mu
	fill    [bucketCount]leak             // guarded by mu
	last    time.Duration                 // guarded by mu: of the last drip, by the clock
	members []*ThrottleMember             // guarded by mu
	queues  [throttleDirections]turnQueue // guarded by mu
}

// turnQueue is where the requests of a direction wait.
type turnQueue struct {
	next  int                 // the member whose turn it is
	timer func(time.Duration) // calls the group's due later
}

// throttled is a request that waits.
type throttled struct {
	n     int64
	ready chan struct{} // closed when it may go on
	step  *step         // nil if nobody waits for it
}

// ThrottleMember is a user of a group: a backend or the throttle filter.
type ThrottleMember struct {
	Group *ThrottleGroup

	filter  bool
	skip    int                              // guarded by Group.mu: drained sections, in which nothing is held back
	waiting [throttleDirections][]*throttled // guarded by Group.mu
}

// virtualTimers are the timers of groups while a test protocol moves the time: they run as part of its commands.
var virtualTimers = sync.OnceValue(func() *clock.List { return clock.Virtual.NewList(nil) })

// NewThrottleGroup makes a group without limits.
func NewThrottleGroup(name string) *ThrottleGroup {
	g := &ThrottleGroup{Name: name, config: NewThrottleConfig(), stepped: throttlesStepped.Load()}
	g.last = g.now()
	for dir := range g.queues {
		g.queues[dir].timer = g.newTimer(func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.due(dir)
		})
	}
	return g
}

// throttlesStepped tells whether groups that are made from now on go by the clock that a test protocol moves.
var throttlesStepped atomic.Bool

// StepThrottles makes groups that are made from now on go by the clock that a test protocol moves, if one does. Those that the command line
// names are made before: they go by the host's clock, as QEMU's do.
func StepThrottles() { throttlesStepped.Store(clock.Virtual.Manual()) }

func (g *ThrottleGroup) now() time.Duration {
	if g.stepped {
		return time.Duration(clock.Virtual.Now())
	}
	return time.Duration(clock.Realtime.Now())
}

// newTimer returns what makes f run once after some time; calling that again replaces the time.
func (g *ThrottleGroup) newTimer(f func()) func(time.Duration) {
	if g.stepped {
		t := virtualTimers().NewTimer(f)
		return func(d time.Duration) { t.Mod(clock.Virtual.Now() + int64(d)) }
	}
	var t *time.Timer
	return func(d time.Duration) {
		if t == nil {
			t = time.AfterFunc(d, f)
			return
		}
		t.Reset(d)
	}
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
	for dir := range g.queues {
		g.schedule(dir)
	}
	return nil
}

// delay is how long the next request has to wait.
// Preconditions: mu is held.
func (g *ThrottleGroup) delay(dir int) (wait time.Duration) {
	now := g.now()
	passed := max(now-g.last, 0)
	g.last = now
	for i := range g.config.Buckets {
		g.fill[i].drip(&g.config.Buckets[i], passed)
	}
	for _, i := range directions[dir] {
		wait = max(wait, g.fill[i].delay(&g.config.Buckets[i]))
	}
	return wait
}

// account fills the buckets by a request of n bytes.
// Preconditions: mu is held.
func (g *ThrottleGroup) account(dir int, n int64) {
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
}

// turn is the member whose request is the next to go; nil if none waits.
// Preconditions: mu is held.
func (g *ThrottleGroup) turn(dir int) *ThrottleMember {
	q := &g.queues[dir]
	for i := range g.members {
		at := (q.next + i) % len(g.members)
		if m := g.members[at]; len(m.waiting[dir]) > 0 {
			q.next = at
			return m
		}
	}
	return nil
}

// schedule lets go whom the limits let pass, and comes back when they let the next one.
// Preconditions: mu is held.
func (g *ThrottleGroup) schedule(dir int) {
	for {
		m := g.turn(dir)
		if m == nil {
			return
		}
		if d := g.delay(dir); d > 0 {
			g.queues[dir].timer(d)
			return
		}
		m.release(dir)
		g.queues[dir].next++
	}
}

// due lets a request go whose time has come. It is not held back again because the other direction took from a common bucket meanwhile: it
// could wait for ever.
// Preconditions: mu is held.
func (g *ThrottleGroup) due(dir int) {
	if m := g.turn(dir); m != nil {
		m.release(dir)
		g.queues[dir].next++
		g.schedule(dir)
	}
}

// release lets the member's oldest request go.
// Preconditions: Group.mu is held.
func (m *ThrottleMember) release(dir int) {
	w := m.waiting[dir][0]
	m.waiting[dir] = slices.Delete(m.waiting[dir], 0, 1)
	m.Group.account(dir, w.n)
	w.step.add(1)
	close(w.ready)
}

// Join makes a filter a member of the group.
func (g *ThrottleGroup) Join() *ThrottleMember {
	throttleFilters.Add(1)
	return g.join(true)
}

func (g *ThrottleGroup) join(filter bool) *ThrottleMember {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := &ThrottleMember{Group: g, filter: filter}
	g.members = append(g.members, m)
	return m
}

// Members is the number of members.
func (g *ThrottleGroup) Members() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.members)
}

// MoveTo makes the member one of another group, in whatever drained sections it is; the result takes its place.
func (m *ThrottleMember) MoveTo(g *ThrottleGroup) *ThrottleMember {
	if g == m.Group {
		return m
	}
	next := g.Join()
	m.Group.mu.Lock()
	skip := m.skip
	m.Group.mu.Unlock()
	for range skip {
		next.DrainBegin()
	}
	m.Leave()
	return next
}

// Leave ends the membership: whoever waits goes on. It reports whether the group has no members any more.
func (m *ThrottleMember) Leave() (last bool) {
	m.DrainBegin()
	if m.filter {
		throttleFilters.Add(-1)
	}
	g := m.Group
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.members, m)
	g.members = slices.Delete(g.members, i, i+1)
	for dir := range g.queues {
		if g.queues[dir].next > i {
			g.queues[dir].next--
		}
		g.schedule(dir)
	}
	return len(g.members) == 0
}

// DrainBegin lets all waiting and new requests pass until DrainEnd.
func (m *ThrottleMember) DrainBegin() {
	m.Group.mu.Lock()
	defer m.Group.mu.Unlock()
	m.skip++
	for dir := range m.waiting {
		for len(m.waiting[dir]) > 0 {
			m.release(dir)
		}
	}
}

// DrainEnd undoes DrainBegin.
func (m *ThrottleMember) DrainEnd() {
	m.Group.mu.Lock()
	defer m.Group.mu.Unlock()
	m.skip--
}

// Wait holds a request of n bytes back until the limits let it pass, or until somebody waits for it: see Unthrottle.
func (m *ThrottleMember) Wait(ctx context.Context, n int64, write bool) error {
	dir := throttleReads
	if write {
		dir = throttleWrites
	}
	w := m.queue(ctx, dir, n)
	if w == nil {
		return nil
	}
	select {
	case <-w.ready:
	case <-passing(ctx):
		m.pass(dir, w)
	case <-ctx.Done():
		if m.forget(dir, w) {
			return ctx.Err()
		}
	}
	return nil
}

// queue makes a request wait, or returns nil if it passes.
func (m *ThrottleMember) queue(ctx context.Context, dir int, n int64) *throttled {
	g := m.Group
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.config.Enabled() {
		return nil
	}
	if m.skip > 0 || g.turn(dir) == nil && g.delay(dir) == 0 {
		g.account(dir, n)
		return nil
	}
	w := &throttled{n: n, ready: make(chan struct{}), step: stepOf(ctx)}
	w.step.add(-1)
	m.waiting[dir] = append(m.waiting[dir], w)
	g.schedule(dir)
	return w
}

// pass lets a request go before its turn.
func (m *ThrottleMember) pass(dir int, w *throttled) {
	if m.forget(dir, w) {
		m.Group.mu.Lock()
		m.Group.account(dir, w.n)
		m.Group.mu.Unlock()
	}
}

// forget takes a request out of the queue; false means that it has been let go.
func (m *ThrottleMember) forget(dir int, w *throttled) bool {
	g := m.Group
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(m.waiting[dir], w)
	if i < 0 {
		return false
	}
	m.waiting[dir] = slices.Delete(m.waiting[dir], i, i+1)
	w.step.add(1)
	g.schedule(dir)
	return true
}

// SetThrottle makes the backend keep to a group's limits; nil ends that.
func (b *Backend) SetThrottle(g *ThrottleGroup) {
	var m *ThrottleMember
	if g != nil {
		m = g.join(false)
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
