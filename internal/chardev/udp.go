package chardev

import (
	"errors"
	"fmt"
	"net"
)

// openUDP exchanges datagrams with one address.
func openUDP(b *Backend, s *Spec) error {
	port, ok := s.get("port")
	if !ok {
		return errors.New("chardev: udp: remote port not specified")
	}
	host, _ := s.get("host")
	if host == "" {
		host = "localhost"
	}
	remote, err := net.ResolveUDPAddr("udp", joinHostPort(host, port))
	if err != nil {
		return fmt.Errorf("address resolution failed for %s:%s: Name or service not known", host, port)
	}
	var local *net.UDPAddr
	if s.has("localaddr") || s.has("localport") {
		localHost, _ := s.get("localaddr")
		localPort, _ := s.get("localport")
		if localPort == "" {
			localPort = "0"
		}
		if local, err = net.ResolveUDPAddr("udp", joinHostPort(localHost, localPort)); err != nil {
			return fmt.Errorf("address resolution failed for %s:%s: Name or service not known", localHost, localPort)
		}
	}
	c, err := net.DialUDP("udp", local, remote)
	if err != nil {
		return fmt.Errorf("Failed to bind socket: %s", netReason(err))
	}
	b.connected = true
	b.end = &pumpEnd{b: b, label: "udp", p: startPump(b, udpConn{c}, true, nil)}
	return nil
}

// udpConn is a datagram socket as a stream: that nobody listens at the other end is no reason to stop.
type udpConn struct{ *net.UDPConn }

func (c udpConn) Read(p []byte) (int, error) {
	for {
		n, err := c.UDPConn.Read(p)
		if err == nil || errors.Is(err, net.ErrClosed) {
			return n, err
		}
	}
}

// maxDatagram is the largest datagram.
const maxDatagram = 65507

func (c udpConn) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), maxDatagram)
		if _, err := c.UDPConn.Write(rest[:n]); errors.Is(err, net.ErrClosed) {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(p), nil
}
