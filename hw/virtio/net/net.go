package net

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"goemu/hw/nic"
	"goemu/hw/qdev"
	"goemu/hw/virtio"
	"goemu/hw/virtio/ring"
	"goemu/hw/virtio/transport"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/internal/netdev"
)

var le = binary.LittleEndian

// Props are the options of -device virtio-net-…
type Props struct {
	Csum          bool `prop:"csum,default=on" help:"on/off"`
	GuestCsum     bool `prop:"guest_csum,default=on" help:"on/off"`
	GSO           bool `prop:"gso,default=on" help:"on/off"`
	GuestTSO4     bool `prop:"guest_tso4,default=on" help:"on/off"`
	GuestTSO6     bool `prop:"guest_tso6,default=on" help:"on/off"`
	GuestECN      bool `prop:"guest_ecn,default=on" help:"on/off"`
	GuestUFO      bool `prop:"guest_ufo,default=on" help:"on/off"`
	GuestAnnounce bool `prop:"guest_announce,default=on" help:"on/off"`
	HostTSO4      bool `prop:"host_tso4,default=on" help:"on/off"`
	HostTSO6      bool `prop:"host_tso6,default=on" help:"on/off"`
	HostECN       bool `prop:"host_ecn,default=on" help:"on/off"`
	HostUFO       bool `prop:"host_ufo,default=on" help:"on/off"`
	Mergeable     bool `prop:"mrg_rxbuf,default=on" help:"on/off"`
	Status        bool `prop:"status,default=on" help:"on/off"`
	CtrlVQ        bool `prop:"ctrl_vq,default=on" help:"on/off"`
	CtrlRX        bool `prop:"ctrl_rx,default=on" help:"on/off"`
	CtrlVLAN      bool `prop:"ctrl_vlan,default=on" help:"on/off"`
	CtrlRXExtra   bool `prop:"ctrl_rx_extra,default=on" help:"on/off"`
	CtrlMAC       bool `prop:"ctrl_mac_addr,default=on" help:"on/off"`
	CtrlOffloads  bool `prop:"ctrl_guest_offloads,default=on" help:"on/off"`
	MQ            bool `prop:"mq,default=off" help:"on/off"`
	RSS           bool `prop:"rss,default=off" help:"on/off"`
	Hash          bool `prop:"hash,default=off" help:"on/off"`

	nic.Props

	TXTimer     uint32 `prop:"x-txtimer,default=150000"`
	TXBurst     int32  `prop:"x-txburst,default=256"`
	TX          string `prop:"tx"`
	RXQueueSize uint16 `prop:"rx_queue_size,default=256"`
	TXQueueSize uint16 `prop:"tx_queue_size,default=256"`
	MTU         uint16 `prop:"host_mtu,default=0"`
	Speed       int32  `prop:"speed,default=-1"`
	Duplex      string `prop:"duplex"`
	MTUOurs     bool   `prop:"x-mtu-bypass-backend,default=true"` // the guest is told of host_mtu though the back end cannot be
	Failover    bool   `prop:"failover,default=false"`
}

// features are the bits that the options stand for.
func (p *Props) features() (f uint64) {
	for bit, on := range map[int]bool{
		featCsum: p.Csum, featGuestCsum: p.GuestCsum, featGSO: p.GSO, featGuestTSO4: p.GuestTSO4, featGuestTSO6: p.GuestTSO6,
		featGuestECN: p.GuestECN, featGuestUFO: p.GuestUFO, featAnnounce: p.GuestAnnounce, featHostTSO4: p.HostTSO4, featHostTSO6: p.HostTSO6,
		featHostECN: p.HostECN, featHostUFO: p.HostUFO, featMergeable: p.Mergeable, featStatus: p.Status, featCtrlVQ: p.CtrlVQ,
		featCtrlRX: p.CtrlRX, featCtrlVLAN: p.CtrlVLAN, featCtrlRXExtra: p.CtrlRXExtra, featCtrlMAC: p.CtrlMAC,
		featGuestOffloads: p.CtrlOffloads, featMultiQueue: p.MQ, featMTU: p.MTU != 0, featSpeedDuplex: p.Speed >= 0 || p.Duplex != "",
		featMAC: true, featStandby: p.Failover, featRSS: p.RSS, featHashReport: p.Hash,
	} {
		if on {
			f |= 1 << bit
		}
	}
	return f
}

