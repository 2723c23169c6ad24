package blkdebug

import (
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// points are the rules of a node and what has become of them.
type points struct {
	mu     sync.Mutex
	rules  map[string][]*rule // by event, newest first
	active []*rule            // injections of the last event that had any, newest first
	state  uint64
	asleep []*sleeper
}

// sleeper is a request that stands still.
type sleeper struct {
	tag  string
	wake chan struct{}
}

func (p *points) init(rules []*rule) {
	p.rules = map[string][]*rule{}
	p.state = 1
	for _, r := range rules {
		p.add(r)
	}
}

// add enters a rule before the older ones of its event.
func (p *points) add(r *rule) { p.rules[r.event] = slices.Insert(p.rules[r.event], 0, r) }

// event lets the rules of an event act. Injections replace those of earlier events; a change of state counts from the next event on.
func (p *points) event(name string) {
	p.mu.Lock()
	next := p.state
	var fresh []*rule
	var stops []*sleeper
	for _, r := range slices.Clone(p.rules[name]) {
		if r.state != 0 && r.state != p.state {
			continue
		}
		switch a := r.action.(type) {
		case *injection:
			fresh = slices.Insert(fresh, 0, r)
		case newState:
			next = uint64(a)
		case suspension:
			p.drop(r)
			stops = append(stops, &sleeper{string(a), make(chan struct{})})
		}
	}
	if fresh != nil {
		p.active = fresh
	}
	p.asleep = append(p.asleep, stops...)
	p.state = next
	p.mu.Unlock()
	for _, s := range stops {
		fmt.Fprintf(os.Stdout, "blkdebug: Suspended request '%s'\n", s.tag)
		<-s.wake
		fmt.Fprintf(os.Stdout, "blkdebug: Resuming request '%s'\n", s.tag)
	}
}

// drop takes a rule out that is used up.
func (p *points) drop(r *rule) {
	p.rules[r.event] = slices.DeleteFunc(p.rules[r.event], func(x *rule) bool { return x == r })
}

// check gives the error that is injected into a request, or nil.
func (p *points) check(off, n int64, t ioTypes) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, r := range p.active {
		in := r.action.(*injection)
		if in.types&t == 0 || in.offset != anyOffset && (n == 0 || in.offset < off || in.offset >= off+n) {
			continue
		}
		if in.errno == 0 {
			return nil
		}
		if in.once {
			p.active = slices.Delete(p.active, i, i+1)
			p.drop(r)
		}
		return in.errno
	}
	return nil
}

// breakpoint adds a rule that stops a request.
func (p *points) breakpoint(event, tag string) error {
	if !known(event) {
		return unix.ENOENT
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(&rule{event: event, action: suspension(tag)})
	return nil
}

// resume wakes one request that stands still under the tag.
func (p *points) resume(tag string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.wake(tag) {
		return unix.ENOENT
	}
	return nil
}

// wake wakes the request that has slept longest under the tag.
// Preconditions: mu is held.
func (p *points) wake(tag string) bool {
	for i, s := range p.asleep {
		if s.tag == tag {
			p.asleep = slices.Delete(p.asleep, i, i+1)
			close(s.wake)
			return true
		}
	}
	return false
}

// remove takes back the breakpoints with the tag and wakes what they stopped.
func (p *points) remove(tag string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := false
	for event, rules := range p.rules {
		p.rules[event] = slices.DeleteFunc(rules, func(r *rule) bool {
			s, ok := r.action.(suspension)
			match := ok && string(s) == tag
			found = found || match
			return match
		})
	}
	for p.wake(tag) {
		found = true
	}
	if !found {
		return unix.ENOENT
	}
	return nil
}

func (p *points) suspended(tag string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.asleep, func(s *sleeper) bool { return s.tag == tag })
}

// releaseAll wakes everything.
func (p *points) releaseAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.asleep {
		close(s.wake)
	}
	p.asleep = nil
}
