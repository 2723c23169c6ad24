package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// What the network works move; the host's side (tests/bench/network.go) does what the first byte of a connection says.
const (
	netBytes    = 64 << 20
	netRequests = 3000
	netConnects = 300
)

var netWorks = []struct {
	name string
	run  func(addr string) error
}{
	{"recv", func(addr string) error {
		return with(addr, 'r', func(c net.Conn) error {
			n, err := io.Copy(io.Discard, c)
			if err == nil && n != netBytes {
				err = io.ErrUnexpectedEOF
			}
			return err
		})
	}},
	{"send", func(addr string) error {
		return with(addr, 's', func(c net.Conn) error {
			b := make([]byte, 64<<10)
			for range netBytes / len(b) {
				if _, err := c.Write(b); err != nil {
					return err
				}
			}
			_, err := io.ReadFull(c, b[:1]) // all has arrived
			return err
		})
	}},
	{"request", func(addr string) error {
		return with(addr, 'e', func(c net.Conn) error {
			b := make([]byte, 64)
			for range netRequests {
				if _, err := c.Write(b); err != nil {
					return err
				}
				if _, err := io.ReadFull(c, b); err != nil {
					return err
				}
			}
			return nil
		})
	}},
	{"connect", func(addr string) error {
		for range netConnects {
			if err := with(addr, 'c', func(c net.Conn) error { _, err := io.Copy(io.Discard, c); return err }); err != nil {
				return err
			}
		}
		return nil
	}},
}

// with makes a connection for a service.
func with(addr string, service byte, f func(net.Conn) error) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write([]byte{service}); err != nil {
		return err
	}
	return f(c)
}

// network runs the network works against the host's side at addr; their names begin with the NIC's.
func network(nic, addr string) {
	for _, w := range netWorks {
		t := time.Now()
		if err := w.run(addr); err != nil {
			fmt.Fprintln(os.Stderr, w.name, err)
			os.Exit(1)
		}
		fmt.Printf("BENCH %s-%s net %d 0\n", nic, w.name, time.Since(t).Nanoseconds())
	}
}