// Offloads that need a back end which takes frames with work left, and those among them that are about UDP.
const (
	offloadFeatures = 1<<featCsum | 1<<featHostTSO4 | 1<<featHostTSO6 | 1<<featHostECN | guestOffloads
	guestOffloads   = 1<<featGuestCsum | 1<<featGuestTSO4 | 1<<featGuestTSO6 | 1<<featGuestECN
	udpOffloads     = 1<<featGuestUFO | 1<<featHostUFO
)

// configEnds says how far the configuration space reaches with a feature.
var configEnds = []struct{ bit, end int }{{featStatus, cfgPairs}, {featMultiQueue, cfgMTU}, {featMTU, cfgSpeed}, {featSpeedDuplex, cfgKey},
	{featRSS, cfgEnd}, {featHashReport, cfgEnd}}

// Model is the device type virtio-net-device without its transport.
type Model struct {
	virtio.Device
	Common virtio.Props
	Props  Props `owner:"virtio-net-device"`

	owner    qdev.Device
	nic      *netdev.NIC
	vnetHdr  bool // the back end takes and sends headers
	duplex   uint8
	pairs    []*pair
	ctrl     *virtio.Queue
	multi    bool // all pairs have queues
	announce *clock.Timer
	rounds   int64 // announcements to come
	notified bool  // clients know that the filter has changed

	status   atomic.Uint32
	hdrLen   atomic.Uint32
	curPairs atomic.Uint32
	spread   atomic.Pointer[spread] // how frames are hashed; nil: not at all, and each stays at the pair it came to
	outside  *virtio.Outside        // nil: the queues are served here
	standby  *standby               // nil: the device has no primary

	mu sync.RWMutex
	filterState
	guestOffloads uint64 // what the guest takes now
}

// pair is a receive and a transmit queue with the client of the set that they serve.
type pair struct {
	m      *Model
	index  int
	client *netdev.Client
	rx, tx atomic.Pointer[virtio.Queue]
	frame  []byte // of several buffers, for the transmitter
	done   []ring.Used
	taken  []ring.Used // by the receiver
}

// TypeInfo implements virtio.Type.
func (*Model) TypeInfo() virtio.TypeInfo {
	return virtio.TypeInfo{Name: "net", ID: virtio.IDNet, PCIDevice: 0x1000, PCIClass: 0x0200, Category: qdev.Network,
		StateName: "virtio-net", StateVersion: stateVersion, ROM: "efi-virtio.rom"}
}

// Virtio implements virtio.Type.
func (m *Model) Virtio() *virtio.Device { return &m.Device }

// Vectors implements virtio.Type.
func (m *Model) Vectors() int { return 2*len(m.pairs) + 2 }

// Setup implements virtio.Type.
func (m *Model) Setup(owner qdev.Device, _ int) error {
	p := &m.Props
	switch p.Duplex {
	case "":
		m.duplex = duplexUnknown
	case "half":
		m.duplex = duplexHalf
	case "full":
		m.duplex = duplexFull
	default:
		return errors.New("'duplex' must be 'half' or 'full'")
	}
	if p.Speed < -1 {
		return errors.New("'speed' must be between 0 and INT_MAX")
	}
	if err := checkSize("rx", p.RXQueueSize, "."); err != nil {
		return err
	}
	if err := checkSize("tx", p.TXQueueSize, ""); err != nil {
		return err
	}
	pairs := max(p.Netdev.Queues(), 1)
	if 2*pairs+1 > virtio.MaxQueues {
		return fmt.Errorf("Invalid number of queue pairs (= %d), must be a positive integer less than %d.", pairs, (virtio.MaxQueues-1)/2)
	}
	if p.Netdev.Kind() != "vhost-user" {
		p.TXQueueSize = min(p.TXQueueSize, minQueue) // more only where the back end can
	}
	m.owner = owner
	var ports []netdev.Port
	m.pairs = nil
	for i := range pairs {
		q := &pair{m: m, index: i}
		m.pairs = append(m.pairs, q)
		ports = append(ports, q)
	}
	size := cfgStatus
	for _, c := range configEnds {
		if p.features()>>c.bit&1 != 0 {
			size = c.end
		}
	}
	m.Init("virtio-net", virtio.IDNet, m, &m.Common, size)
	m.findServer()
	m.addPair(m.pairs[0])
	m.addCtrl()
	m.status.Store(statusLinkUp)
	m.hdrLen.Store(hdrSize)
	m.curPairs.Store(1)
	m.resetFilter()
	m.announce = mainloop.NewTimer(clock.Virtual, m.announceNow)
	n, err := p.New(owner, "virtio-net-device", "virtio-net-pci", ports)
	if err != nil {
		return err
	}
	if p.Failover {
		m.standby = newStandby(m)
	}
	m.nic, m.vnetHdr = n, p.Netdev.VnetHdr()
	m.nic.Announce, m.nic.RxFilter = m.startAnnounce, m.rxFilterInfo
	m.mac = p.MAC
	for i, c := range m.nic.Clients {
		m.pairs[i].client = c
		c.Offloads = m.vnetHdr
	}
	return nil
}

