package block

import (
	"slices"
	"sync"
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

	// Clock is the time since some moment; nil for the host's. Fixed, if not zero, is what every request takes.
	Clock func() time.Duration
	Fixed time.Duration

	last          atomic.Int64 // end of the last request, in nanoseconds by Clock
	ignoreInvalid bool         // malformed requests are no use of the disk
	ignoreFailed  bool         // nor are those that failed
	hasDetail     atomic.Bool  // intervals or histograms
	mu            sync.Mutex
	intervals     []*Interval // guarded by mu
	histograms    [acctCount]histogram
	epoch         time.Time
	epochOnce     sync.Once
}

// Cookie is a request that is being counted.
type Cookie struct {
	kind  Acct
	bytes int64
	start time.Duration
}

// Kind is the kind of the request.
func (c *Cookie) Kind() Acct { return c.kind }

// Bytes says how long the request is.
func (c *Cookie) Bytes(n int64) { c.bytes = n }

// now is the time by the clock; never 0.
func (s *Stats) now() time.Duration {
	if s.Clock != nil {
		return s.Clock()
	}
	s.epochOnce.Do(func() { s.epoch = time.Now().Add(-time.Nanosecond) })
	return time.Since(s.epoch)
}

// Account says whether malformed and failed requests count as use of the disk.
func (s *Stats) Account(invalid, failed bool) { s.ignoreInvalid, s.ignoreFailed = !invalid, !failed }

// Accounting tells whether malformed and failed requests count as use of the disk.
func (s *Stats) Accounting() (invalid, failed bool) { return !s.ignoreInvalid, !s.ignoreFailed }

// Start begins a request.
func (s *Stats) Start(kind Acct, n int64) Cookie { return Cookie{kind, n, s.now()} }

// Done counts a request that succeeded.
func (s *Stats) Done(c Cookie) {
	k := &s.Kinds[c.kind]
	k.Bytes.Add(uint64(c.bytes))
	k.Ops.Add(1)
	s.ended(c, true)
}

// Fail counts a request that failed.
func (s *Stats) Fail(c Cookie) {
	s.Kinds[c.kind].Failed.Add(1)
	s.ended(c, !s.ignoreFailed)
}

// ended notes how long a request took; used tells whether it counts as use.
func (s *Stats) ended(c Cookie, used bool) {
	now := s.now()
	took := now - c.start
	if s.Fixed != 0 {
		took = s.Fixed
	}
	if used {
		s.Kinds[c.kind].Time.Add(uint64(took))
		s.last.Store(int64(now))
	}
	if !s.hasDetail.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.histograms[c.kind].count(took)
	if used {
		for _, i := range s.intervals {
			i.kinds[c.kind].account(now, took)
		}
	}
}

// Invalidate counts a request that was malformed.
func (s *Stats) Invalidate(kind Acct) {
	s.Kinds[kind].Invalid.Add(1)
	if !s.ignoreInvalid {
		s.last.Store(int64(s.now()))
	}
}

// Idle is the time since the last request ended, or false if there was none.
func (s *Stats) Idle() (time.Duration, bool) {
	last := s.last.Load()
	return s.now() - time.Duration(last), last != 0
}

// histogram counts requests by the time they took.
type histogram struct{ boundaries, bins []uint64 }

func (h *histogram) count(took time.Duration) {
	if h.bins != nil {
		i, found := slices.BinarySearch(h.boundaries, uint64(took))
		if found { // a boundary belongs to the interval that begins there
			i++
		}
		h.bins[i]++
	}
}

// SetHistogram counts the times of a kind of request by intervals with the given ends in nanoseconds; it is false if they do not ascend.
func (s *Stats) SetHistogram(kind Acct, boundaries []uint64) bool {
	for i, b := range boundaries {
		if b == 0 || i > 0 && b <= boundaries[i-1] {
			return false
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.histograms[kind] = histogram{slices.Clone(boundaries), make([]uint64, len(boundaries)+1)}
	s.hasDetail.Store(true)
	return true
}

// ClearHistograms ends what SetHistogram began.
func (s *Stats) ClearHistograms() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.histograms = [acctCount]histogram{}
	s.hasDetail.Store(len(s.intervals) > 0)
}

// Histogram is what was counted; bins is nil if nothing is.
func (s *Stats) Histogram(kind Acct) (boundaries, bins []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &s.histograms[kind]
	return slices.Clone(h.boundaries), slices.Clone(h.bins)
}

// Interval holds the times of the requests of about the last Length.
type Interval struct {
	Length time.Duration

	stats *Stats
	kinds [acctCount]windows
}

// Latency is the shortest, longest and mean time of requests in nanoseconds.
type Latency struct{ Min, Max, Avg int64 }

// AddInterval keeps times over intervals of the length, a number of seconds, from now on.
func (s *Stats) AddInterval(length time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := &Interval{Length: length, stats: s}
	now := s.now()
	for k := range i.kinds {
		i.kinds[k] = windows{period: length}
		i.kinds[k].both[0].end, i.kinds[k].both[1].end = now+length/2, now+length
	}
	s.intervals = append(s.intervals, i)
	s.hasDetail.Store(true)
}

// Timed lists the intervals.
func (s *Stats) Timed() []*Interval {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.intervals)
}

// Latency tells the times of a kind of request.
func (i *Interval) Latency(kind Acct) Latency {
	i.stats.mu.Lock()
	defer i.stats.mu.Unlock()
	w, _ := i.kinds[kind].current(i.stats.now())
	l := Latency{Min: int64(w.min), Max: int64(w.max)}
	if w.count > 0 {
		l.Avg = int64(w.sum) / w.count
	}
	return l
}

// QueueDepth is the mean number of requests of a kind in flight.
func (i *Interval) QueueDepth(kind Acct) float64 {
	i.stats.mu.Lock()
	defer i.stats.mu.Unlock()
	w, elapsed := i.kinds[kind].current(i.stats.now())
	return float64(w.sum) / float64(elapsed)
}

// windows are two overlapping windows of time, each as long as the period: the older one is what is asked for.
type windows struct {
	period time.Duration
	both   [2]window
}

type window struct {
	end           time.Duration
	min, max, sum time.Duration
	count         int64
}

// expire empties the windows that are over.
func (w *windows) expire(now time.Duration) {
	for i := range w.both {
		if x := &w.both[i]; x.end <= now {
			*x = window{end: now + w.period - (now-x.end)%w.period}
		}
	}
}

func (w *windows) account(now, took time.Duration) {
	w.expire(now)
	for i := range w.both {
		x := &w.both[i]
		if x.count == 0 || took < x.min {
			x.min = took
		}
		x.max, x.sum, x.count = max(x.max, took), x.sum+took, x.count+1
	}
}

// current is the older window and the time since it began.
func (w *windows) current(now time.Duration) (*window, time.Duration) {
	w.expire(now)
	x := &w.both[0]
	if w.both[1].end < x.end {
		x = &w.both[1]
	}
	return x, w.period - (x.end - now)
}

// DiscardCounter is a node that counts discards.
type DiscardCounter interface {
	DiscardCounts() (ok, failed, bytesOK uint64)
}
