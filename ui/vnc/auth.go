package vnc

import (
	"crypto/des"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net/http"
	"net/url"
	"strings"
	"time"

	"goemu/internal/chardev"
	"goemu/internal/tlscreds"
)

// Kinds of authentication, and those under VeNCrypt.
const (
	authInvalid, authNone, authVNC, authVeNCrypt = 0, 1, 2, 19

	subX509None, subX509VNC = 260, 261
	challengeSize           = 16
	passwordSize            = 8
)

// Wrong passwords cost time, the more the more of them there were.
const (
	failureDelay    = 500 * time.Millisecond
	maxFailureDelay = 8 * time.Second
	handshakeTime   = 60 * time.Second
)

var (
	errAuth     = errors.New("vnc: authentication failed")
	errProtocol = errors.New("vnc: protocol error")
)

// sameOrigin lets web pages connect that come from the host they connect to.
func sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	host := (&url.URL{Host: r.Host}).Hostname()
	return host != "" && strings.EqualFold(u.Hostname(), host)
}

// handshake goes from the bare connection to the client's initialisation.
func (c *client) handshake() (err error) {
	_ = c.conn.SetDeadline(time.Now().Add(handshakeTime)) // not for all kinds of connections
	raw := c.conn
	if c.local.webSocket {
		if c.s.Creds != "" {
			if err := c.startTLS(); err != nil {
				return err
			}
		}
		conn, err := chardev.StartWebsocket(c.conn, sameOrigin)
		if err != nil {
			return err
		}
		c.setConn(conn)
	}
	minor, err := c.version()
	if err != nil {
		return err
	}
	auth, sub := c.s.authKind(c.local.webSocket)
	if c.trusted {
		auth = authNone
	}
	if err := c.authenticate(minor, auth, sub); err != nil {
		return err
	}
	_ = raw.SetDeadline(time.Time{})
	return nil
}

// version agrees on a version of the protocol and returns the number after the point: 3, 7 or 8.
func (c *client) version() (minor int, err error) {
	if err := c.send([]byte("RFB 003.008\n")); err != nil {
		return 0, err
	}
	var v [12]byte
	if _, err := io.ReadFull(c.conn, v[:]); err != nil {
		return 0, err
	}
	major := 0
	if n, _ := fmt.Sscanf(string(v[:]), "RFB %03d.%03d\n", &major, &minor); n != 2 {
		return 0, errProtocol
	}
	switch {
	case major == 3 && (minor == 3 || minor == 4 || minor == 5):
		return 3, nil
	case major == 3 && (minor == 7 || minor == 8):
		return minor, nil
	}
	_ = c.send([]byte{0, 0, 0, authInvalid})
	return 0, errProtocol
}

func (c *client) authenticate(minor int, auth byte, sub uint32) error {
	if minor == 3 {
		if auth == authVeNCrypt {
			_ = c.send([]byte{0, 0, 0, authInvalid})
			return errAuth
		}
		if err := c.send([]byte{0, 0, 0, auth}); err != nil {
			return err
		}
	} else {
		if err := c.send([]byte{1, auth}); err != nil {
			return err
		}
		var choice [1]byte
		if _, err := io.ReadFull(c.conn, choice[:]); err != nil {
			return err
		}
		if choice[0] != auth {
			return c.reject(minor)
		}
	}
	if auth == authVeNCrypt {
		if err := c.vencrypt(sub); err != nil {
			return err
		}
		auth = authNone
		if sub == subX509VNC {
			auth = authVNC
		}
	}
	if auth == authVNC {
		return c.challenge(minor)
	}
	if minor == 8 || sub != 0 && !c.trusted {
		return c.send([]byte{0, 0, 0, 0})
	}
	return nil
}

// reject tells the client that it did not get in.
func (c *client) reject(minor int) error {
	b := []byte{0, 0, 0, 1}
	if minor == 8 {
		const why = "Authentication failed\x00"
		b = append(append(b, 0, 0, 0, byte(len(why))), why...)
	}
	_ = c.send(b)
	return errAuth
}

// challenge asks for the password.
func (c *client) challenge(minor int) error {
	var challenge, response, want [challengeSize]byte
	_, _ = rand.Read(challenge[:]) // never fails
	if err := c.send(challenge[:]); err != nil {
		return err
	}
	if _, err := io.ReadFull(c.conn, response[:]); err != nil {
		return err
	}
	password, ok := c.s.checkPassword()
	var key [passwordSize]byte
	copy(key[:], password)
	for i := range key {
		key[i] = bits.Reverse8(key[i])
	}
	block, err := des.NewCipher(key[:])
	if err != nil {
		return err
	}
	for i := 0; i < challengeSize; i += des.BlockSize {
		block.Encrypt(want[i:], challenge[i:])
	}
	if subtle.ConstantTimeCompare(want[:], response[:]) != 1 || !ok {
		c.s.mu.Lock()
		delay := min(failureDelay<<min(c.s.failures, 8), maxFailureDelay)
		c.s.failures++
		c.s.mu.Unlock()
		time.Sleep(delay)
		return c.reject(minor)
	}
	c.s.mu.Lock()
	c.s.failures = 0
	c.s.mu.Unlock()
	return c.send([]byte{0, 0, 0, 0})
}

// vencrypt agrees on version 0.2 and the one kind there is, and starts TLS.
func (c *client) vencrypt(sub uint32) error {
	if err := c.send([]byte{0, 2}); err != nil {
		return err
	}
	var v [2]byte
	if _, err := io.ReadFull(c.conn, v[:]); err != nil {
		return err
	}
	if v != [2]byte{0, 2} {
		_ = c.send([]byte{1})
		return errAuth
	}
	if err := c.send([]byte{0, 1, 0, 0, byte(sub >> 8), byte(sub)}); err != nil {
		return err
	}
	var choice [4]byte
	if _, err := io.ReadFull(c.conn, choice[:]); err != nil {
		return err
	}
	if choice != [4]byte{0, 0, byte(sub >> 8), byte(sub)} {
		_ = c.send([]byte{0})
		return errAuth
	}
	if err := c.send([]byte{1}); err != nil {
		return err
	}
	return c.startTLS()
}

func (c *client) startTLS() error {
	var authz tlscreds.Authorizer
	if c.s.Authz != "" {
		authz = tlscreds.Late{Object: c.s.Object, ID: c.s.Authz}
	}
	conn, err := c.s.creds.StartServer(c.conn, authz)
	if err == nil {
		c.setConn(conn)
	}
	return err
}
