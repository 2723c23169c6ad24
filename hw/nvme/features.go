package nvme

import (
	"context"

	"goemu/internal/clock"
)

const nsPerMilli = 1000000

// Features (section 5.21.1).
const (
	featArbitration  = 0x01
	featPower        = 0x02
	featTemperature  = 0x04
	featRecovery     = 0x05
	featCache        = 0x06
	featQueues       = 0x07
	featCoalescing   = 0x08
	featVector       = 0x09
	featAtomicity    = 0x0a
	featEvents       = 0x0b
	featTimestamp    = 0x0e
	featHostBehavior = 0x16
	featCommandSets  = 0x19
)

// What can be done with a feature.
const (
	canPerNamespace = 1 << 1
	canChange       = 1 << 2
)

// featureCaps are the features there are.
var featureCaps = map[uint8]uint32{
	featArbitration: 0, featPower: 0, featTemperature: canChange, featRecovery: canChange | canPerNamespace, featCache: canChange, featQueues: canChange,
	featCoalescing: 0, featVector: 0, featAtomicity: 0, featEvents: canChange, featTimestamp: canChange, featHostBehavior: canChange, featCommandSets: canChange,
}

// Which value of a feature is asked for.
const (
	selectCurrent = 0
	selectCaps    = 3
)

const (
	arbitrationNoLimit = 7
	vectorNoCoalescing = 1 << 16
	temperatureUnder   = 1
	hostBehaviorBytes  = 512
	recoverDeallocated = 1 << 16 // reads of deallocated blocks fail
	timestampBytes     = 8
	timestampSet       = 1 << 49 // the driver has set the time
)

// features are the controller's settings.
type features struct {
	hot, cold uint32 // thresholds of the temperature
	events    uint32
	behavior  [hostBehaviorBytes]byte
	time      uint64 // milliseconds, at setAt of the virtual clock
	setAt     int64
}

func (f *features) setTime(v uint64) { f.time, f.setAt = v, clock.Virtual.Now()/nsPerMilli }

// now is the driver's time.
func (f *features) now() uint64 {
	v := (f.time + uint64(clock.Virtual.Now()/nsPerMilli-f.setAt)) & (1<<48 - 1)
	if f.time != 0 {
		v |= timestampSet
	}
	return v
}

// namespaceOf finds the namespace that a feature is about.
func (c *Controller) namespaceOf(id uint32) (*Namespace, status) {
	if !validNSID(id) || id == allNamespaces {
		return nil, invalidNSID
	}
	if n := c.ns(id); n != nil {
		return n, success
	}
	return nil, invalidField
}

func (c *Controller) getFeature(r *request) status {
	fid, sel, arg := uint8(r.dw(10)), r.dw(10)>>8&7, r.dw(11)
	caps, ok := featureCaps[fid]
	if !ok {
		return invalidField
	}
	var n *Namespace
	if caps&canPerNamespace != 0 {
		var s status
		if n, s = c.namespaceOf(r.nsid()); s != success {
			return s
		}
	}
	if sel == selectCaps {
		r.result = uint64(caps)
		return success
	}
	if sel == selectCurrent {
		switch fid {
		case featRecovery:
			r.result = uint64(n.recovery)
			return success
		case featCache:
			r.result = uint64(c.cacheEnabled())
			return success
		case featEvents:
			r.result = uint64(c.features.events)
			return success
		case featTimestamp:
			return c.reply(r, le.AppendUint64(nil, c.features.now()))
		case featHostBehavior:
			return c.reply(r, c.features.behavior[:])
		}
	}
	return c.defaultFeature(r, fid, arg, sel == selectCurrent)
}

