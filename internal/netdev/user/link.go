package user

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"goemu/internal/netdev"
)

// nicID is the stack's only interface.
const nicID = 1

// Sizes of TCP's buffers in the stack, which bound what a connection may hold.
const (
	tcpBuffer    = 1 << 20
	tcpBufferMax = 4 << 20
	maxSegment   = 60 << 10 // that the guest is given at once, if it takes such
)

// link is the stack's way to the guest.
type link struct {
	u     *Network
	ready chan struct{} // closed once there is a client
	disp  atomic.Pointer[stack.NetworkDispatcher]
}

// initStack makes the stack that carries TCP.
func (u *Network) initStack() error {
	u.link = &link{u: u, ready: make(chan struct{})}
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	u.stack = s
	sack, moderate := tcpip.TCPSACKEnabled(true), tcpip.TCPModerateReceiveBufferOption(true)
	rcv := tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: tcpBuffer, Max: tcpBufferMax}
	snd := tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: tcpBuffer, Max: tcpBufferMax}
	for _, o := range []tcpip.SettableTransportProtocolOption{&sack, &moderate, &rcv, &snd} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return errOf(err)
		}
	}
	if err := s.CreateNIC(nicID, u.link); err != nil {
		return errOf(err)
	}
	// The network has all addresses that the guest speaks to.
	if err := s.SetPromiscuousMode(nicID, true); err != nil {
		return errOf(err)
	}
	if err := s.SetSpoofing(nicID, true); err != nil {
		return errOf(err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nicID}, {Destination: header.IPv6EmptySubnet, NIC: nicID}})
	s.SetTransportProtocolHandler(tcp.ProtocolNumber, tcp.NewForwarder(s, 0, maxOpening, u.tcpFrom).HandlePacket)
	s.SetTransportProtocolHandler(udp.ProtocolNumber, u.reassembled)
	return nil
}

// errOf is an error of the stack as others see it.
func errOf(e tcpip.Error) error { return errors.New(e.String()) }

// reassembled takes a datagram that came in fragments.
func (u *Network) reassembled(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
	b := pkt.Data().AsRange().ToSlice()
	u.udpFrom(mac{}, netip.AddrPortFrom(addrOf(id.RemoteAddress), id.RemotePort), netip.AddrPortFrom(addrOf(id.LocalAddress), id.LocalPort), b)
	return true
}

// inject gives the stack a frame of the guest, whose checksums are right or still to be made.
func (l *link) inject(proto tcpip.NetworkProtocolNumber, frame []byte) {
	d := l.disp.Load()
	if d == nil {
		return
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(frame[etherSize:])})
	(*d).DeliverNetworkPacket(proto, pkt)
	pkt.DecRef()
}

// frames are buffers for what goes to the guest.
var frames = sync.Pool{New: func() any { b := make([]byte, 0, netdev.MaxFrame); return &b }}

// WritePackets implements stack.LinkWriter.
func (l *link) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range list.AsSlice() {
		l.write(pkt)
	}
	return list.Len(), nil
}

func (l *link) write(pkt *stack.PacketBuffer) {
	b := frames.Get().(*[]byte)
	defer frames.Put(b)
	f := append((*b)[:0], make([]byte, etherSize)...)
	for _, s := range pkt.AsSlices() {
		f = append(f, s...)
	}
	*b = f
	if len(f) < etherSize+ip4Size {
		return
	}
	var dst netip.Addr
	if p := f[etherSize:]; pkt.NetworkProtocolNumber == header.IPv6ProtocolNumber {
		if len(p) < ip6Size {
			return
		}
		dst = netip.AddrFrom16([16]byte(p[24:]))
	} else {
		dst = netip.AddrFrom4([4]byte(p[16:]))
	}
	l.u.sendIP(dst, f, offloadOf(pkt))
}

// offloadOf is the work that the stack has left.
func offloadOf(pkt *stack.PacketBuffer) *netdev.Offload {
	g := &pkt.GSOOptions
	if g.Type == stack.GSONone || !g.NeedsCsum {
		return nil
	}
	off := &netdev.Offload{Flags: netdev.NeedsCsum, CsumStart: etherSize + g.L3HdrLen, CsumOffset: g.CsumOffset}
	if pkt.Data().Size() > int(g.MSS) {
		off.GSOType, off.GSOSize, off.HdrLen = netdev.GSOTCPv4, g.MSS, uint16(etherSize+pkt.HeaderSize())
		if g.Type == stack.GSOTCPv6 {
			off.GSOType = netdev.GSOTCPv6
		}
	}
	return off
}

// MTU implements stack.NetworkLinkEndpoint.
func (*link) MTU() uint32 { return mtu }

// SetMTU implements stack.NetworkLinkEndpoint.
func (*link) SetMTU(uint32) {}

// MaxHeaderLength implements stack.NetworkLinkEndpoint: frames get their headers here.
func (*link) MaxHeaderLength() uint16 { return 0 }

// LinkAddress implements stack.NetworkLinkEndpoint.
func (*link) LinkAddress() tcpip.LinkAddress { return "" }

// SetLinkAddress implements stack.NetworkLinkEndpoint.
func (*link) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities implements stack.NetworkLinkEndpoint: checksums of what comes have been looked at.
func (*link) Capabilities() stack.LinkEndpointCapabilities { return stack.CapabilityRXChecksumOffload }

// GSOMaxSize implements stack.GSOEndpoint.
func (*link) GSOMaxSize() uint32 { return maxSegment }

// SupportedGSO implements stack.GSOEndpoint.
func (*link) SupportedGSO() stack.SupportedGSO { return stack.HostGSOSupported }

// Attach implements stack.NetworkLinkEndpoint.
func (l *link) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		l.disp.Store(nil)
		return
	}
	l.disp.Store(&d)
}

// IsAttached implements stack.NetworkLinkEndpoint.
func (l *link) IsAttached() bool { return l.disp.Load() != nil }

// Wait implements stack.NetworkLinkEndpoint.
func (*link) Wait() {}

// ARPHardwareType implements stack.NetworkLinkEndpoint.
func (*link) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }

// AddHeader implements stack.NetworkLinkEndpoint.
func (*link) AddHeader(*stack.PacketBuffer) {}

// ParseHeader implements stack.NetworkLinkEndpoint.
func (*link) ParseHeader(*stack.PacketBuffer) bool { return true }

// Close implements stack.NetworkLinkEndpoint.
func (*link) Close() {}

// SetOnCloseAction implements stack.NetworkLinkEndpoint.
func (*link) SetOnCloseAction(func()) {}
