package migration

import (
	"net"
	"time"
)

// Info is what there is to know of the last migration.
type Info struct {
	Status   Status
	Err      error // why it failed
	Blockers []string
	// Listening is where the destination of a migration waits or has waited for the source, nil where it does not.
	Listening net.Addr
	// Source is what the source of a migration that was under way, or has completed, knows; nil otherwise.
	Source *SourceInfo
}

// SourceInfo are the figures of a migration; times are milliseconds.
type SourceInfo struct {
	Completed                              bool
	Setup, Total, Downtime, ExpectedDown   int64
	RAMTotal, Transferred, Remaining       uint64 // bytes
	Duplicate, Normal, DirtyRate, DirtySyn uint64 // pages, pages, pages a second, times
	MBPS                                   float64
	PagesPerSecond                         uint64
	PrecopyBytes, DowntimeBytes            uint64
	MultifdBytes                           uint64
	Throttle                               int         // per cent, 0: not slowed down
	XBZRLE                                 *XBZRLEInfo // nil without it
}

// XBZRLEInfo are figures about pages of which only the changes are sent.
type XBZRLEInfo struct {
	CacheSize, Bytes        uint64
	Pages, Misses, Overflow uint64
	MissRate, EncodingRate  float64
}

// Query returns the state of the migration under way or of the last one.
func (e *Engine) Query() Info {
	i := Info{Status: e.incomingStatus(), Blockers: e.Blockers()}
	e.mu.Lock()
	o := e.out
	i.Listening = e.in.addr
	e.mu.Unlock()
	if o == nil {
		return i
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	i.Status = o.status
	switch o.status {
	case Failed:
		i.Err = o.err
	case WaitUnplug, Active, Cancelling, PreSwitchover, Device, PostcopyActive, Completed:
		if r := o.ram.Load(); r != nil {
			i.Source = o.figuresNow()
		}
	}
	return i
}

// figuresNow collects the figures. Preconditions: o.mu is held and the RAM is known.
func (o *outgoing) figuresNow() *SourceInfo {
	r := o.ram.Load()
	s := &SourceInfo{
		Completed: o.status == Completed, Setup: o.setup.Milliseconds(), Total: time.Since(o.started).Milliseconds(),
		ExpectedDown: int64(o.expectedDowntime.Load()), RAMTotal: r.Total(), Transferred: r.Transferred.Load(), Remaining: r.Pending(),
		Duplicate: r.Duplicate.Load(), Normal: r.Normal.Load(), DirtyRate: r.DirtyRate.Load(), DirtySyn: r.DirtySync.Load(),
		MBPS: float64(o.mbps.Load()) / 1000, PagesPerSecond: o.pagesPerSecond.Load(), PrecopyBytes: r.PrecopyBytes.Load(),
		DowntimeBytes: r.DowntimeBytes.Load(), Throttle: int(o.throttle.percent.Load()),
	}
	if x := &r.XBZRLE; o.e.Capability(CapXBZRLE) {
		s.XBZRLE = &XBZRLEInfo{CacheSize: o.e.Parameters().XbzrleCacheSize, Bytes: x.Bytes.Load(), Pages: x.Pages.Load(), Misses: x.Misses.Load(),
			Overflow: x.Overflows.Load(), MissRate: float64(x.MissRate.Load()) / 1000, EncodingRate: float64(x.EncodingRate.Load()) / 1000}
	}
	if r.Beside != nil {
		s.MultifdBytes = r.Beside.Bytes()
	}
	if s.Completed {
		s.Total, s.Downtime = o.total.Milliseconds(), o.downtime.Milliseconds()
	}
	return s
}
