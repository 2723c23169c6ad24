package tcg

import (
	"sync/atomic"
	"time"

	"goemu/target/x86"
)

// Hot code is found by samples: now and then the CPUs that execute are made to leave translated code, which they do at loops and indirect
// jumps, and where they go on then is counted. Blocks that are found again and again, and those that they lead to, are translated a
// second time for speed.

const (
	sampleMin  = time.Millisecond // between two samples, while they find something
	sampleMax  = 4 * time.Millisecond
	hotHeat    = 2  // samples that make a block hot
	hotThrough = 4  // conditional jumps that a hot block goes on behind
	hotReach   = 24 // blocks that are translated anew at once
)

// sampler asks for samples as long as a CPU executes.
type sampler struct {
	a     *Accel
	timer *time.Timer
	armed atomic.Bool
	every atomic.Int64
}

func (s *sampler) init(a *Accel) {
	s.a = a
	s.every.Store(int64(sampleMin))
	s.timer = time.AfterFunc(time.Hour, s.tick)
	s.timer.Stop()
}

// wake is called when a CPU is about to execute. The clock starts when the CPU has been at work for a while: one that wakes up only for
// a moment costs no timer.
func (s *sampler) wake(c *CPU) {
	if s.armed.Load() || time.Since(c.woken) < sampleMax {
		return
	}
	if s.armed.CompareAndSwap(false, true) {
		s.timer.Reset(time.Duration(s.every.Load()))
	}
}

// tick asks those CPUs that execute. If there is none, the next that does starts the clock again.
func (s *sampler) tick() {
	busy := false
	for _, c := range s.a.list() {
		if c.gate.Inside() {
			c.asked.Store(true)
			setExitReq(&c.env.Header)
			busy = true
		}
	}
	if busy {
		s.timer.Reset(time.Duration(s.every.Load()))
		return
	}
	s.armed.Store(false)
}

// warm counts a sample. It reports true if the block was dropped so that the next look-up makes a hot one.
func (a *Accel) warm(b *block) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	b.heat++
	user := b.key.flags&x86.HFCPLMask == 3 // the soft TLB of others changes under their feet, with EFLAGS.AC
	if !user || b.heat < hotHeat || b.page == nil || b.key.cond != 0 || b.dead.Load() || a.table.hot[b.key] {
		a.sampler.every.Store(int64(min(2*time.Duration(a.sampler.every.Load()), sampleMax)))
		return false
	}
	a.sampler.every.Store(int64(sampleMin))
	a.hot.Store(true)
	for _, r := range reachable(b) {
		if !a.table.hot[r.key] {
			a.table.hot[r.key] = true
			a.kill(r)
		}
	}
	return true
}

// reachable lists a block and those that linked exits lead to, nearest first.
func reachable(b *block) []*block {
	list := append(make([]*block, 0, hotReach), b)
	seen := map[*block]bool{b: true}
	for i := 0; i < len(list); i++ {
		for _, l := range list[i].out {
			if to := l.to; to != nil && !seen[to] && len(list) < hotReach {
				seen[to] = true
				list = append(list, to)
			}
		}
	}
	return list
}

// retranslate drops a block that the engine wants to compile anew.
func (a *Accel) retranslate(id uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if id < uint64(len(a.table.byID)) && a.table.byID[id] != nil {
		a.kill(a.table.byID[id])
	}
}
