package netdev

import (
	"slices"

	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/qapi"
)

// announcer sends announcements of all NICs in rounds.
type announcer struct {
	timer *clock.Timer
	left  int64
	p     qapi.AnnounceParameters
}

const nsPerMilli = 1000000

// Announce makes NICs tell their neighbours where they are, in rounds. Preconditions: the machine lock is held.
func (s *Set) Announce(p *qapi.AnnounceParameters) {
	id := ""
	if p.Id != nil {
		id = *p.Id
	}
	if s.named == nil {
		s.named = map[string]*announcer{}
	}
	if old := s.named[id]; old != nil {
		old.timer.Del()
	}
	a := &announcer{left: p.Rounds, p: *p}
	a.timer = mainloop.NewTimer(clock.Realtime, func() { s.announceOnce(id, a) })
	s.named[id] = a
	if a.left > 0 {
		s.announceOnce(id, a)
	} else {
		delete(s.named, id)
	}
}

func (s *Set) announceOnce(id string, a *announcer) {
	for _, c := range s.Clients() {
		if c.nic == nil || c.Index != 0 || a.p.Interfaces != nil && !slices.Contains(a.p.Interfaces, c.Name) {
			continue
		}
		c.SendRaw(rarp(c.nic.MAC))
		if c.nic.Announce != nil {
			c.nic.Announce()
		}
	}
	if a.left--; a.left <= 0 {
		delete(s.named, id)
		return
	}
	step := a.p.Initial + (a.p.Rounds-a.left-1)*a.p.Step
	if step < 0 || step > a.p.Max {
		step = a.p.Max
	}
	a.timer.Mod(clock.Realtime.Now() + step*nsPerMilli)
}

// rarp is a request that makes switches learn where an address is.
func rarp(mac [6]byte) []byte {
	b := make([]byte, 60)
	for i := range 6 {
		b[i] = 0xff
	}
	copy(b[6:], mac[:])
	be.PutUint16(b[12:], 0x8035)
	copy(b[14:], []byte{0, 1, 8, 0, 6, 4, 0, 3})
	copy(b[22:], mac[:])
	copy(b[32:], mac[:])
	return b
}
