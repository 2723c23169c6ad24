package blockcmd

import (
	"context"

	"goemu/block"
	"goemu/qapi"

	"golang.org/x/sys/unix"
)

// QueryBlockstats implements qapi.BlockCoreCommands.
func (s *Service) QueryBlockstats(_ context.Context, a *qapi.QueryBlockstatsArg) ([]*qapi.BlockStats, error) {
	s.Graph.Lock()
	defer s.Graph.Unlock()
	list := []*qapi.BlockStats{}
	if deref(a.QueryNodes, false) {
		for _, n := range s.Graph.Nodes() {
			list = append(list, nodeStats(n, false))
		}
		return list, nil
	}
	for _, b := range s.Graph.Backends() {
		if !seen(b) {
			continue
		}
		st := nodeStats(b.Node(), true)
		st.Device = some(b.Name())
		if d := b.AttachedDevice(); d != nil && d.Name != "" {
			st.Qdev = &d.Name
		}
		backendStats(st.Stats, &b.Stats)
		list = append(list, st)
	}
	return list, nil
}

// nodeStats are the statistics of a node; chain tells whether those of the chain below are included, without what jobs put there.
func nodeStats(n *block.Node, chain bool) *qapi.BlockStats {
	st := &qapi.BlockStats{Stats: &qapi.BlockDeviceStats{TimedStats: []*qapi.BlockDeviceTimedStats{}}}
	if n == nil {
		return st
	}
	if chain {
		n = n.SkipImplicit()
	}
	st.NodeName = some(n.Name())
	st.Stats.WrHighestOffset = n.HighestWrite()
	st.DriverSpecific = specificStats(n)
	if c := dataChild(n); c != nil {
		st.Parent = nodeStats(c.Node(), chain)
	}
	if next := below(n); chain && next != nil {
		st.Backing = nodeStats(next, chain)
	}
	return st
}

// dataChild is the child that holds the data, if there is one such.
func dataChild(n *block.Node) *block.Child {
	if c := n.Primary(); c != nil && c.Role()&(block.RoleData|block.RoleFiltered) != 0 {
		return c
	}
	var found *block.Child
	for _, c := range n.Children() {
		if c.Role()&block.RoleData == 0 {
			continue
		}
		if found != nil {
			return nil
		}
		found = c
	}
	return found
}

// specificStats are what the host's files count.
func specificStats(n *block.Node) *qapi.BlockStatsSpecific {
	d, ok := n.State().(block.DiscardCounter)
	if !ok {
		return nil
	}
	okCount, failed, bytes := d.DiscardCounts()
	f := &qapi.BlockStatsSpecificFile{DiscardNbOk: okCount, DiscardNbFailed: failed, DiscardBytesOk: bytes}
	switch st := (&qapi.BlockStatsSpecific{Driver: qapi.BlockdevDriver(n.DriverName())}); st.Driver {
	case qapi.BlockdevDriverFile:
		st.File = f
		return st
	case qapi.BlockdevDriverHostDevice:
		st.HostDevice = f
		return st
	}
	return nil
}

// backendStats fills in what a backend counted.
func backendStats(d *qapi.BlockDeviceStats, s *block.Stats) {
	for _, k := range []struct {
		kind                                      block.Acct
		bytes, ops, time, merged, failed, invalid *int64
	}{
		{block.AcctRead, &d.RdBytes, &d.RdOperations, &d.RdTotalTimeNs, &d.RdMerged, &d.FailedRdOperations, &d.InvalidRdOperations},
		{block.AcctWrite, &d.WrBytes, &d.WrOperations, &d.WrTotalTimeNs, &d.WrMerged, &d.FailedWrOperations, &d.InvalidWrOperations},
		{block.AcctFlush, nil, &d.FlushOperations, &d.FlushTotalTimeNs, nil, &d.FailedFlushOperations, &d.InvalidFlushOperations},
		{block.AcctUnmap, &d.UnmapBytes, &d.UnmapOperations, &d.UnmapTotalTimeNs, &d.UnmapMerged, &d.FailedUnmapOperations, &d.InvalidUnmapOperations},
	} {
		c := &s.Kinds[k.kind]
		if k.bytes != nil {
			*k.bytes, *k.merged = int64(c.Bytes.Load()), int64(c.Merged.Load())
		}
		*k.ops, *k.time, *k.failed, *k.invalid = int64(c.Ops.Load()), int64(c.Time.Load()), int64(c.Failed.Load()), int64(c.Invalid.Load())
	}
	if idle, ok := s.Idle(); ok {
		d.IdleTimeNs = some(int64(idle))
	}
	d.AccountInvalid, d.AccountFailed = s.Accounting()
	for _, t := range s.Timed() {
		rd, wr, fl := t.Latency(block.AcctRead), t.Latency(block.AcctWrite), t.Latency(block.AcctFlush)
		d.TimedStats = append(d.TimedStats, &qapi.BlockDeviceTimedStats{
			IntervalLength: int64(t.Length.Seconds()),
			MinRdLatencyNs: rd.Min, MaxRdLatencyNs: rd.Max, AvgRdLatencyNs: rd.Avg,
			MinWrLatencyNs: wr.Min, MaxWrLatencyNs: wr.Max, AvgWrLatencyNs: wr.Avg,
			MinFlushLatencyNs: fl.Min, MaxFlushLatencyNs: fl.Max, AvgFlushLatencyNs: fl.Avg,
			AvgRdQueueDepth: t.QueueDepth(block.AcctRead), AvgWrQueueDepth: t.QueueDepth(block.AcctWrite),
		})
	}
	d.RdLatencyHistogram = histogramInfo(s, block.AcctRead)
	d.WrLatencyHistogram = histogramInfo(s, block.AcctWrite)
	d.FlushLatencyHistogram = histogramInfo(s, block.AcctFlush)
}

func histogramInfo(s *block.Stats, kind block.Acct) *qapi.BlockLatencyHistogramInfo {
	boundaries, bins := s.Histogram(kind)
	if bins == nil {
		return nil
	}
	return &qapi.BlockLatencyHistogramInfo{Boundaries: boundaries, Bins: bins}
}

// BlockLatencyHistogramSet implements qapi.BlockCommands.
func (s *Service) BlockLatencyHistogramSet(_ context.Context, a *qapi.BlockLatencyHistogramSetArg) error {
	return s.locked(func() error {
		b, err := s.backend(nil, &a.Id)
		if err != nil {
			return err
		}
		if a.Boundaries == nil && a.BoundariesRead == nil && a.BoundariesWrite == nil && a.BoundariesFlush == nil {
			b.Stats.ClearHistograms()
			return nil
		}
		for _, k := range []struct {
			kind       block.Acct
			boundaries []uint64
			name       string
		}{{block.AcctRead, a.BoundariesRead, "read"}, {block.AcctWrite, a.BoundariesWrite, "write"}, {block.AcctFlush, a.BoundariesFlush, "flush"}} {
			list := k.boundaries
			if list == nil {
				list = a.Boundaries
			}
			if list != nil && !b.Stats.SetHistogram(k.kind, list) {
				return block.Errorf(unix.EINVAL, "Device '%s' set %s boundaries fail", a.Id, k.name)
			}
		}
		return nil
	})
}
