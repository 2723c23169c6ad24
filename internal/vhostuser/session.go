package vhostuser

import (
	"encoding/binary"
	"fmt"
	"sync"
)

var le = binary.LittleEndian

// channel carries messages: a connection of a Line.
type channel interface {
	send(p []byte, fds []int) error
	receive(p []byte) error
	cut()
}

// connection is one of a line's.
type connection struct {
	l *Line
	n int
}

func (c connection) send(p []byte, fds []int) error { return c.l.send(c.n, p, fds) }
func (c connection) receive(p []byte) error         { return c.l.receive(c.n, p) }
func (c connection) cut()                           { c.l.Cut(c.n) }

// Session is a server's service, from the greeting to the end of the connection. Its methods may be called from any goroutine; after the
// first error all fail.
type Session struct {
	// Features are what the server offers, Protocol what both sides know, Queues how many rings there may be.
	Features uint64
	Protocol uint64
	Queues   uint64

	ch  channel
	mu  sync.Mutex
	err error // guarded by mu
}

// Begin greets the server at the other end of a connection.
func (l *Line) Begin(n int) (*Session, error) { return begin(connection{l, n}) }

func begin(ch channel) (*Session, error) {
	s := &Session{ch: ch, Queues: maxRings}
	var err error
	if s.Features, err = s.get(getFeatures); err != nil {
		return nil, err
	}
	if s.HasProtocol() {
		if s.Protocol, err = s.get(getProtocolFeatures); err != nil {
			return nil, err
		}
		s.Protocol &= supported
		if err := s.set(setProtocolFeatures, s.Protocol); err != nil {
			return nil, err
		}
		if s.Knows(ProtocolMQ) {
			if s.Queues, err = s.get(getQueueNum); err != nil {
				return nil, err
			}
		}
	}
	return s, s.call(setOwner, nil, nil, nil)
}

// HasProtocol tells whether the server has protocol features.
func (s *Session) HasProtocol() bool { return s.Features>>FeatureProtocol&1 != 0 }

// Knows tells whether both sides know a protocol feature.
func (s *Session) Knows(bit int) bool { return s.Protocol>>bit&1 != 0 }

// Err is why the session has ended, nil if it has not.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// fail ends the session. Preconditions: mu is held.
func (s *Session) fail(err error) error {
	if s.err == nil {
		s.err = err
		s.ch.cut()
	}
	return s.err
}

// call sends a request and, if reply is not nil, fills that with the answer's payload.
func (s *Session) call(request uint32, payload []byte, fds []int, reply []byte) error {
	return s.exchange(request, flagVersion, payload, fds, reply, len(reply))
}

// exchange is call with flags; answers may be as short as least.
func (s *Session) exchange(request, flags uint32, payload []byte, fds []int, reply []byte, least int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	m := make([]byte, headerSize, headerSize+len(payload))
	le.PutUint32(m, request)
	le.PutUint32(m[msgFlags:], flags)
	le.PutUint32(m[msgSize:], uint32(len(payload)))
	if err := s.ch.send(append(m, payload...), fds); err != nil {
		return s.fail(err)
	}
	if reply == nil {
		return nil
	}
	var h [headerSize]byte
	if err := s.ch.receive(h[:]); err != nil {
		return s.fail(err)
	}
	size := le.Uint32(h[msgSize:])
	switch f := le.Uint32(h[msgFlags:]); {
	case le.Uint32(h[:]) != request:
		return s.fail(fmt.Errorf("Received unexpected msg type. Expected %d received %d", request, le.Uint32(h[:])))
	case f&versionMask != flagVersion || f&flagReply == 0:
		return s.fail(fmt.Errorf("Failed to read msg header. Flags 0x%x instead of 0x%x.", f, flagVersion|flagReply))
	case size < uint32(least) || size > uint32(len(reply)):
		return s.fail(fmt.Errorf("Received bad msg size. Request %d, size %d", request, size))
	}
	if err := s.ch.receive(reply[:size]); err != nil {
		return s.fail(err)
	}
	return nil
}

func (s *Session) get(request uint32) (uint64, error) {
	var b [8]byte
	err := s.call(request, nil, nil, b[:])
	return le.Uint64(b[:]), err
}

func (s *Session) set(request uint32, v uint64) error {
	return s.call(request, le.AppendUint64(nil, v), nil, nil)
}