func checkSize(what string, n uint16, dot string) error {
	if n < minQueue || n > ring.MaxSize || n&(n-1) != 0 {
		return fmt.Errorf("Invalid %s_queue_size (= %d), must be a power of 2 between %d and %d%s", what, n, minQueue, ring.MaxSize, dot)
	}
	return nil
}

func (m *Model) addPair(q *pair) {
	q.rx.Store(m.AddQueue(m.Props.RXQueueSize, false, q.roomAgain))
	q.tx.Store(m.AddQueue(m.Props.TXQueueSize, false, q.transmit))
	if m.outside != nil {
		q.rx.Load().HandOver()
		q.tx.Load().HandOver()
	}
}

func (m *Model) addCtrl() { m.ctrl = m.AddQueue(ctrlSize, true, m.control) }

// Teardown implements virtio.Type.
func (m *Model) Teardown() {
	m.Close()
	m.announce.Del()
	m.standby.close()
	m.nic.Close()
	m.Props.Release()
}

// BootPlace implements transport.Bootable.
func (m *Model) BootPlace() (index int32, suffix string, ok bool) { return m.Props.BootPlace() }

// Features implements virtio.Model.
func (m *Model) Features(f uint64) uint64 {
	f |= m.Props.features()
	if !m.vnetHdr {
		f &^= offloadFeatures | 1<<featHashReport
	}
	if !m.vnetHdr || !m.Props.Netdev.UFO() {
		f &^= udpOffloads
	}
	if m.outside != nil {
		f = m.outside.Limit(f) &^ (1<<featRSS | 1<<featHashReport)
	}
	return f
}

// LegacyFeatures implements virtio.LegacyModel.
func (m *Model) LegacyFeatures() uint64 { return 1 << featGSO }

// FeaturesSet implements virtio.FeatureModel.
func (m *Model) FeaturesSet(f uint64) {
	m.setMulti(f&(1<<featMultiQueue|1<<featRSS) != 0)
	n := uint32(hdrSize)
	switch modern := f>>virtio.FeatureVersion1&1 != 0; {
	case modern && f>>featHashReport&1 != 0:
		n = hdrHashed
	case modern, f>>featMergeable&1 != 0:
		n = hdrLong
	}
	m.hdrLen.Store(n)
	m.mu.Lock()
	fill := byte(0xff)
	if f>>featCtrlVLAN&1 != 0 {
		fill = 0
	}
	for i := range m.vlan {
		m.vlan[i] = fill
	}
	if m.vnetHdr {
		m.guestOffloads = f & (guestOffloads | 1<<featGuestUFO)
	}
	m.mu.Unlock()
	if m.vnetHdr {
		m.applyOffloads()
	}
	if f>>featStandby&1 != 0 {
		m.standby.negotiated()
	}
}

// setMulti gives all pairs their queues, or only the first.
func (m *Model) setMulti(on bool) {
	if on == m.multi {
		return
	}
	m.multi = on
	m.DropQueues(2)
	if on {
		for _, q := range m.pairs[1:] {
			m.addPair(q)
		}
	} else {
		for _, q := range m.pairs[1:] {
			q.rx.Store(nil)
			q.tx.Store(nil)
		}
	}
	m.addCtrl()
}

