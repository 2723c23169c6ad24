// Package socket is the back ends that carry frames over the host's sockets: over streams, each frame behind its length in 32 bits, and
// as datagrams.
package socket

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"goemu/internal/netdev"
	"goemu/internal/sockaddr"
)

// lengthSize is the size of the length before a frame of a stream.
const lengthSize = 4

// maxStreamFrame is the longest frame that a stream may bring; a longer one ends the connection.
const maxStreamFrame = 4096 + 65536

// stream is a port over stream connections, one at a time.
type stream struct {
	netdev.Pump
	// next waits for a connection; nil makes none. ctx ends with the port.
	next   func(ctx context.Context) (net.Conn, string, error)
	up     func(c net.Conn)
	down   func()
	cancel context.CancelFunc
	wg     sync.WaitGroup

	in atomic.Pointer[arrivals] // of the connection

	mu   sync.Mutex
	conn net.Conn // guarded by mu
}

// newStream makes the client of a stream port.
func newStream(s *netdev.Set, kind, name string, peer *netdev.Client) *stream {
	p := new(stream)
	p.Init()
	p.SetClient(s.Add(&netdev.Client{Name: name, Kind: kind, Model: kind}, p, peer))
	return p
}

// start serves connections one after the other; a first one may be there already.
func (p *stream) start(first net.Conn) {
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.Background())
	if first != nil {
		p.in.Store(newArrivals(first))
	}
	p.wg.Go(p.write)
	p.wg.Go(func() { p.serve(ctx, first) })
}

func (p *stream) serve(ctx context.Context, c net.Conn) {
	for {
		if c == nil {
			if p.next == nil {
				return
			}
			var info string
			var err error
			if c, info, err = p.next(ctx); err != nil {
				if ctx.Err() == nil {
					p.Client().SetInfo("connection error")
				}
				return
			}
			p.Client().SetInfo("%s", info)
		}
		if !p.setConn(c) {
			_ = c.Close()
			return
		}
		p.Client().SetLinkDown(false)
		if p.up != nil {
			p.up(c)
		}
		p.read(c)
		p.setConn(nil)
		_ = c.Close()
		if ctx.Err() != nil {
			return
		}
		p.Client().SetLinkDown(true)
		p.Client().SetInfo("")
		if p.down != nil {
			p.down()
		}
		c = nil
	}
}

// setConn changes where frames are written; false after Close.
func (p *stream) setConn(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.Done():
		return false
	default:
	}
	p.conn = c
	return true
}

func (p *stream) read(c net.Conn) {
	in := p.in.Load()
	if in == nil || in.Conn != c {
		in = newArrivals(c)
		p.in.Store(in)
	}
	r := bufio.NewReaderSize(in, maxStreamFrame)
	buf := make([]byte, maxStreamFrame)
	var n [lengthSize]byte
	for {
		if _, err := io.ReadFull(r, n[:]); err != nil {
			return
		}
		size := binary.BigEndian.Uint32(n[:])
		if size > maxStreamFrame {
			return
		}
		if _, err := io.ReadFull(r, buf[:size]); err != nil {
			return
		}
		if size == 0 || p.Client().Send(buf[:size], nil) {
			continue
		}
		in.busy.Store(false) // it waits for the peer
		if !p.Deliver(buf[:size], nil) {
			return
		}
		in.busy.Store(true)
	}
}

// Arrived implements netdev.Arriver.
func (p *stream) Arrived() bool {
	in := p.in.Load()
	return in == nil || in.done()
}

// Receive implements netdev.Port.
func (p *stream) Receive(data []byte, _ *netdev.Offload) bool {
	var n [lengthSize]byte
	binary.BigEndian.PutUint32(n[:], uint32(len(data)))
	return p.Push(n[:], data)
}

func (p *stream) write() {
	var list [][]byte
	for {
		if list = p.Next(list); list == nil {
			return
		}
		p.mu.Lock()
		c := p.conn
		p.mu.Unlock()
		if c == nil {
			continue
		}
		b := net.Buffers(append([][]byte(nil), list...))
		if _, err := b.WriteTo(c); err != nil {
			_ = c.Close() // the reader goes on from here
		}
	}
}

// Close implements netdev.Port.
func (p *stream) Close() {
	p.Pump.Close()
	if p.cancel != nil {
		p.cancel()
	}
	p.mu.Lock()
	if p.conn != nil {
		_ = p.conn.Close()
	}
	p.mu.Unlock()
	go p.wg.Wait()
}

// connOf takes a descriptor over as a connection.
func connOf(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close()
	return net.FileConn(f)
}

// packetOf takes a descriptor over as a datagram socket.
func packetOf(fd int) (net.PacketConn, error) {
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close()
	return net.FilePacketConn(f)
}

// address reads HOST:PORT, of IPv4; an empty host is any address.
func address(text string) (*net.UDPAddr, error) {
	host, port, ok := strings.Cut(text, ":")
	if !ok {
		return nil, fmt.Errorf("host address '%s' doesn't contain ':' separating host from port", text)
	}
	return hostPort(host, port)
}

func hostPort(host, port string) (*net.UDPAddr, error) {
	a := &net.UDPAddr{IP: net.IPv4zero}
	if host != "" {
		if ip, ok := sockaddr.ParseIPv4(host); ok {
			a.IP = ip.AsSlice()
		} else if host[0] >= '0' && host[0] <= '9' {
			return nil, fmt.Errorf("host address '%s' is not a valid IPv4 address", host)
		} else {
			ip, err := net.ResolveIPAddr("ip4", host)
			if err != nil {
				return nil, fmt.Errorf("can't resolve host address '%s'", host)
			}
			a.IP = ip.IP
		}
	}
	n, err := strconv.ParseUint(port, 0, 16)
	if err != nil {
		return nil, fmt.Errorf("port number '%s' is invalid", port)
	}
	a.Port = int(n)
	return a, nil
}

// isStream tells whether a descriptor is a stream's.
func isStream(fd int) (bool, error) {
	typ, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	switch {
	case err != nil:
		return false, errors.New("can't get socket option SO_TYPE")
	case typ == unix.SOCK_STREAM:
		return true, nil
	case typ == unix.SOCK_DGRAM:
		return false, nil
	}
	return false, fmt.Errorf("socket type=%d for fd=%d must be either SOCK_DGRAM or SOCK_STREAM", typ, fd)
}