// defaultFeature answers for features that do not change, and for the defaults of those that do.
func (c *Controller) defaultFeature(r *request, fid uint8, arg uint32, current bool) status {
	switch fid {
	case featArbitration:
		r.result = arbitrationNoLimit
	case featTemperature:
		under := arg >> 20 & 3
		switch {
		case arg>>16&15 != 0: // another sensor
		case under > temperatureUnder && current:
			return invalidField
		case current && under == temperatureUnder:
			r.result = uint64(c.features.cold)
		case current:
			r.result = uint64(c.features.hot)
		case under == 0:
			r.result = warningTemperature
		}
	case featQueues:
		r.result = uint64((c.MaxPairs - 1) | (c.MaxPairs-1)<<16)
	case featVector:
		v := arg & 0xffff
		if v > c.MaxPairs {
			return invalidField
		}
		if r.result = uint64(v); c.cqs[0] != nil && v == uint32(c.cqs[0].vector) {
			r.result |= vectorNoCoalescing
		}
	}
	return success
}

func (c *Controller) setFeature(r *request) status {
	fid, arg, id := uint8(r.dw(10)), r.dw(11), r.nsid()
	caps, ok := featureCaps[fid]
	switch {
	case r.dw(10)>>31 != 0:
		return notSaveable
	case !ok:
		return invalidField
	}
	var n *Namespace
	if caps&canPerNamespace != 0 {
		if id != allNamespaces {
			var s status
			if n, s = c.namespaceOf(id); s != success {
				return s
			}
		}
	} else if id != 0 && id != allNamespaces {
		if !validNSID(id) {
			return invalidNSID
		}
		return notPerNamespace
	}
	if caps&canChange == 0 {
		return notChangeable
	}
	switch fid {
	case featTemperature:
		return c.setThreshold(arg)
	case featRecovery:
		for _, x := range c.namespaces {
			if x != nil && (n == nil || x == n) {
				x.recovery = arg
			}
		}
	case featCache:
		return c.setCache(r, arg&1 != 0)
	case featQueues:
		switch {
		case c.created:
			return sequenceError
		case arg&0xffff == 0xffff || arg>>16 == 0xffff:
			return invalidField
		}
		r.result = uint64((c.MaxPairs - 1) | (c.MaxPairs-1)<<16)
	case featEvents:
		c.features.events = arg
	case featTimestamp:
		b, s := c.fetch(r, timestampBytes)
		if s == success {
			c.features.setTime(le.Uint64(b))
		}
		return s
	case featHostBehavior:
		b, s := c.fetch(r, hostBehaviorBytes)
		if s == success {
			copy(c.features.behavior[:], b)
		}
		return s
	case featCommandSets:
		if arg&0x1ff != 0 {
			return setsRejected
		}
	}
	return success
}

// setThreshold sets a limit of the temperature, which may be past it already.
func (c *Controller) setThreshold(arg uint32) status {
	if arg>>16&15 != 0 {
		return success
	}
	switch arg >> 20 & 3 {
	case 0:
		c.features.hot = arg & 0xffff
	case temperatureUnder:
		c.features.cold = arg & 0xffff
	default:
		return invalidField
	}
	if c.tooWarm() {
		c.tellHealth(smartTemperature)
	}
	return success
}

// tooWarm tells whether the temperature, which never changes, is outside the thresholds.
func (c *Controller) tooWarm() bool {
	return temperature >= c.features.hot || temperature <= c.features.cold
}

func (c *Controller) cacheEnabled() uint32 {
	for _, n := range c.namespaces {
		if n != nil && n.backend.WriteCache() {
			return 1
		}
	}
	return 0
}

// setCache switches the disks' write caches; what is in them is written when they are switched off.
func (c *Controller) setCache(r *request, on bool) status {
	var flush []*Namespace
	for _, n := range c.namespaces {
		if n == nil {
			continue
		}
		if !on && n.backend.WriteCache() {
			flush = append(flush, n)
		}
		n.backend.SetWriteCache(on)
	}
	if len(flush) == 0 {
		return success
	}
	r.sq.jobs.Go(func() error {
		for _, n := range flush {
			if err := n.backend.Flush(context.Background()); err != nil {
				return err
			}
		}
		return nil
	}, func(err error) { c.complete(r, success) }) // the cache is off, whatever became of what was in it
	return pending
}
