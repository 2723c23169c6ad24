package net

import (
	"errors"
	"fmt"

	"goemu/hw/virtio"
	"goemu/migration/vmstate"
)

const stateVersion = 11

func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// SaveDevice implements virtio.ModelState.
func (m *Model) SaveDevice(w *vmstate.Writer) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	w.Raw(m.mac[:])
	w.U32(0) // a transmitter that waits: ours leaves the chain in the queue
	w.U32(uint32(bit(m.Has(featMergeable))))
	w.U16(uint16(m.status.Load()))
	w.Bool(m.promisc)
	w.Bool(m.allMulti)
	w.U32(uint32(len(m.table)))
	for _, a := range m.table {
		w.Raw(a[:])
	}
	w.Raw(m.vlan[:])
	w.U32(uint32(bit(m.leavesWork())))
	for _, b := range []bool{m.multiOverflow, m.uniOverflow, m.allUni, m.noMulti, m.noUni, m.noBcast, m.vnetHdr && m.Props.Netdev.UFO()} {
		w.Bool(b)
	}
	if len(m.pairs) > 1 {
		w.U16(uint16(len(m.pairs)))
		w.U16(uint16(m.curPairs.Load()))
	}
	for range m.curPairs.Load() - 1 {
		w.U32(0)
	}
	if m.Has(featGuestOffloads) {
		w.U64(m.guestOffloads)
	}
	lateState.Save(m, w)
}

// leavesWork tells whether driver and back end leave each other work, which the other side of a migration must be able to do, too.
func (m *Model) leavesWork() bool {
	return m.vnetHdr && m.GuestFeatures()&(offloadFeatures|udpOffloads) != 0
}

// LoadDevice implements virtio.ModelState.
func (m *Model) LoadDevice(r *vmstate.Reader) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	copy(m.mac[:], r.Raw(6))
	r.U32()
	r.U32()
	m.status.Store(uint32(r.U16()))
	m.promisc, m.allMulti = r.Bool(), r.Bool()
	n := r.U32()
	m.table = nil
	for range n {
		b := r.Raw(6)
		if b == nil {
			return r.Err()
		}
		if n <= macEntries {
			m.table = append(m.table, [6]byte(b))
		}
	}
	m.firstMulti = 0
	for m.firstMulti < len(m.table) && m.table[m.firstMulti][0]&1 == 0 {
		m.firstMulti++
	}
	copy(m.vlan[:], r.Raw(len(m.vlan)))
	if r.U32() != 0 && !m.vnetHdr {
		return errors.New("virtio-net: saved image requires vnet_hdr=on")
	}
	for _, p := range []*bool{&m.multiOverflow, &m.uniOverflow, &m.allUni, &m.noMulti, &m.noUni, &m.noBcast} {
		*p = r.Bool()
	}
	if r.Bool() && !m.Props.Netdev.UFO() {
		return errors.New("virtio-net: saved image requires TUN_F_UFO support")
	}
	m.curPairs.Store(1)
	if len(m.pairs) > 1 {
		if n := r.U16(); int(n) != len(m.pairs) && r.Err() == nil {
			return fmt.Errorf("%d queue pairs, %d expected", n, len(m.pairs))
		}
		c := r.U16()
		if int(c) > len(m.pairs) {
			return fmt.Errorf("virtio-net: curr_queue_pairs %x > max_queue_pairs %x", c, len(m.pairs))
		}
		m.curPairs.Store(uint32(max(c, 1)))
		for range max(c, 1) - 1 {
			r.U32()
		}
	}
	if m.Has(featGuestOffloads) {
		m.guestOffloads = r.U64()
	} else {
		m.guestOffloads = m.GuestFeatures() & (guestOffloads | 1<<featGuestUFO)
	}
	m.spread.Store(nil)
	return lateState.Load(m, r, stateVersion)
}

// Loaded puts what was loaded into force; the guest announces itself at its new place.
func (m *Model) Loaded() error {
	m.mu.RLock()
	mac := m.mac
	m.mu.RUnlock()
	m.nic.ShowMAC(mac)
	for _, q := range m.pairs {
		if q.client != nil {
			q.client.SetLinkDown(m.status.Load()&statusLinkUp == 0)
		}
	}
	if m.vnetHdr {
		m.applyOffloads()
	}
	if m.Has(featStandby) {
		m.standby.negotiated()
	}
	if m.Has(featAnnounce) && m.Has(featCtrlVQ) {
		m.rounds = announceRounds
		m.announce.Mod(0)
	}
	return nil
}

var _ virtio.ModelState = (*Model)(nil)
