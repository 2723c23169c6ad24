package net

import (
	"fmt"

	"goemu/hw/nic"
	"goemu/migration/vmstate"
)

// What can be hashed: bits of a driver's choice (virtio 1.2, section 5.1.6.4.3.1).
const (
	hashIPv4, hashTCPv4, hashUDPv4       = 1 << 0, 1 << 1, 1 << 2
	hashIPv6, hashTCPv6, hashUDPv6       = 1 << 3, 1 << 4, 1 << 5
	hashIPv6Ex, hashTCPv6Ex, hashUDPv6Ex = 1 << 6, 1 << 7, 1 << 8
	hashAll                              = 1<<9 - 1
)

// hashes are the ways to hash a frame, of which the first that fits is taken, with what the header says of them (section 5.1.6.4.4).
var hashes = []struct {
	bit               uint32
	report            uint16
	ip6, tcp, udp, ex bool
}{
	{bit: hashTCPv4, report: 2, tcp: true},
	{bit: hashUDPv4, report: 3, udp: true},
	{bit: hashIPv4, report: 1},
	{bit: hashTCPv6Ex, report: 8, ip6: true, tcp: true, ex: true},
	{bit: hashTCPv6, report: 5, ip6: true, tcp: true},
	{bit: hashUDPv6Ex, report: 9, ip6: true, udp: true, ex: true},
	{bit: hashUDPv6, report: 6, ip6: true, udp: true},
	{bit: hashIPv6Ex, report: 7, ip6: true, ex: true},
	{bit: hashIPv6, report: 4, ip6: true},
}

// maxSpread is the longest table.
const maxSpread = 128

// maxTable is the longest table that a driver may give.
func (m *Model) maxTable() int {
	if m.Props.RSS {
		return maxSpread
	}
	return 1
}

// spread is how frames are hashed, and which pair then takes them.
type spread struct {
	redirect, report bool // the hash chooses the pair; the driver is told of it
	types            uint32
	table            []uint16 // pairs; the length is a power of 2
	fallback         uint16   // the pair for frames that are not hashed
	key              [nic.KeySize]byte
}

// hash is that of a frame and what was hashed, 0 for nothing.
func (s *spread) hash(b []byte) (hash uint32, report uint16) {
	if len(b) < nic.EtherHeader {
		return 0, 0
	}
	h := nic.ParseHeaders(b)
	if !h.IP4 && !h.IP6 {
		return 0, 0
	}
	for _, c := range hashes {
		if s.types&c.bit != 0 && c.ip6 == h.IP6 && (!c.tcp || h.TCP) && (!c.udp || h.UDP) {
			return h.Hash(b, &s.key, c.tcp || c.udp, c.ex), c.report
		}
	}
	return 0, 0
}

// pair is the index of the pair that takes a frame which came to that of index at, of n in use.
func (s *spread) pair(hash uint32, report uint16, at, n int) int {
	switch {
	case !s.redirect:
		return at
	case report == 0:
		return int(s.fallback) % n
	}
	return int(s.table[int(hash)&(len(s.table)-1)]) % n
}

// parseSpread reads a command to spread or only to hash frames: le32 types, le16 length of the table less 1, le16 pair for frames that are not
// hashed, the table of le16, le16 pairs, u8 length of the key, the key. A driver that asks for nothing gets nil.
func (m *Model) parseSpread(cmd uint8, arg []byte) (s *spread, pairs uint16, ok bool) {
	redirect := cmd == mqRSS
	if redirect && !m.Has(featRSS) || !redirect && !m.Has(featHashReport) || len(arg) < 8 {
		return nil, 0, false
	}
	s = &spread{redirect: redirect, report: m.Has(featHashReport), types: le.Uint32(arg)}
	n := 1
	if redirect {
		n = int(le.Uint16(arg[4:])) + 1
		s.fallback = le.Uint16(arg[6:])
	}
	arg = arg[8:]
	if n&(n-1) != 0 || n > maxSpread || int(s.fallback) >= len(m.pairs) || len(arg) < 2*n+3 {
		return nil, 0, false
	}
	for i := range n {
		s.table = append(s.table, le.Uint16(arg[2*i:]))
	}
	arg = arg[2*n:]
	if pairs = uint16(m.curPairs.Load()); redirect {
		pairs = le.Uint16(arg)
	}
	size := int(arg[2])
	switch arg = arg[3:]; {
	case pairs == 0 || int(pairs) > len(m.pairs) || size > len(s.key) || size == 0 && s.types != 0 || len(arg) < size:
		return nil, 0, false
	case size == 0:
		return nil, pairs, true
	}
	copy(s.key[:], arg[:size])
	return s, pairs, true
}

// setSpread puts a way to spread frames into force; nil leaves that to the back end.
func (m *Model) setSpread(s *spread) {
	if m.spread.Swap(s) != s {
		m.readyAll()
	}
}

// readyAll tells all senders that there may be room again, since the pair that takes a frame need not be the one it came to.
func (m *Model) readyAll() {
	for _, q := range m.pairs {
		if q.client != nil {
			q.client.Ready()
		}
	}
}

// lateState is what newer versions of QEMU have added to the device's state.
var lateState = vmstate.Description[Model]{
	Name: "virtio-net-device", Version: stateVersion, MinVersion: stateVersion,
	Subsections: []*vmstate.Description[Model]{{
		Name: "virtio-net-device/rss", Version: 1, MinVersion: 1,
		Needed: func(m *Model) bool { return m.spread.Load() != nil },
		Fields: []vmstate.Field[Model]{vmstate.Custom("rss_data", 0,
			func(m *Model, w *vmstate.Writer) { m.spread.Load().save(w) },
			func(m *Model, r *vmstate.Reader) (err error) {
				s, err := loadSpread(r)
				m.spread.Store(s)
				return err
			})},
	}},
}

func (s *spread) save(w *vmstate.Writer) {
	w.Bool(true)
	w.Bool(s.redirect)
	w.Bool(s.report)
	w.U32(s.types)
	w.U16(uint16(len(s.table)))
	w.U16(s.fallback)
	w.Raw(s.key[:])
	for _, v := range s.table {
		w.U16(v)
	}
}

func loadSpread(r *vmstate.Reader) (*spread, error) {
	on := r.Bool()
	s := &spread{redirect: r.Bool(), report: r.Bool(), types: r.U32()}
	n := int(r.U16())
	s.fallback = r.U16()
	copy(s.key[:], r.Raw(len(s.key)))
	if n&(n-1) != 0 || n > maxSpread || on && n == 0 {
		return nil, fmt.Errorf("virtio-net: indirection table of %d entries", n)
	}
	for range n {
		s.table = append(s.table, r.U16())
	}
	if err := r.Err(); err != nil || !on {
		return nil, err
	}
	return s, nil
}
