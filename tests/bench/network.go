package main

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"

	"goemu/tests/guest"
)

// netGroup is the works that talk to the host through the user network.
const netGroup = "net"

// netNICs are the adapters that are measured.
var netNICs = []string{"virtio-net", "e1000"}

// netWorks are the works that guestgo/net.go does with each.
var netWorks = []string{"recv", "send", "request", "connect"}

// netNames are the adapters and their works.
func netNames() (names []string) {
	for _, nic := range netNICs {
		names = append(names, nic)
		for _, w := range netWorks {
			names = append(names, nic+"-"+w)
		}
	}
	return names
}

// netBytes is how much guestgo/net.go expects and sends.
const netBytes = 64 << 20

// serveNet is the host's side of the guest's network works: the first byte of a connection says what it is for.
func serveNet(c net.Conn) {
	defer c.Close()
	b := make([]byte, 64<<10)
	if _, err := io.ReadFull(c, b[:1]); err != nil {
		return
	}
	switch b[0] {
	case 'r':
		for range netBytes / len(b) {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	case 's':
		if _, err := io.CopyN(io.Discard, c, netBytes); err == nil {
			_, _ = c.Write(b[:1])
		}
	case 'e':
		_, _ = io.Copy(c, c)
	}
}

// networks measures throughput and latency of TCP through the user network: receiving and sending 64 MiB, 3000 requests and answers on
// one connection, 300 connections.
func networks(o options, s *setup, pair [2]*emulator) ([]row, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serveNet(c)
		}
	}()
	k, err := guest.GetKernel("amd64") // the cloud's kernel has no e1000
	if err != nil {
		return nil, err
	}
	bb, err := guest.GetBusybox()
	if err != nil {
		return nil, err
	}
	n := *s
	n.kernel, n.initrd = k.Image, filepath.Join(s.dir, "net-initrd.gz")
	modules := append([]string{"virtio_net", "e1000"}, guest.DefaultModules...)
	if err := guest.WriteInitramfs(n.initrd, guest.Spec{Busybox: bb, Kernel: k, Modules: modules, Files: map[string]string{"bin/gobench": filepath.Join(s.dir, "gobench")}}); err != nil {
		return nil, err
	}
	var rows []row
	for _, nic := range netNICs {
		asked := func(r result) bool { return o.selected(r.name, netGroup) || o.selected(nic, netGroup) }
		if !slices.ContainsFunc(netWorks, func(w string) bool { return asked(result{name: nic + "-" + w}) }) {
			continue
		}
		device := nic
		if nic == "virtio-net" {
			device = "virtio-net-pci"
		}
		run := fmt.Sprintf("ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; sleep 3; gobench net %s 10.0.2.2:%d", nic, l.Addr().(*net.TCPAddr).Port)
		r, err := console(o, &n, pair, run, asked, "-nic", "user,model="+device)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r...)
	}
	return rows, nil
}
