package net

import (
	"goemu/hw/virtio"
	"goemu/internal/netdev"
	"goemu/internal/vhostuser"
)

// serverFeatures are those of which a back end that serves the rings itself decides.
const serverFeatures = 1<<virtio.FeatureNotifyOnEmpty | 1<<virtio.FeatureIndirectDesc | 1<<virtio.FeatureEventIdx | 1<<virtio.FeatureAnyLayout |
	1<<virtio.FeatureVersion1 | offloadFeatures | udpOffloads | 1<<featGSO | 1<<featMergeable | 1<<featMTU | 1<<featAnnounce | 1<<featMultiQueue

// findServer looks whether the back end serves the rings itself.
func (m *Model) findServer() {
	m.outside = nil
	s, ok := m.Props.Netdev.Port().(virtio.Server)
	if !ok {
		return
	}
	m.outside = &virtio.Outside{Server: s, Offers: serverFeatures, Warn: func(text string) { netdev.Main.Warn(text) }, Greet: m.greet, Enabled: func(q *virtio.Queue) bool {
		return q.Index/2 < int(m.curPairs.Load())
	}}
	if m.Props.MTUOurs {
		m.outside.Own = 1 << featMTU
	}
	m.SetOutside(m.outside)
}

// greet tells a server of the NIC's options.
func (m *Model) greet(s *vhostuser.Session) {
	if m.Props.MTU != 0 {
		_ = s.SetMTU(m.Props.MTU) // an error ends the session
	}
}

// updateServer starts or stops the rings of a back end that serves them.
func (m *Model) updateServer() {
	if m.outside != nil {
		m.outside.Update(m.Active() && m.driverOK() && m.status.Load()&statusLinkUp != 0)
	}
}
