package nic

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// rssKey is the key of the published test vectors for receive-side scaling.
var rssKey = [KeySize]byte{
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
	0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
}

// frame is a frame with a TCP segment; ext are IPv6's extension headers, of which next is the first one's number.
func frame(from, to netip.AddrPort, next byte, ext []byte) []byte {
	b := make([]byte, EtherHeader)
	tcp := make([]byte, 20)
	be.PutUint16(tcp, from.Port())
	be.PutUint16(tcp[2:], to.Port())
	tcp[12] = 5 << 4
	if from.Addr().Is4() {
		be.PutUint16(b[12:], etherIPv4)
		b = append(b, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, protoTCP, 0, 0)
	} else {
		be.PutUint16(b[12:], etherIPv6)
		b = append(b, 0x60, 0, 0, 0, 0, byte(len(ext)+len(tcp)), next, 64)
	}
	b = append(append(b, from.Addr().AsSlice()...), to.Addr().AsSlice()...)
	return append(append(b, ext...), tcp...)
}

// TestHash checks the hash with the published vectors.
func TestHash(t *testing.T) {
	for _, c := range []struct {
		from, to string
		ip, tcp  uint32
	}{
		{"66.9.149.187:2794", "161.142.100.80:1766", 0x323e8fc2, 0x51ccc178},
		{"199.92.111.2:14230", "65.69.140.83:4739", 0xd718262a, 0xc626b0ea},
		{"[3ffe:2501:200:1fff::7]:2794", "[3ffe:2501:200:3::1]:1766", 0x2cc18cd5, 0x40207d3d},
		{"[3ffe:501:8::260:97ff:fe40:efab]:14230", "[ff02::1]:4739", 0x0f0c461c, 0xdde51bbf},
	} {
		b := frame(netip.MustParseAddrPort(c.from), netip.MustParseAddrPort(c.to), protoTCP, nil)
		h := ParseHeaders(b)
		require.True(t, h.TCP, c.from)
		require.Equal(t, c.ip, h.Hash(b, &rssKey, false, true), c.from)
		require.Equal(t, c.tcp, h.Hash(b, &rssKey, true, false), c.from)
	}
}

// TestHomeAddresses: a mobile node is hashed by the addresses that its extension headers name.
func TestHomeAddresses(t *testing.T) {
	from, to := netip.MustParseAddrPort("[2001:db8::1]:2794"), netip.MustParseAddrPort("[2001:db8::2]:1766")
	home, _ := hex.DecodeString("3ffe25010200" + "1fff" + "0000000000000007")
	dest, _ := hex.DecodeString("3ffe25010200" + "0003" + "0000000000000001")
	options := append([]byte{protoRouting, 2, 0, 1, 1, 0, optionHome, 16}, home...)
	routing := append([]byte{protoTCP, 2, routingHome, 1, 0, 0, 0, 0}, dest...)
	b := frame(from, to, protoOptions, append(options, routing...))
	h := ParseHeaders(b)
	require.True(t, h.TCP && h.Extended)
	require.EqualValues(t, 0x2cc18cd5, h.Hash(b, &rssKey, false, true))
	require.EqualValues(t, 0x40207d3d, h.Hash(b, &rssKey, true, true))
	require.NotEqualValues(t, 0x40207d3d, h.Hash(b, &rssKey, true, false))
}

// FuzzHeaders looks at arbitrary frames.
func FuzzHeaders(f *testing.F) {
	a, b := netip.MustParseAddrPort("[2001:db8::1]:1"), netip.MustParseAddrPort("[2001:db8::2]:2")
	f.Add(frame(a, b, protoOptions, []byte{protoTCP, 0, 1, 4, 0, 0, 0, 0}))
	f.Add(frame(netip.MustParseAddrPort("1.2.3.4:1"), netip.MustParseAddrPort("1.2.3.5:2"), 0, nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < EtherHeader {
			return
		}
		was := bytes.Clone(data)
		if h := ParseHeaders(data); h.IP4 || h.IP6 {
			h.Hash(data, &rssKey, h.TCP || h.UDP, true)
			h.Ack(data, true)
			if h.TCP || h.UDP {
				h.L4SumGood(data)
			}
			if h.IP4 {
				h.IPSumGood(data)
			}
		}
		require.Equal(t, was, data)
	})
}
