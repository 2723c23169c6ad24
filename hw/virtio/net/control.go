package net

import (
	"slices"

	"goemu/hw/virtio"
	"goemu/hw/virtio/ring"
	"goemu/internal/netdev"
	"goemu/qapi"
)

// filterState is which frames the guest wants.
type filterState struct {
	mac                                                [6]byte
	promisc, allMulti, allUni, noMulti, noUni, noBcast bool
	table                                              []([6]byte)
	firstMulti                                         int // in table
	uniOverflow, multiOverflow                         bool
	vlan                                               [vlans / 8]byte
}

func (f *filterState) resetFilter() {
	vlan := f.vlan
	*f = filterState{promisc: true, vlan: vlan}
	clear(f.vlan[:])
}

// wants tells whether the guest takes a frame.
func (m *Model) wants(data []byte) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.promisc {
		return true
	}
	if len(data) < etherHeader {
		return false
	}
	if data[12] == 0x81 && data[13] == 0 && len(data) >= 16 {
		vid := (int(data[14])<<8 | int(data[15])) & (vlans - 1)
		if m.vlan[vid>>3]>>(vid&7)&1 == 0 {
			return false
		}
	}
	dst := [6]byte(data)
	if dst[0]&1 == 0 {
		switch {
		case m.noUni:
			return false
		case m.allUni || m.uniOverflow || dst == m.mac:
			return true
		}
		return slices.Contains(m.table[:m.firstMulti], dst)
	}
	switch {
	case dst == [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}:
		return !m.noBcast
	case m.noMulti:
		return false
	case m.allMulti || m.multiOverflow:
		return true
	}
	return slices.Contains(m.table[m.firstMulti:], dst)
}

// maxCommand bounds a command of the control queue.
const maxCommand = 1 << 16

// control is the handler of the control queue.
func (m *Model) control(q *virtio.Queue) bool {
	for {
		e := q.Pop()
		if e == nil {
			return true
		}
		if e.InLen() < 1 || e.OutLen() < 2 {
			m.Fail(virtio.Errorf("virtio-net ctrl missing headers"))
			q.Detach(e)
			return true
		}
		put(e, m.command(flatten(e)))
		q.Push(e, 1)
	}
}

func flatten(e *ring.Element) (b []byte) {
	for _, p := range e.Out {
		b = append(b, p[:min(len(p), maxCommand-len(b))]...)
	}
	return b
}

func put(e *ring.Element, v uint8) {
	for _, p := range e.In {
		if len(p) > 0 {
			p[0] = v
			return
		}
	}
}

// command carries a command out; b has class, command and data.
func (m *Model) command(b []byte) uint8 {
	class, cmd, arg := b[0], b[1], b[2:]
	switch class {
	case ctrlRX:
		return m.rxMode(cmd, arg)
	case ctrlMAC:
		return m.macCommand(cmd, arg)
	case ctrlVLAN:
		return m.vlanCommand(cmd, arg)
	case ctrlAnnounce:
		if cmd == announceAck {
			return m.announced()
		}
	case ctrlMQ:
		return m.mqCommand(cmd, arg)
	case ctrlOffloads:
		return m.offloadCommand(cmd, arg)
	}
	return ctrlErr
}

func (m *Model) rxMode(cmd uint8, arg []byte) uint8 {
	modes := map[uint8]*bool{rxPromisc: &m.promisc, rxAllMulti: &m.allMulti, rxAllUni: &m.allUni, rxNoMulti: &m.noMulti, rxNoUni: &m.noUni, rxNoBcast: &m.noBcast}
	p := modes[cmd]
	if len(arg) < 1 || p == nil {
		return ctrlErr
	}
	m.mu.Lock()
	*p = arg[0] != 0
	m.mu.Unlock()
	m.filterChanged()
	return ctrlOK
}

func (m *Model) macCommand(cmd uint8, arg []byte) uint8 {
	switch cmd {
	case macAddrSet:
		if len(arg) != 6 {
			return ctrlErr
		}
		m.setMAC([6]byte(arg))
	case macTableSet:
		if !m.setTable(arg) {
			return ctrlErr
		}
	default:
		return ctrlErr
	}
	m.filterChanged()
	return ctrlOK
}

