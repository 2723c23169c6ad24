package block

import (
	"sync/atomic"
	"time"
)

// Acct is a kind of request in statistics.
type Acct uint8

// The kinds of request.
const (
	AcctRead Acct = iota
	AcctWrite
	AcctFlush
	AcctUnmap

	acctCount
)

// Counters are the sums of one kind of request.
type Counters struct {
	Bytes, Ops, Time, Failed, Invalid, Merged atomic.Uint64 // Time in nanoseconds
}

// Stats are what query-blockstats tells about a backend. The device counts its requests by Start and the functions of the Cookie.
type Stats struct {
	Kinds [acctCount]Counters
	last  atomic.Int64 // end of the last request, in nanoseconds since an arbitrary start
}

// Cookie is a request that is being counted.
type Cookie struct {
	kind  Acct
	bytes int64
	start time.Time
}

// Start begins a request.
func (s *Stats) Start(kind Acct, n int64) Cookie { return Cookie{kind, n, time.Now()} }

// Done counts a request that succeeded.
func (s *Stats) Done(c Cookie) {
	k := &s.Kinds[c.kind]
	k.Bytes.Add(uint64(c.bytes))
	k.Ops.Add(1)
	k.Time.Add(uint64(time.Since(c.start)))
	s.last.Store(time.Now().UnixNano())
}

// Fail counts a request that failed.
func (s *Stats) Fail(c Cookie) {
	k := &s.Kinds[c.kind]
	k.Failed.Add(1)
	k.Time.Add(uint64(time.Since(c.start)))
	s.last.Store(time.Now().UnixNano())
}

// Invalidate counts a request that was malformed.
func (s *Stats) Invalidate(kind Acct) { s.Kinds[kind].Invalid.Add(1) }

// Idle is the time since the last request ended, or false if there was none.
func (s *Stats) Idle() (time.Duration, bool) {
	last := s.last.Load()
	return time.Since(time.Unix(0, last)), last != 0
}