// applyOffloads tells the back end what the guest takes.
func (m *Model) applyOffloads() {
	m.mu.RLock()
	o := m.guestOffloads
	m.mu.RUnlock()
	has := func(bit int) bool { return o>>bit&1 != 0 }
	for _, q := range m.pairs {
		if q.client == nil {
			continue
		}
		q.client.SetPeerOffloads(netdev.GuestOffloads{Csum: has(featGuestCsum), TSO4: has(featGuestTSO4), TSO6: has(featGuestTSO6), ECN: has(featGuestECN), UFO: has(featGuestUFO)})
	}
}

// ReadConfig implements virtio.Model.
func (m *Model) ReadConfig(b []byte) {
	var c [cfgEnd]byte
	m.mu.RLock()
	copy(c[:], m.mac[:])
	m.mu.RUnlock()
	le.PutUint16(c[cfgStatus:], uint16(m.status.Load()))
	le.PutUint16(c[cfgPairs:], uint16(len(m.pairs)))
	le.PutUint16(c[cfgMTU:], m.Props.MTU)
	le.PutUint32(c[cfgSpeed:], uint32(m.Props.Speed))
	c[cfgDuplex] = m.duplex
	c[cfgKey] = nic.KeySize
	le.PutUint16(c[cfgTable:], uint16(m.maxTable()))
	le.PutUint32(c[cfgHashes:], hashAll)
	copy(b, c[:])
}

// WriteConfig implements virtio.Model: a legacy driver sets the address here.
func (m *Model) WriteConfig(b []byte) {
	if m.Has(featCtrlMAC) || m.Has(virtio.FeatureVersion1) || m.nic == nil {
		return
	}
	m.setMAC([6]byte(b))
}

func (m *Model) setMAC(mac [6]byte) {
	m.mu.Lock()
	same := m.mac == mac
	m.mac = mac
	m.mu.Unlock()
	if !same {
		m.nic.ShowMAC(mac)
	}
}

// SetStatus implements virtio.Model.
func (m *Model) SetStatus(uint8) {}

// Started implements virtio.Starter: back ends may have waited for it.
func (m *Model) Started() {
	m.nic.Resume()
	m.updateServer()
}

// Reset implements virtio.Model.
func (m *Model) Reset() {
	m.announce.Del()
	m.rounds = 0
	m.status.And(^uint32(statusAnnounce))
	m.spread.Store(nil)
	m.mu.Lock()
	m.resetFilter()
	m.mac = m.Props.MAC
	m.mu.Unlock()
	m.nic.ShowMAC(m.Props.MAC)
	m.curPairs.Store(1)
}

// linkChanged takes the state of the link over into the status.
func (m *Model) linkChanged(down bool) {
	old := m.status.Load()
	v := old | statusLinkUp
	if down {
		v = old &^ statusLinkUp
	}
	m.status.Store(v)
	if v != old {
		m.ConfigChanged()
	}
	m.updateServer()
}

// Rounds of announcements after migration, in milliseconds.
const (
	announceInitial = 50
	announceMax     = 550
	announceRounds  = 5
	announceStep    = 100
	nsPerMilli      = 1000000
)

// startAnnounce asks the guest to tell its neighbours of itself.
func (m *Model) startAnnounce() {
	if m.rounds == 0 {
		m.announceNow()
	}
}

func (m *Model) announceNow() {
	if m.rounds > 0 {
		m.rounds--
	}
	if m.Has(featAnnounce) && m.Has(featCtrlVQ) {
		m.status.Or(statusAnnounce)
		m.ConfigChanged()
	}
}

// announced is the guest's word that it has done so.
func (m *Model) announced() uint8 {
	if m.status.Load()&statusAnnounce == 0 {
		return ctrlErr
	}
	m.status.And(^uint32(statusAnnounce))
	if m.rounds > 0 {
		step := announceInitial + (announceRounds-m.rounds-1)*announceStep
		if step < 0 || step > announceMax {
			step = announceMax
		}
		m.announce.Mod(clock.Virtual.Now() + step*nsPerMilli)
	}
	return ctrlOK
}

// Classes are the device types of this package.
func Classes() []*qdev.Class {
	return append(transport.PCIClasses[Model, *Model, transport.NoExtra](), transport.DeviceClass[Model]())
}