// setTable takes two lists, of single addresses and of groups: each le32 number and the addresses.
func (m *Model) setTable(arg []byte) bool {
	uni, rest, ok := cutTable(arg)
	if !ok {
		return false
	}
	multi, rest, ok := cutTable(rest)
	if !ok || len(rest) != 0 {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.table, m.uniOverflow, m.multiOverflow = nil, len(uni) > macEntries, false
	if !m.uniOverflow {
		m.table = append(m.table, uni...)
	}
	m.firstMulti = len(m.table)
	if m.multiOverflow = len(multi) > macEntries-m.firstMulti; !m.multiOverflow {
		m.table = append(m.table, multi...)
	}
	return true
}

func cutTable(b []byte) (list [][6]byte, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := uint64(le.Uint32(b))
	if b = b[4:]; n*6 > uint64(len(b)) {
		return nil, nil, false
	}
	for range n {
		list, b = append(list, [6]byte(b)), b[6:]
	}
	return list, b, true
}

func (m *Model) vlanCommand(cmd uint8, arg []byte) uint8 {
	if len(arg) < 2 || le.Uint16(arg) >= vlans || cmd > vlanDel {
		return ctrlErr
	}
	vid := le.Uint16(arg)
	m.mu.Lock()
	if cmd == vlanAdd {
		m.vlan[vid>>3] |= 1 << (vid & 7)
	} else {
		m.vlan[vid>>3] &^= 1 << (vid & 7)
	}
	m.mu.Unlock()
	m.filterChanged()
	return ctrlOK
}

func (m *Model) mqCommand(cmd uint8, arg []byte) uint8 {
	m.setSpread(nil)
	var n uint16
	switch {
	case cmd == mqRSS || cmd == mqHash:
		s, pairs, ok := m.parseSpread(cmd, arg)
		if !ok {
			return ctrlErr
		}
		m.setSpread(s)
		n = pairs
	case cmd == mqPairsSet && m.Has(featMultiQueue) && len(arg) >= 2:
		n = le.Uint16(arg)
	}
	if n < 1 || int(n) > len(m.pairs) || cmd != mqHash && !m.multi {
		return ctrlErr
	}
	if cmd != mqHash {
		m.setPairs(n)
	}
	return ctrlOK
}

// setPairs changes how many pairs are in use.
func (m *Model) setPairs(n uint16) {
	m.curPairs.Store(uint32(n))
	m.nic.Resume()
	if m.outside != nil {
		m.outside.EnableChanged()
	}
}

func (m *Model) offloadCommand(cmd uint8, arg []byte) uint8 {
	if cmd != offloadsSet || !m.Has(featGuestOffloads) || len(arg) < 8 || !m.vnetHdr {
		return ctrlErr
	}
	o := le.Uint64(arg)
	if o&^(m.GuestFeatures()&(guestOffloads|1<<featGuestUFO)) != 0 {
		return ctrlErr
	}
	m.mu.Lock()
	m.guestOffloads = o
	m.mu.Unlock()
	m.applyOffloads()
	return ctrlOK
}

// filterChanged tells the monitor's clients, once until they ask.
func (m *Model) filterChanged() {
	if m.notified {
		return
	}
	m.notified = true
	ev := &qapi.NicRxFilterChangedEvent{}
	if id := m.owner.Dev().ID(); id != "" {
		ev.Name = &id
	}
	if n := m.owner.Dev().QOM(); n != nil {
		ev.Path = n.Path() + "/virtio-backend"
	}
	netdev.Main.Tell(ev)
}

// rxFilterInfo is what query-rx-filter says. As in QEMU, broadcast-allowed says the opposite of its name.
func (m *Model) rxFilterInfo() *qapi.RxFilterInfo {
	m.notified = false
	m.mu.RLock()
	defer m.mu.RUnlock()
	i := &qapi.RxFilterInfo{Name: m.pairs[0].client.Name, Promiscuous: m.promisc, Multicast: state(m.noMulti, m.allMulti), Unicast: state(m.noUni, m.allUni),
		BroadcastAllowed: m.noBcast, MulticastOverflow: m.multiOverflow, UnicastOverflow: m.uniOverflow, MainMac: netdev.FormatMAC(m.mac[:]),
		Vlan: qapi.RxStateNormal, VlanTable: []int64{}, UnicastTable: []string{}, MulticastTable: []string{}}
	for n, a := range m.table {
		if n < m.firstMulti {
			i.UnicastTable = append([]string{netdev.FormatMAC(a[:])}, i.UnicastTable...)
		} else {
			i.MulticastTable = append([]string{netdev.FormatMAC(a[:])}, i.MulticastTable...)
		}
	}
	if !m.Has(featCtrlVLAN) {
		i.Vlan = qapi.RxStateAll
	}
	for vid := range vlans {
		if m.vlan[vid>>3]>>(vid&7)&1 != 0 {
			i.VlanTable = append([]int64{int64(vid)}, i.VlanTable...)
		}
	}
	if len(i.VlanTable) == 0 && m.Has(featCtrlVLAN) {
		i.Vlan = qapi.RxStateNone
	}
	return i
}

func state(none, all bool) qapi.RxState {
	switch {
	case none:
		return qapi.RxStateNone
	case all:
		return qapi.RxStateAll
	}
	return qapi.RxStateNormal
}
