package block

import (
	"context"
	"sync"
	"sync/atomic"
)

// urgency tells a backend's requests whether they may pass limits of speed, its own and those of filters below it.
type urgency struct {
	mu     sync.Mutex
	count  int           // guarded by mu: calls of Unthrottle that last
	passes chan struct{} // guarded by mu: closed while count is not 0; made by whoever waits first
}

type urgencyKey struct{}

// throttleFilters is the number of throttle filters.
var throttleFilters atomic.Int64

// limited tells whether limits of speed may hold for the backend's requests.
func (b *Backend) limited() bool { return b.throttle.Load() != nil || throttleFilters.Load() > 0 }

// urgent is the context of a request to the backend, by which limits of speed find out whether it is waited for.
func (b *Backend) urgent(ctx context.Context) context.Context {
	if !b.limited() {
		return ctx
	}
	return context.WithValue(ctx, urgencyKey{}, &b.urgency)
}

// passing is a channel that is closed when the request with the context may pass limits; nil if it never may.
func passing(ctx context.Context) <-chan struct{} {
	u, _ := ctx.Value(urgencyKey{}).(*urgency)
	if u == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.channel()
}

// channel is the present state's channel.
// Preconditions: mu is held.
func (u *urgency) channel() chan struct{} {
	if u.passes == nil {
		u.passes = make(chan struct{})
	}
	return u.passes
}

func (u *urgency) begin() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.count++; u.count == 1 {
		close(u.channel())
	}
}

func (u *urgency) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.count--; u.count == 0 {
		u.passes = nil
	}
}

// Unthrottle lets the requests of backends, those that wait and those that come, pass limits of speed until the function returned is
// called. It is for those who wait for the end of requests while nothing else can go on, as QEMU's drained sections are.
func Unthrottle(list ...*Backend) (restore func()) {
	for _, b := range list {
		b.urgency.begin()
	}
	return func() {
		for _, b := range list {
			b.urgency.end()
		}
	}
}
