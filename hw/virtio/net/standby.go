package net

import (
	"errors"
	"fmt"
	"slices"

	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/internal/netdev"
	"goemu/qapi"
)

// standby is the part of a device that stands in for a faster one, its primary: the network device whose failover_pair_id is its identifier.
// Guests know the two by their common address. It implements qdev.Standby.
type standby struct {
	m      *Model
	hide   bool           // the primary has to wait for the driver
	wanted []qdev.Setting // of a primary that was to be made while it had to wait, nil if there was none
}

func newStandby(m *Model) *standby {
	s := &standby{m: m, hide: true}
	if t := s.tree(); t != nil {
		t.AddStandby(s)
	}
	return s
}

// close forgets the primary; it works without a standby, too.
func (s *standby) close() {
	if s == nil {
		return
	}
	if t := s.tree(); t != nil {
		t.RemoveStandby(s)
	}
}

func (s *standby) tree() *qdev.Tree { return s.m.owner.Dev().Tree() }

func (s *standby) id() string { return s.m.owner.Dev().ID() }

// primary finds the primary, nil if it is not there.
func (s *standby) primary() qdev.Device {
	if s.id() == "" {
		return nil
	}
	for _, d := range s.tree().Devices() {
		if f, ok := d.(pci.Function); ok && f.PCI().PairID == s.id() {
			return d
		}
	}
	return nil
}

// value is that of a setting; ok tells whether it is there.
func value(set []qdev.Setting, name string) (v string, ok bool) {
	i := slices.IndexFunc(set, func(s qdev.Setting) bool { return s.Name == name })
	if i < 0 {
		return "", false
	}
	return set[i].Value, true
}

// Hides implements qdev.Standby.
func (s *standby) Hides(set []qdev.Setting) (bool, error) {
	pair, ok := value(set, "failover_pair_id")
	if !ok {
		return false, nil
	}
	id, ok := value(set, "id")
	switch {
	case !ok:
		return false, errors.New("Device with failover_pair_id needs to have id")
	case s.id() == "" || pair != s.id():
		return false, nil
	case s.wanted == nil:
		s.wanted = slices.Clone(set)
	default:
		if old, _ := value(s.wanted, "id"); old != id {
			return false, fmt.Errorf("Cannot attach more than one primary device to '%s': '%s' and '%s'", s.id(), old, id)
		}
	}
	return s.hide, nil
}

// negotiated makes the primary now that the driver knows of pairs.
func (s *standby) negotiated() {
	netdev.Main.Tell(&qapi.FailoverNegotiatedEvent{DeviceId: s.id()})
	s.hide = false
	if s.primary() != nil {
		return
	}
	if s.wanted == nil {
		s.warn(fmt.Sprintf("Primary device not found\nVirtio-net failover will not work. Make sure primary device has parameter failover_pair_id=%s", s.id()))
		return
	}
	if _, err := s.tree().Add(s.wanted); err != nil {
		s.wanted = nil
		s.warn(err.Error())
	}
}

func (s *standby) warn(text string) {
	if netdev.Main.Warn != nil {
		netdev.Main.Warn(text)
	}
}

// Withdraw implements qdev.Standby.
func (s *standby) Withdraw() {
	p := s.primary()
	if p == nil || s.hide {
		return
	}
	if err := p.Dev().Withdraw(); err != nil {
		s.warn(err.Error())
		return
	}
	s.hide = true
	netdev.Main.Tell(&qapi.UnplugPrimaryEvent{DeviceId: p.Dev().ID()})
}

// Withdrawing implements qdev.Standby.
func (s *standby) Withdrawing() bool {
	if !s.m.Has(featStandby) {
		return false
	}
	p := s.primary()
	return p != nil && p.Dev().Withdrawing()
}

// Restore implements qdev.Standby.
func (s *standby) Restore() {
	p := s.primary()
	if p == nil || !p.Dev().Withdrawing() && !p.Dev().Withdrawn() {
		return
	}
	s.hide = false
	if err := p.Dev().Restore(); err != nil {
		s.warn(err.Error())
	}
}
