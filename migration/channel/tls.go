package channel

import (
	"errors"
	"net"
	"time"

	"goemu/internal/tlscreds"

	"golang.org/x/sys/unix"
)

// SecureClient makes a channel to a destination secure. host is the name that the certificate of the destination must have.
func SecureClient(ch Channel, creds *tlscreds.X509, host string) (Channel, error) {
	return secured(ch, func(c net.Conn) (net.Conn, error) { return creds.StartClient(c, host) })
}

// SecureServer makes a channel from a source secure. authz decides which source may come, nil: whichever has a certificate that holds.
func SecureServer(ch Channel, creds *tlscreds.X509, authz tlscreds.Authorizer) (Channel, error) {
	return secured(ch, func(c net.Conn) (net.Conn, error) { return creds.StartServer(c, authz) })
}

func secured(ch Channel, start func(net.Conn) (net.Conn, error)) (Channel, error) {
	c, err := start(asConn{ch})
	if err != nil {
		return nil, err
	}
	return &secure{Conn: c, below: ch}, nil
}

// secure is a channel with TLS over another one.
type secure struct {
	net.Conn
	below Channel
	buf   []byte
}

// recordsSize is how much is encrypted at once: a whole number of the largest records.
const recordsSize = 64 << 10

// WriteVector implements Channel: small pieces share records.
func (s *secure) WriteVector(v [][]byte) error {
	if s.buf == nil {
		s.buf = make([]byte, 0, recordsSize)
	}
	for _, p := range v {
		for len(p) > 0 {
			n := min(len(p), recordsSize-len(s.buf))
			s.buf, p = append(s.buf, p[:n]...), p[n:]
			if len(s.buf) == recordsSize {
				if err := s.flush(); err != nil {
					return err
				}
			}
		}
	}
	return s.flush()
}

func (s *secure) flush() error {
	_, err := s.Write(s.buf)
	s.buf = s.buf[:0]
	return err
}

// Shutdown implements Channel.
func (s *secure) Shutdown() { s.below.Shutdown() }

// Close implements Channel. The other side may have gone before it is told of the end.
func (s *secure) Close() error {
	err := s.Conn.Close()
	for _, gone := range []error{net.ErrClosed, unix.EPIPE, unix.ECONNRESET} {
		if errors.Is(err, gone) {
			return nil
		}
	}
	return err
}

// TwoWay implements Channel.
func (s *secure) TwoWay() bool { return s.below.TwoWay() }

// asConn is a channel as package tls wants it. It knows no deadlines: Shutdown ends what waits.
type asConn struct{ Channel }

// LocalAddr implements net.Conn.
func (asConn) LocalAddr() net.Addr { return nil }

// RemoteAddr implements net.Conn.
func (asConn) RemoteAddr() net.Addr { return nil }

// SetDeadline implements net.Conn.
func (asConn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (asConn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (asConn) SetWriteDeadline(time.Time) error { return nil }
