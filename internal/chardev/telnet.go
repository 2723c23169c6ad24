package chardev

import "net"

// Bytes of the telnet protocol (RFC 854).
const (
	telnetIAC   = 0xff
	telnetDo    = 0xfd
	telnetWill  = 0xfb
	telnetBreak = 0xf3
	telnetSB    = 0xfa

	optBinary, optEcho, optSuppressGoAhead = 0, 1, 3
)

// telnetHello asks a client for single characters without an echo of its own, all eight bits of them.
var telnetHello = []byte{telnetIAC, telnetWill, optEcho, telnetIAC, telnetWill, optSuppressGoAhead,
	telnetIAC, telnetWill, optBinary, telnetIAC, telnetDo, optBinary}

// telnetConn takes the protocol's commands out of the input.
type telnetConn struct {
	net.Conn
	b     *Backend
	state uint8 // commands: bytes read of the one that has begun
}

// startTelnet begins the protocol on a new connection.
func startTelnet(c net.Conn, b *Backend) (net.Conn, error) {
	if _, err := c.Write(telnetHello); err != nil {
		return nil, err
	}
	return &telnetConn{Conn: c, b: b}, nil
}

// Read implements io.Reader.
func (c *telnetConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if n = c.strip(p[:n]); n > 0 || err != nil {
			return n, err
		}
	}
}

// strip removes commands in place and returns the length of what is left.
func (c *telnetConn) strip(p []byte) int {
	const text, command, option = 0, 1, 2
	out := 0
	for _, x := range p {
		switch c.state {
		case text:
			if x == telnetIAC {
				c.state = command
				continue
			}
			p[out] = x
			out++
		case command:
			c.state = text
			switch {
			case x == telnetIAC: // doubled: one of them is meant
				p[out] = x
				out++
			case x == telnetBreak:
				c.b.event(Break)
			case x >= telnetSB: // an option follows
				c.state = option
			}
		case option:
			c.state = text
		}
	}
	return out
}