// SetFeatures tells the server what the driver has accepted; the protocol's own feature is added.
func (s *Session) SetFeatures(f uint64) error {
	return s.set(setFeatures, f|s.Features&(1<<FeatureProtocol))
}

// Region is a piece of guest memory: guest addresses, and where it lies in this process and in a file.
type Region struct {
	Guest, Size, User, Offset uint64
	FD                        int
}

// SetMemory tells the server where memory is, at most MaxRegions. It waits for the server to have taken it if that says when.
func (s *Session) SetMemory(list []Region) error {
	b := make([]byte, tableSize, tableSize+len(list)*regionSize)
	le.PutUint32(b, uint32(len(list)))
	var fds []int
	for _, r := range list {
		for _, v := range []uint64{r.Guest, r.Size, r.User, r.Offset} {
			b = le.AppendUint64(b, v)
		}
		fds = append(fds, r.FD)
	}
	if !s.Knows(protocolReplyAck) {
		return s.call(setMemTable, b, fds, nil)
	}
	var ack [8]byte
	if err := s.exchange(setMemTable, flagVersion|flagNeedReply, b, fds, ack[:], len(ack)); err != nil {
		return err
	}
	if v := le.Uint64(ack[:]); v != 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.fail(fmt.Errorf("the back end refuses the memory: %d", v))
	}
	return nil
}

// Ring is where a ring lies, with addresses of this process, and how it is told of things.
type Ring struct {
	Index             int
	Size              uint16
	Next              uint16 // entry of the available ring
	Desc, Avail, Used uint64
	UsedGuest         uint64 // for the log
	Kick, Call        int    // event descriptors
}

func state(index int, v uint32) []byte {
	return le.AppendUint32(le.AppendUint32(nil, uint32(index)), v)
}

// StartRing gives a ring to the server.
func (s *Session) StartRing(r *Ring, logged bool) error {
	if err := s.call(setVringNum, state(r.Index, uint32(r.Size)), nil, nil); err != nil {
		return err
	}
	if err := s.call(setVringBase, state(r.Index, uint32(r.Next)), nil, nil); err != nil {
		return err
	}
	if err := s.SetRingAddress(r, logged); err != nil {
		return err
	}
	index := le.AppendUint64(nil, uint64(r.Index))
	if err := s.call(setVringKick, index, []int{r.Kick}, nil); err != nil {
		return err
	}
	return s.call(setVringCall, index, []int{r.Call}, nil)
}

// SetRingAddress says where a ring lies and whether what is written to it is logged.
func (s *Session) SetRingAddress(r *Ring, logged bool) error {
	flags := uint32(0)
	if logged {
		flags = addrLog
	}
	b := make([]byte, 0, addrSize)
	b = append(b, state(r.Index, flags)...)
	for _, v := range []uint64{r.Desc, r.Used, r.Avail, r.UsedGuest} {
		b = le.AppendUint64(b, v)
	}
	return s.call(setVringAddr, b, nil, nil)
}

// EnableRing lets the server use a ring, or not. Without protocol features rings are always enabled.
func (s *Session) EnableRing(index int, on bool) error {
	if !s.HasProtocol() {
		return nil
	}
	v := uint32(0)
	if on {
		v = 1
	}
	return s.call(setVringEnable, state(index, v), nil, nil)
}

// StopRing takes a ring back and returns the entry of the available ring that comes next.
func (s *Session) StopRing(index int) (next uint16, err error) {
	var b [8]byte
	if err := s.call(getVringBase, state(index, 0), nil, b[:]); err != nil {
		return 0, err
	}
	return uint16(le.Uint32(b[4:])), nil
}

// SetLog gives the server memory of a file for its log.
func (s *Session) SetLog(fd int, size uint64) error {
	b := le.AppendUint64(le.AppendUint64(nil, size), 0)
	var reply [16]byte
	return s.exchange(setLogBase, flagVersion, b, []int{fd}, reply[:], 0)
}

// Announce makes the server tell the network where an address is now, if it can; false if not.
func (s *Session) Announce(mac [6]byte) bool {
	var b [8]byte
	copy(b[:], mac[:])
	return s.Knows(ProtocolRARP) && s.call(sendRARP, b[:], nil, nil) == nil
}

// SetMTU tells the server of the largest packet, if it wants to know.
func (s *Session) SetMTU(n uint16) error {
	if !s.Knows(ProtocolMTU) {
		return nil
	}
	return s.set(netSetMTU, uint64(n))
}
